"""What is asked and what is said: requests, messages and their parts judge themselves."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import pytest

from airframe import InferenceRequest, InferenceResult, InvalidRequestError, Message, ToolCall, ToolSpec
from airframe.types import (
    AudioPart,
    FilePart,
    HostedToolPart,
    ImagePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolResultPart,
)

Fields: TypeAlias = dict[str, Any]

HELLO = Message("user", "Hi")


def asked(**fields: Any) -> InferenceRequest:
    request: Fields = {"messages": [HELLO], **fields}
    return InferenceRequest(**request)


WRONG: list[tuple[Fields, str]] = [
    ({"messages": []}, "messages must not be empty"),
    ({"messages": "Hi"}, "messages must be a sequence of Message, got str; for a single question"),
    ({"messages": b"Hi"}, "messages must be a sequence of Message, got bytes"),
    ({"messages": None}, "messages must be a sequence of Message, got NoneType"),
    ({"messages": HELLO}, "messages must be a sequence of Message, got Message"),
    ({"messages": [HELLO, {"role": "user"}]}, r"messages\[1\] must be a Message, got dict"),
    ({"max_tokens": 0}, "max_tokens must be at least 1, got 0; leave it None"),
    ({"max_tokens": -5}, "max_tokens must be at least 1, got -5"),
    ({"max_tokens": 1.5}, "max_tokens must be an integer, got float"),
    ({"max_tokens": True}, "max_tokens must be an integer, got bool"),
    ({"max_tokens": "5"}, "max_tokens must be an integer, got str"),
    ({"top_k": -1}, "top_k must be at least 0"),
    ({"top_logprobs": -1}, "top_logprobs must be at least 0"),
    ({"temperature": -0.1}, "temperature must be 0 or more, got -0.1"),
    ({"temperature": math.nan}, "temperature must be a finite number, got nan"),
    ({"temperature": "warm"}, "temperature must be a number, got str"),
    ({"temperature": True}, "temperature must be a number, got bool"),
    ({"top_p": 1.1}, "top_p must lie between 0 and 1, got 1.1"),
    ({"min_p": -0.1}, "min_p must lie between 0 and 1, got -0.1"),
    ({"repeat_penalty": math.inf}, "repeat_penalty must be a finite number"),
    ({"presence_penalty": math.inf}, "presence_penalty must be a finite number"),
    ({"frequency_penalty": math.inf}, "frequency_penalty must be a finite number"),
    ({"stop": "END"}, "stop must be a sequence of texts, got str; wrap it in a list"),
    ({"stop": ["END", 1]}, r"stop\[1\] must be a text, got int"),
    ({"extra_headers": {"x-tries": 3}}, r"extra_headers\['x-tries'\] must be a text, got int"),
    ({"seed": 0.5}, "seed must be an integer, got float"),
    ({"tools": [{"type": "function"}]}, r"tools\[0\] must be a ToolSpec or a HostedTool, got dict"),
    ({"tool_choice": "always"}, "tool_choice must be 'auto', 'none', 'required' or a NamedTool, got 'always'"),
    ({"tool_choice": {"type": "auto"}}, "tool_choice must be .* or a NamedTool, got dict"),
    ({"response_format": "xml"}, "response_format must be 'text', 'json' or a JSONSchemaFormat, got 'xml'"),
    ({"response_format": {"type": "json_object"}}, "response_format must be .* or a JSONSchemaFormat, got dict"),
    ({"markup": "xml"}, "markup must be 'none', 'think', 'think_open', 'harmony', got 'xml'"),
    ({"tools": [ToolSpec(name="f"), ToolSpec(name="g"), ToolSpec(name="f")]}, "tools must have distinct names.*: f"),
]


@pytest.mark.parametrize(("fields", "said"), WRONG)
def test_a_request_that_no_backend_could_take_is_refused(fields: Fields, said: str) -> None:
    """One error names the field, what it got, and the remedy."""
    with pytest.raises(InvalidRequestError, match=f"^{said}"):
        asked(**fields)


def test_the_edges_are_allowed() -> None:
    """Zero, one and None are values; tuples are sequences."""
    request = asked(messages=(HELLO,), temperature=0, top_p=1, min_p=0.0, top_k=0, max_tokens=1, stop=())
    assert (request.temperature, request.top_p, request.max_tokens, request.seed) == (0, 1, 1, None)


def test_what_is_asked_does_not_show_headers() -> None:
    """Extra headers may hold secrets."""
    assert "hunter2" not in repr(asked(extra_headers={"x": "hunter2"}))


def test_a_tool_has_a_name() -> None:
    """The model could not call it otherwise."""
    with pytest.raises(InvalidRequestError, match=r"ToolSpec\.name must not be empty"):
        ToolSpec(name="")


# -- messages


@pytest.mark.parametrize("role", ["pilot", "", None, "User", "function"])
def test_roles_are_known(role: Any) -> None:
    """The error lists those that are."""
    with pytest.raises(
        InvalidRequestError, match=r"Message\.role must be one of assistant, developer, system, tool, user"
    ):
        Message(role, "Hi")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "must be a text or a sequence of parts, got NoneType"),
        (7, "must be a text or a sequence of parts, got int"),
        (b"Hi", "must be a text or a sequence of parts, got bytes"),
        ({"type": "text"}, "must be a text or a sequence of parts, got dict"),
        ([TextPart("a"), "b"], r"\[1\] must be a part such as TextPart, got str"),
        ([{"type": "text", "text": "a"}], r"\[0\] must be a part such as TextPart, got dict"),
    ],
)
def test_content_is_text_or_parts(content: Any, said: str) -> None:
    """Anything else is refused with its place."""
    with pytest.raises(InvalidRequestError, match=rf"^Message\.content.*{said}"):
        Message("user", content)


def test_content_reads_as_text_or_as_parts() -> None:
    """However it was given."""
    plain, mixed = (
        Message("user", "Hi"),
        Message("user", [TextPart("a"), ImagePart(url="https://a.test"), TextPart("b")]),
    )
    assert (plain.text, plain.parts) == ("Hi", (TextPart("Hi"),))
    assert (mixed.text, len(mixed.parts)) == ("ab", 3)
    assert Message("user").parts == ()


def test_the_answer_of_a_tool() -> None:
    """One call, one result."""
    assert Message.tool("1", "no", is_error=True) == Message(
        "tool", (ToolResultPart(tool_call_id="1", content="no", is_error=True),)
    )


@pytest.mark.parametrize(
    ("part", "fields", "said"),
    [
        (ImagePart, {}, "ImagePart needs exactly one source"),
        (ImagePart, {"url": "https://a.test", "data": b"a", "media_type": "image/png"}, "exactly one source.*got 2"),
        (ImagePart, {"data": b"a"}, r"ImagePart\.media_type is missing"),
        (FilePart, {}, "FilePart needs exactly one source"),
        (FilePart, {"url": "https://a.test", "file_id": "f"}, "exactly one source.*got 2"),
        (AudioPart, {}, "AudioPart needs data and its format"),
        (AudioPart, {"data": b"a"}, "AudioPart needs data and its format"),
        (AudioPart, {"format": "wav"}, "AudioPart needs data and its format"),
    ],
)
def test_a_part_has_one_source(part: Any, fields: Fields, said: str) -> None:
    """Where its bytes are is said once, and what they are."""
    with pytest.raises(InvalidRequestError, match=said):
        part(**fields)


# -- answers


@pytest.mark.parametrize(
    ("arguments", "parsed"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        ("{}", {}),
        ("[1]", None),
        ("null", None),
        ('{"a":', None),
        ("{'a': 1}", None),
        ("[" * 100_000, None),
    ],
)
def test_arguments_are_raw_and_parsed(arguments: str, parsed: Any) -> None:
    """The text stays as the model wrote it; what is no object is None, never repaired."""
    call = ToolCall(id="1", name="f", arguments=arguments)
    assert (call.arguments, call.parsed_arguments) == (arguments, parsed)


def test_an_answer_is_seen_by_its_parts() -> None:
    """Text, thoughts, refusal, calls and hosted tools are views of one content, which goes back as the turn."""
    hosted = HostedToolPart(kind="web_search_call", issuer="x")
    content: tuple[Part, ...] = (
        ReasoningPart(text="Hm"),
        TextPart("a"),
        ToolCall(id="1", name="f"),
        hosted,
        TextPart("b"),
        RefusalPart("no"),
    )
    result = InferenceResult(content=content)
    assert (result.text, result.reasoning, result.refusal) == ("ab", "Hm", "no")
    assert (result.tool_calls, result.hosted_tools) == ((content[2],), (hosted,))
    assert result.message == Message("assistant", content)


def test_an_answer_that_did_not_refuse_has_no_refusal() -> None:
    """None is not an empty text."""
    assert InferenceResult().refusal is None
    assert InferenceResult(content=(RefusalPart(""),)).refusal == ""
