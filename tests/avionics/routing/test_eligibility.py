"""Who cannot serve a call is passed over with the reason, and what is unknown is no reason."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone

import pytest

from airframe.types import (
    AudioPart,
    FilePart,
    ImagePart,
    InferenceRequest,
    JSONSchemaFormat,
    Message,
    TextPart,
    ToolCall,
    ToolResultPart,
    ToolSpec,
)
from avionics.llm.catalog import ModelSpec
from avionics.llm.routing import Circumstances, Conditions, Deployment, Needs
from avionics.llm.routing.eligibility import why_not

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NIGHT = Conditions(between=(time(22), time(6)))
IMAGE = ImagePart(data=b"\x89PNG", media_type="image/png")


def spec(**known: object) -> ModelSpec:
    return ModelSpec.model_validate({"id": "x:m", "name": "m", "provider": "x", **known})


@pytest.mark.parametrize(
    ("needs", "known", "expected"),
    [
        (Needs(vision=True), {"input_modalities": ("text",)}, "m does not read images"),
        (Needs(vision=True), {"input_modalities": ("text", "image")}, None),
        (Needs(vision=True), {}, None),
        (Needs(audio=True), {"capabilities": {"audio": False}}, "m does not read sound"),
        (Needs(files=True), {"input_modalities": ("text", "image")}, "m does not read files"),
        (Needs(tools=True), {"capabilities": {"tools": False}}, "m cannot call tools"),
        (Needs(tools=True), {"capabilities": {"tools": True}}, None),
        (
            Needs(structured_output=True),
            {"capabilities": {"structured_output": False}},
            "m cannot be held to a JSON schema",
        ),
        (
            Needs(input_tokens=1501),
            {"context_window": 1000},
            "the prompt is about 1501 tokens, and m has a window of 1000",
        ),
        (Needs(input_tokens=1500), {"context_window": 1000}, None),
        (Needs(input_tokens=10**9), {}, None),
        (Needs(), {"operation": "embedding"}, "m answers no chat"),
        (Needs(), {"input_modalities": ("text",), "capabilities": {"tools": False}}, None),
    ],
)
def test_a_model_that_cannot_is_not_asked(needs: Needs, known: dict[str, object], expected: str | None) -> None:
    """Images, sound, files, tools, a schema, and a prompt that is surely too long."""
    assert why_not(Deployment(provider="x"), needs, Circumstances(now=NOON), spec(**known)) == expected


def test_of_an_unknown_model_nothing_is_held_against_it() -> None:
    """The backend itself knows what it can do."""
    everything = Needs(vision=True, audio=True, files=True, tools=True, structured_output=True, input_tokens=10**9)
    assert why_not(Deployment(provider="x"), everything, Circumstances(now=NOON), None) is None


@pytest.mark.parametrize(
    ("when", "circumstances", "expected"),
    [
        (Conditions(), {}, None),
        (Conditions(tags=frozenset({"eu", "gold"})), {"tags": frozenset({"eu"})}, "it is for calls with the tag gold"),
        (Conditions(tags=frozenset({"eu"})), {"tags": frozenset({"eu", "gold"})}, None),
        (Conditions(tenants=frozenset({"b", "a"})), {"tenant": "c"}, "it is for the tenants a, b"),
        (Conditions(tenants=frozenset({"a"})), {}, "it is for the tenants a"),
        (Conditions(tenants=frozenset({"a"})), {"tenant": "a"}, None),
        (Conditions(between=(time(8), time(12))), {}, "it is asked between 08:00 and 12:00 UTC"),
        (Conditions(between=(time(12), time(20))), {}, None),
        (NIGHT, {}, "it is asked between 22:00 and 06:00 UTC"),
        (NIGHT, {"now": NOON.replace(hour=23)}, None),
        (NIGHT, {"now": NOON.replace(hour=5, minute=59)}, None),
        (NIGHT, {"now": NOON.replace(hour=6)}, "it is asked between 22:00 and 06:00 UTC"),
        (Conditions(between=(time(13), time(14)), timezone="Europe/Berlin"), {}, None),
        (
            Conditions(between=(time(12), time(13)), timezone="Europe/Berlin"),
            {},
            "it is asked between 12:00 and 13:00 Europe/Berlin",
        ),
        (Conditions(between=(time(11), time(13))), {"now": NOON.astimezone(timezone(timedelta(hours=9)))}, None),
        (Conditions(min_input_tokens=101), {}, "it is for prompts of at least 101 tokens, and this is about 100"),
        (Conditions(min_input_tokens=100, max_input_tokens=100), {}, None),
        (Conditions(max_input_tokens=99), {}, "it is for prompts of at most 99 tokens, and this is about 100"),
    ],
)
def test_conditions_have_to_hold(when: Conditions, circumstances: dict[str, object], expected: str | None) -> None:
    """All tags, one of the tenants, the time of day where the deployment is, and the length of the prompt."""
    around = Circumstances(**{"now": NOON, **circumstances})  # type: ignore[arg-type]
    assert why_not(Deployment(provider="x", when=when), Needs(input_tokens=100), around, None) == expected


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (InferenceRequest(messages=[Message("user", "x" * 400)]), Needs(input_tokens=100)),
        (
            InferenceRequest(messages=[Message("user", [TextPart("12345678"), IMAGE])], max_tokens=7),
            Needs(vision=True, input_tokens=2, output_tokens=7),
        ),
        (
            InferenceRequest(
                messages=[
                    Message("user", "1234"),
                    Message("assistant", [ToolCall(id="1", name="look", arguments="{}")]),
                    Message("tool", [ToolResultPart(tool_call_id="1", content=[IMAGE])]),
                ]
            ),
            Needs(vision=True, input_tokens=2),
        ),
        (
            InferenceRequest(
                messages=[
                    Message("user", [AudioPart(data=b"RIFF", format="wav"), FilePart(data=b"%PDF", media_type="a/b")])
                ]
            ),
            Needs(audio=True, files=True),
        ),
        (
            InferenceRequest(
                messages=[Message("user", "1234")],
                tools=[ToolSpec(name="look")],
                response_format=JSONSchemaFormat(schema={"type": "object"}),
            ),
            Needs(tools=True, structured_output=True, input_tokens=1),
        ),
        (InferenceRequest(messages=[Message("user", "1234")], response_format="json"), Needs(input_tokens=1)),
    ],
)
def test_what_a_request_needs_is_read_from_it(request_: InferenceRequest, expected: Needs) -> None:
    """From its parts, those inside tool results too, its tools, its format and its length."""
    assert Needs.of(request_) == expected
