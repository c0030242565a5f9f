"""Our vocabulary as a body of chat completions. What other clients send is compared in test_recorded_requests.py."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, TypeAlias

import pytest

from airframe.errors import InvalidRequestError
from airframe.protocols import COMPATIBLE, LLAMA_SERVER, OPENAI, ChatDialect, OpenAIChatProtocol, WireRequest
from airframe.protocols.protocol import DecodeOptions
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
    TextPart,
    ToolCall,
    ToolResultPart,
    ToolSpec,
)

Fields: TypeAlias = dict[str, Any]

HELLO = Message("user", "Hi")
IMAGE = ImagePart(url="https://a.test/a.png")
NO_PARAMETERS: Fields = {"type": "object", "properties": {}}
FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False}


def encoded(
    dialect: ChatDialect = OPENAI, *, model: str | None = "m", stream: bool = False, **fields: Any
) -> WireRequest:
    said: Fields = {"messages": [HELLO], **fields}
    request = InferenceRequest(**said)
    return OpenAIChatProtocol(dialect).encode(request, model=model, stream=stream)


def body(dialect: ChatDialect = OPENAI, **fields: Any) -> dict[str, Any]:
    """What is sent beside the messages and the model."""
    sent: dict[str, Any] = json.loads(encoded(dialect, **fields).body)
    return {name: value for name, value in sent.items() if name not in {"messages", "model"}}


def sent(*messages: Message, dialect: ChatDialect = OPENAI) -> list[dict[str, Any]]:
    """The messages on the wire."""
    made: list[dict[str, Any]] = json.loads(encoded(dialect, messages=messages).body)["messages"]
    return made


def dropped(dialect: ChatDialect = OPENAI, **fields: Any) -> list[str]:
    """What is not sent, and warned of; a strict request is refused for it."""
    subjects = [warning.subject for warning in encoded(dialect, **fields).warnings]
    if subjects:
        with pytest.raises(InvalidRequestError, match="strict=False"):
            encoded(dialect, strict=True, **fields)
    return subjects


def test_the_least_request() -> None:
    """A question, a model, and nothing that was not asked for."""
    wire = encoded()
    assert wire.path == "/chat/completions"
    assert json.loads(wire.body) == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    assert "model" not in json.loads(encoded(model=None).body)


def test_a_stream_asks_for_its_usage() -> None:
    """Without that, OpenAI counts nothing in a stream."""
    assert json.loads(encoded(stream=True).body) | {"messages": [], "model": ""} == {
        "messages": [],
        "model": "",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


FIELDS: list[tuple[Fields, Fields]] = [
    ({"temperature": 0.0, "top_p": 0.5, "seed": 0}, {"temperature": 0.0, "top_p": 0.5, "seed": 0}),
    ({"presence_penalty": 0.5, "frequency_penalty": -0.5}, {"presence_penalty": 0.5, "frequency_penalty": -0.5}),
    ({"logprobs": True, "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
    ({"max_tokens": 7}, {"max_completion_tokens": 7}),
    ({"stop": ("a", "b")}, {"stop": ["a", "b"]}),
    ({"user": "u", "metadata": {"a": "b"}, "store": False}, {"user": "u", "metadata": {"a": "b"}, "store": False}),
    ({"verbosity": "low", "service_tier": "flex"}, {"verbosity": "low", "service_tier": "flex"}),
    ({"prompt_cache_key": "k"}, {"prompt_cache_key": "k"}),
    ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
    ({"reasoning": ReasoningOptions(effort="low")}, {"reasoning_effort": "low"}),
    ({"response_format": "text"}, {"response_format": {"type": "text"}}),
    ({"response_format": "json"}, {"response_format": {"type": "json_object"}}),
    (
        {"response_format": JSONSchemaFormat(schema={"type": "object"}, name="n", strict=True)},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
            }
        },
    ),
    (
        {"response_format": JSONSchemaFormat(schema={"type": "array"}, description="d")},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"type": "array"}, "description": "d"},
            }
        },
    ),
    ({"tool_choice": "required"}, {"tool_choice": "required"}),
    ({"tool_choice": NamedTool("f")}, {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
    (
        {"tools": [ToolSpec(name="f", description="d", parameters={"type": "object"}, strict=False)]},
        {
            "tools": [
                {
                    "type": "function",
                    "function": FUNCTION,
                }
            ]
        },
    ),
    (
        {"tools": [ToolSpec(name="f")]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": NO_PARAMETERS}}]},
    ),
    (
        {"tools": [ToolSpec(name="f", options={"cache_control": {"type": "ephemeral"}})]},
        {
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "f", "parameters": NO_PARAMETERS},
                    "cache_control": {"type": "ephemeral"},
                }
            ]
        },
    ),
]


@pytest.mark.parametrize(("fields", "expected"), FIELDS)
def test_fields(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each field has its place in the body; zero and False are said, too."""
    assert body(**fields) == expected
    assert dropped(**fields) == []


SAMPLING: Fields = {"top_k": 4, "min_p": 0.1, "repeat_penalty": 1.1}
WORDS: list[tuple[ChatDialect, Fields, Fields]] = [
    (COMPATIBLE, {"max_tokens": 7}, {"max_tokens": 7}),
    (COMPATIBLE, SAMPLING, {"top_k": 4, "min_p": 0.1, "repetition_penalty": 1.1}),
    (LLAMA_SERVER, SAMPLING, SAMPLING),
    (
        LLAMA_SERVER,
        {"reasoning": ReasoningOptions(enabled=False)},
        {"chat_template_kwargs": {"enable_thinking": False}},
    ),
]


@pytest.mark.parametrize(("dialect", "fields", "expected"), WORDS)
def test_other_servers_have_other_words(dialect: ChatDialect, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """What differs between servers is their dialect's."""
    assert body(dialect, **fields) == expected


REASONING = ReasoningOptions(budget_tokens=9, summary="auto", enabled=True)
UNSAID: list[tuple[Fields, Sequence[str]]] = [
    ({"top_k": 4}, ["top_k"]),
    ({"min_p": 0.1, "repeat_penalty": 1.1}, ["min_p", "repeat_penalty"]),
    ({"previous_response_id": "r"}, ["previous_response_id"]),
    ({"reasoning": REASONING}, ["reasoning.enabled", "reasoning.budget_tokens", "reasoning.summary"]),
    ({"tools": [HostedTool("web_search")]}, ["tools[web_search]"]),
]
UNSAID_MESSAGES: list[tuple[Message, str]] = [
    (Message("user", "Hi", cache="default"), "Message.cache"),
    (Message("user", [FilePart(url="https://a.test/a.pdf")]), "FilePart.url"),
    (Message("user", [FilePart(file_id="file_1", context="c")]), "FilePart.context"),
    (Message("user", [FilePart(file_id="file_1", citations=True)]), "FilePart.citations"),
    (Message("user", [RefusalPart("no")]), "RefusalPart"),
    (Message("assistant", [IMAGE]), "ImagePart"),
    (Message("assistant", [ReasoningPart(text="Hm.", issuer="anthropic", signature="s")]), "ReasoningPart"),
    (Message("assistant", [HostedToolPart(kind="web_search_call", issuer="x")]), "HostedToolPart"),
    (Message.tool("1", "no", is_error=True), "ToolResultPart.is_error"),
    (Message("tool", [TextPart("?")]), "TextPart"),
    (Message("tool", [ToolResultPart(tool_call_id="1", content=[IMAGE])]), "ImagePart"),
]


@pytest.mark.parametrize(
    ("fields", "subjects"), [*UNSAID, *(({"messages": [message]}, [said]) for message, said in UNSAID_MESSAGES)]
)
def test_what_cannot_be_said_is_named(fields: dict[str, Any], subjects: Sequence[str]) -> None:
    """A warning names the field, and a strict request fails; nothing is dropped in silence."""
    assert dropped(**fields) == subjects


# -- messages


def test_roles() -> None:
    """`developer` is OpenAI's word; others get `system`. Names stay."""
    messages = (Message("system", "a"), Message("developer", "b"), Message("user", "c", name="ann"))
    assert [message["role"] for message in sent(*messages)] == ["system", "developer", "user"]
    assert [message["role"] for message in sent(*messages, dialect=COMPATIBLE)] == ["system", "system", "user"]
    assert sent(*messages)[2] == {"role": "user", "content": "c", "name": "ann"}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (TextPart("a"), {"type": "text", "text": "a"}),
        (ImagePart(url="https://a.test/a.png"), {"type": "image_url", "image_url": {"url": "https://a.test/a.png"}}),
        (
            ImagePart(data=b"\x89", media_type="image/png", detail="low"),
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iQ==", "detail": "low"}},
        ),
        (AudioPart(data=b"a", format="wav"), {"type": "input_audio", "input_audio": {"data": "YQ==", "format": "wav"}}),
        (
            FilePart(data=b"a", media_type="application/pdf", filename="a.pdf"),
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,YQ==", "filename": "a.pdf"}},
        ),
        (FilePart(file_id="f1"), {"type": "file", "file": {"file_id": "f1"}}),
    ],
)
def test_parts_of_a_user_s_message(part: Part, expected: dict[str, Any]) -> None:
    """Text, images, sound and documents, by address or as bytes."""
    assert sent(Message("user", [part])) == [{"role": "user", "content": [expected]}]


def test_a_message_of_which_nothing_is_left_is_empty_text() -> None:
    """Servers refuse an empty list of parts."""
    assert sent(Message("user", [RefusalPart("no")])) == [{"role": "user", "content": ""}]


def test_an_assistant_s_turn() -> None:
    """Text is joined, calls keep their arguments as written, and content is null where only calls were made."""
    call = ToolCall(id="1", name="f", arguments='{"a": 1')
    wire = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1'}}
    assert sent(Message("assistant", [TextPart("a"), call, TextPart("b")])) == [
        {"role": "assistant", "content": "ab", "tool_calls": [wire]}
    ]
    assert sent(Message("assistant", [call])) == [{"role": "assistant", "content": None, "tool_calls": [wire]}]
    assert sent(Message("assistant", [RefusalPart("no")])) == [{"role": "assistant", "content": None, "refusal": "no"}]
    assert sent(Message("assistant", "")) == [{"role": "assistant", "content": ""}]


def test_a_spoken_turn_goes_back_by_its_id_or_by_its_words() -> None:
    """OpenAI has kept the sound; others get the transcript."""
    turn = Message("assistant", [AudioPart(id="audio_1", data=b"abc", transcript="Sure.")])
    assert sent(turn) == [{"role": "assistant", "audio": {"id": "audio_1"}}]
    assert sent(turn, dialect=COMPATIBLE) == [{"role": "assistant", "content": "Sure."}]


def test_reasoning_goes_back_to_whom_it_came_from() -> None:
    """Under the server's own name for it; somebody else's, or a signed thought, does not."""
    mine, nobody_s = ReasoningPart(text="Hm", issuer="llama_server"), ReasoningPart(text=".")
    turn = Message("assistant", [mine, nobody_s, TextPart("Hi")])
    assert sent(turn, dialect=LLAMA_SERVER) == [{"role": "assistant", "content": "Hi", "reasoning_content": "Hm."}]
    other = Message("assistant", [ReasoningPart(text="Hm", issuer="openrouter"), TextPart("Hi")])
    assert sent(other, dialect=LLAMA_SERVER) == [{"role": "assistant", "content": "Hi"}]


def test_results_of_tools_are_messages_of_their_own() -> None:
    """One for each, in order; the text of parts is joined."""
    results = [
        ToolResultPart(tool_call_id="1", content="a"),
        ToolResultPart(tool_call_id="2", content=[TextPart("b"), TextPart("c")]),
    ]
    assert sent(Message("tool", results)) == [
        {"role": "tool", "tool_call_id": "1", "content": "a"},
        {"role": "tool", "tool_call_id": "2", "content": "bc"},
    ]


def test_an_answer_goes_back_as_it_came() -> None:
    """The turn that a result makes is the message that the backend sent."""
    answer = {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    document = {"choices": [{"message": answer, "finish_reason": "tool_calls"}]}
    result = OpenAIChatProtocol().decode(json.dumps(document).encode(), DecodeOptions())
    assert sent(HELLO, result.message)[1] == answer


# -- the body as a whole


def test_extra_params_win() -> None:
    """They are merged last, over whatever would have been sent."""
    extra: Fields = {"temperature": 1, "messages": [], "x": {"deep": [None]}}
    assert json.loads(encoded(temperature=0.5, extra_params=extra).body) == {"model": "m", **extra}


@pytest.mark.parametrize("value", [object(), b"\xff", "a\ud800"])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    """One error of ours, not the encoder's own."""
    with pytest.raises(InvalidRequestError, match="JSON cannot say"):
        encoded(extra_params={"x": value})


def test_text_is_sent_as_it_is() -> None:
    """Any character but half a surrogate goes into the body and comes out again."""
    said = '\u2028\0\U0001f600"\\\n' + b64encode(b"x").decode()
    assert sent(Message("user", said))[0]["content"] == said
