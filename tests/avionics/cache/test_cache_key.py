"""The key: equal requests share one, and whatever differs makes another."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airframe.endpoints import EndpointSpec
from airframe.types import (
    AudioPart,
    FilePart,
    HostedTool,
    HostedToolPart,
    ImagePart,
    InferenceRequest,
    JSONSchemaFormat,
    Message,
    NamedTool,
    Part,
    ReasoningOptions,
    ReasoningPart,
    RefusalPart,
    SearchHit,
    TextPart,
    ToolCall,
    ToolResultPart,
    ToolSpec,
)
from avionics.llm.cache.cache_key import UnfitValueError, cache_key

ENDPOINT = EndpointSpec(base_url="https://one.example/v1", api_key="key-1")

EVERYTHING = InferenceRequest(
    messages=[
        Message(
            "user",
            (
                TextPart("Look.", phase="final_answer", item_id="i", citations=({"a": 1},)),
                ImagePart(data=b"png", media_type="image/png", detail="low"),
                ImagePart(url="https://example.org/a.png"),
                AudioPart(data=b"wav", format="wav", id="a", transcript="Hm."),
                FilePart(data=b"pdf", media_type="application/pdf", filename="f", context="c", citations=True),
                FilePart(file_id="file_1"),
                FilePart(url="https://example.org/a.pdf"),
            ),
            name="Ann",
            cache="1h",
        ),
        Message(
            "assistant",
            (
                ReasoningPart(text="Hm.", issuer="anthropic", signature="s", id="r", raw={"x": [1]}),
                RefusalPart("No."),
                ToolCall(id="1", name="f", arguments='{"a":1}', item_id="t", caller={"by": "code"}),
                HostedToolPart(
                    kind="search",
                    issuer="openai",
                    id="h",
                    status="done",
                    hits=(SearchHit(text="t", file_id="f", filename="n", url="u", title="t", score=0.5, raw={"r": 1}),),
                    raw={"q": "w"},
                ),
            ),
        ),
        Message("tool", (ToolResultPart(tool_call_id="1", content=(TextPart("rain"),), is_error=False, name="f"),)),
    ],
    model="m",
    tools=[
        ToolSpec(name="f", description="d", parameters={"type": "object"}, strict=True, options={"o": 1}),
        HostedTool("web_search", {"size": "low"}),
    ],
    tool_choice=NamedTool("f"),
    response_format=JSONSchemaFormat(schema={"type": "object"}, name="n", description="d", strict=True),
    reasoning=ReasoningOptions(effort="low", budget_tokens=10, summary="auto", enabled=True),
    max_tokens=5,
    temperature=0,
    stop=["END"],
    seed=1,
    metadata={"a": "b"},
    extra_params={"list": [1, 2], "map": {"x": None}},
    extra_headers={"x-a": "b"},
)


def key(request: InferenceRequest = EVERYTHING, **given: Any) -> str:
    whose: dict[str, Any] = {"provider": "openai", "endpoint": ENDPOINT, "tenant": None}
    return cache_key(request=request, **whose | given)


def other(value: object, name: str = "") -> object:
    """A value that is not this one, and that may stand in its place."""
    match value:
        case None:
            return {"tool_choice": "none", "response_format": "json", "markup": "think", "data": None}.get(name, 1)
        case bool():
            return not value
        case int() | float():
            return value + 0.5 if name in {"temperature", "score"} else value + 1
        case str():
            words = {"role": "developer", "cache": "5m", "detail": "high"}
            return words.get(name, value + "x")
        case bytes():
            return value + b"x"
        case Mapping():
            return {**cast("Mapping[str, object]", value), "further": "1"}
        case list() | tuple():
            return [*cast("Sequence[object]", value), *cast("Sequence[object]", value)[:1]] or ["x"]
        case _:
            raise AssertionError(f"no other value for {name}")


def changed(value: Any) -> Iterator[tuple[str, Any]]:
    """Every value that differs from this one in a single field, however deep, with the place."""
    if is_dataclass(value) and not isinstance(value, type):
        for item in fields(value):
            inner = getattr(value, item.name)
            if item.name in {"url", "file_id", "data"} and not inner:
                continue  # a part has one source
            found = list(changed(inner)) or [("", other(inner, item.name))]
            for place, replaced in found:
                yield f".{item.name}{place}", replace(value, **{item.name: replaced})
    elif isinstance(value, list | tuple):
        items = list(cast("Sequence[Any]", value))
        for position, item in enumerate(items):
            for place, replaced in changed(item):
                yield f"[{position}]{place}", [*items[:position], replaced, *items[position + 1 :]]
        if not any(is_dataclass(item) for item in items):
            yield "", other(items)


CHANGED = dict(changed(EVERYTHING))


class TestWhatDiffers:
    """Another question has another key."""

    @pytest.mark.parametrize("place", CHANGED)
    def test_any_changed_field_is_another_key(self, place: str) -> None:
        """Of the request, its messages, parts, tools and options: the fields are those that the types have."""
        assert key(CHANGED[place]) != key()

    def test_all_of_them_differ_from_each_other(self) -> None:
        """No two changes look alike."""
        keys = [key(request) for request in CHANGED.values()]
        assert len(set(keys)) == len(keys) > 80

    @pytest.mark.parametrize(
        "given",
        [
            {"tenant": "a"},
            {"tenant": ""},
            {"provider": "azure"},
            {"endpoint": replace(ENDPOINT, base_url="https://two.example/v1")},
            {"endpoint": replace(ENDPOINT, backend_kind="anthropic")},
            {"endpoint": replace(ENDPOINT, model="n")},
            {"endpoint": replace(ENDPOINT, markup="think")},
        ],
        ids=str,
    )
    def test_another_tenant_or_backend_is_another_key(self, given: dict[str, Any]) -> None:
        """Nobody is given what somebody else was answered, nor what another server would say."""
        assert key(**given) != key()

    def test_what_looks_alike_is_not_the_same(self) -> None:
        """Texts, numbers, flags, lists, mappings and records that print alike are told apart."""
        values: list[object] = [1, True, "1", None, "None", [1], {"1": 1}, {"map": {"1": 1}}, [[1]], b"1", {}, [], ""]
        keys = {key(replace(EVERYTHING, extra_params={"x": value})) for value in values}
        assert len(keys) == len(values)
        alike: list[Part] = [TextPart("x"), RefusalPart("x")]
        assert len({key(InferenceRequest(messages=[Message("assistant", [part])])) for part in alike}) == 2


class TestWhatIsTheSame:
    """The same question has the same key."""

    @pytest.mark.parametrize(
        "given",
        [{"endpoint": replace(ENDPOINT, api_key="key-2")}, {"endpoint": replace(ENDPOINT, headers={"x": "y"})}],
        ids=["key", "headers"],
    )
    def test_a_new_key_is_no_other_backend(self, given: dict[str, Any]) -> None:
        """Secrets of the endpoint are not in it."""
        assert key(**given) == key()

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
            max_leaves=12,
        ),
        st.randoms(use_true_random=False),
    )
    def test_the_order_of_mappings_does_not_matter(self, value: object, random: Any) -> None:
        """Nor whether a sequence is a list or a tuple, or a whole number a float."""

        def mixed(value: object) -> object:
            match value:
                case dict():
                    items = list(cast("dict[str, object]", value).items())
                    random.shuffle(items)
                    return {name: mixed(inner) for name, inner in items}
                case list():
                    return tuple(mixed(inner) for inner in cast("list[object]", value))
                case int() if not isinstance(value, bool) and abs(value) < 2**53:
                    return float(value)
                case _:
                    return value

        one, two = (replace(EVERYTHING, extra_params={"x": x}) for x in (value, mixed(value)))
        assert key(one) == key(two)

    @given(st.text(alphabet=string.printable), st.text(alphabet=string.printable))
    def test_texts_are_the_same_only_if_they_are_equal(self, one: str, two: str) -> None:
        """However they are quoted."""
        first, second = (InferenceRequest(messages=[Message("user", text)]) for text in (one, two))
        assert (key(first) == key(second)) == (one == two)

    def test_it_is_the_same_in_every_process(self) -> None:
        """Entries outlive the process that made them; a changed key forgets them all, and needs a reason."""
        request = InferenceRequest(messages=[Message("user", "Why?")], model="m", temperature=0)
        assert (
            cache_key(provider="p", endpoint=EndpointSpec(base_url="http://h"), request=request, tenant="t") == PINNED
        )


PINNED = "b0cc6489ccf07df4cca1f358f680ae270ab2ed1160cbf2c680756408c8dcd3ec"


@pytest.mark.parametrize(
    "extra",
    [{"x": object()}, {"x": {1: 2}}, {"x": [{"y": {3}}]}],
    ids=["object", "number as name", "set"],
)
def test_a_value_that_is_no_json_has_no_key(extra: dict[str, Any]) -> None:
    """It cannot be told from others; the error says where it is."""
    with pytest.raises(UnfitValueError, match=r"request\.extra_params\.x"):
        key(replace(EVERYTHING, extra_params=extra))
