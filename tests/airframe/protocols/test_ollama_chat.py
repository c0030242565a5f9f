"""Ollama's native chat: what is sent, and what the answers mean. The common promises are in test_conformance.py."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airframe.errors import BackendError, ErrorCategory, TruncatedAnswerError
from airframe.protocols import OllamaChatProtocol
from airframe.protocols.protocol import DecodeOptions
from airframe.types import (
    FinishReason,
    ImagePart,
    InferenceRequest,
    InferenceResult,
    JSONSchemaFormat,
    Message,
    ReasoningOptions,
    ReasoningPart,
    StreamEvent,
    TextPart,
    ToolCall,
    ToolResultPart,
    ToolSpec,
)

HI = [Message("user", "Hi")]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def sent(protocol: OllamaChatProtocol | None = None, **options: Any) -> tuple[dict[str, Any], list[str]]:
    """The body, and the subjects of the warnings."""
    request = replace(InferenceRequest(messages=HI), **options)
    wire = (protocol or OllamaChatProtocol()).encode(request, model="m", stream=True)
    assert wire.path == "/api/chat"
    return json.loads(wire.body), [warning.subject for warning in wire.warnings]


def whole(num_ctx: int | None = None, **document: Any) -> InferenceResult:
    answer = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}
    body = json.dumps(answer | document).encode()
    return OllamaChatProtocol(num_ctx=num_ctx).decode(body, DecodeOptions())


def test_smallest_request() -> None:
    """`stream` is always said, because Ollama streams by default."""
    assert sent() == ({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}, [])


def test_sampling_goes_into_options() -> None:
    """Sampling has Ollama's names inside `options`, and options of one's own win."""
    body, warnings = sent(
        OllamaChatProtocol(num_ctx=8192, keep_alive="10m"),
        max_tokens=7,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        min_p=0.1,
        repeat_penalty=1.1,
        presence_penalty=0.2,
        frequency_penalty=0.3,
        seed=1,
        stop=["END"],
        logprobs=True,
        top_logprobs=2,
        extra_params={"options": {"num_thread": 1, "seed": 2}, "truncate": False},
    )
    assert warnings == []
    assert body["options"] == {
        "num_ctx": 8192,
        "num_predict": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.1,
        "repeat_penalty": 1.1,
        "presence_penalty": 0.2,
        "frequency_penalty": 0.3,
        "seed": 2,
        "stop": ["END"],
        "num_thread": 1,
    }
    assert (body["keep_alive"], body["logprobs"], body["top_logprobs"]) == ("10m", True, 2)
    assert body["truncate"] is False


@pytest.mark.parametrize(
    ("options", "think"),
    [
        (ReasoningOptions(enabled=True), True),
        (ReasoningOptions(enabled=False), False),
        (ReasoningOptions(effort="high"), "high"),
        (ReasoningOptions(effort="minimal"), "low"),
        (ReasoningOptions(effort="xhigh"), "max"),
        (ReasoningOptions(effort="none"), False),
        (ReasoningOptions(effort="high", enabled=False), False),
    ],
)
def test_thinking(options: ReasoningOptions, think: object) -> None:
    """Reasoning is switched by `think`, in Ollama's words."""
    assert sent(reasoning=options)[0]["think"] == think


def test_formats() -> None:
    """A schema is sent as it is, and `json` by its name."""
    assert sent(response_format=JSONSchemaFormat(schema=SCHEMA))[0]["format"] == SCHEMA
    assert sent(response_format="json")[0]["format"] == "json"
    assert "format" not in sent(response_format="text")[0]


def test_tools() -> None:
    """Tools have OpenAI's shape; a choice that Ollama does not know is warned of, and `none` leaves the tools out."""
    tool = ToolSpec(name="look", description="Look.", parameters=SCHEMA)
    body, warnings = sent(tools=[tool], tool_choice="required")
    assert body["tools"] == [
        {"type": "function", "function": {"name": "look", "description": "Look.", "parameters": SCHEMA}}
    ]
    assert warnings == ["tool_choice"]
    assert sent(tools=[tool], tool_choice="auto")[1] == []
    assert "tools" not in sent(tools=[tool], tool_choice="none")[0]


def test_conversation() -> None:
    """Thoughts, calls with arguments as objects, results with the tool's name, and images as bare base64."""
    image = ImagePart(data=b"\x89PNG", media_type="image/png")
    body, warnings = sent(
        messages=[
            Message("developer", "Be brief."),
            Message("user", [TextPart("What is this?"), image, ImagePart(url="data:image/png;base64,iVBORw==")]),
            Message(
                "assistant",
                [ReasoningPart(text="Hm.", issuer="ollama"), ToolCall(id="c1", name="look", arguments='{"at":1}')],
            ),
            Message("tool", [ToolResultPart(tool_call_id="c1", content=[TextPart("A cat."), image])]),
        ]
    )
    assert warnings == []
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is this?", "images": ["iVBORw==", "iVBORw=="]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "Hm.",
            "tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": {"at": 1}}}],
        },
        {"role": "tool", "content": "A cat.", "tool_call_id": "c1", "tool_name": "look", "images": ["iVBORw=="]},
    ]


def test_arguments_that_are_no_object_are_warned_of() -> None:
    """Ollama takes objects only, so broken arguments of an old call cannot be said again."""
    body, warnings = sent(messages=[*HI, Message("assistant", [ToolCall(id="c1", name="look", arguments='{"a')])])
    assert body["messages"][1]["tool_calls"][0]["function"]["arguments"] == {}
    assert warnings == ["ToolCall.arguments"]


def test_missing_prompt_count_is_unknown() -> None:
    """Ollama leaves out `prompt_eval_count` when all of the prompt was cached: its tokens are unknown, not zero."""
    usage = whole(eval_count=5, total_duration=1).usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (None, 5, None)


def test_missing_answer_count_is_zero_only_without_an_answer() -> None:
    """`eval_count` is left out when it is 0; beside an answer that cannot be."""
    assert whole(prompt_eval_count=5, total_duration=1).usage.output_tokens is None
    silent = whole(message={"role": "assistant", "content": ""}, prompt_eval_count=5, total_duration=1).usage
    assert (silent.output_tokens, silent.total_tokens) == (0, 5)
    assert whole(message={"role": "assistant", "content": ""}, prompt_eval_count=5).usage.output_tokens is None


def test_a_prompt_that_fills_the_context_is_warned_of() -> None:
    """Ollama cuts long prompts silently; that it did shows in a count that equals the context."""
    (warning,) = whole(num_ctx=2048, prompt_eval_count=2048, eval_count=1).warnings
    assert "2048" in warning.message
    assert whole(num_ctx=2048, prompt_eval_count=2047, eval_count=1).warnings == ()


def test_durations_are_kept() -> None:
    """Durations are in `timings`, in nanoseconds as they were sent; fields that nobody knows are in `extra`."""
    result = whole(load_duration=12, total_duration=34, remote_model="x")
    assert result.timings == {"load_duration": 12, "total_duration": 34}
    assert result.extra == {"remote_model": "x"}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("load", FinishReason.UNKNOWN),
        (None, FinishReason.UNKNOWN),
    ],
)
def test_finish_reasons(raw: str | None, reason: FinishReason) -> None:
    """The end is normalized; what Ollama said stays beside it."""
    result = whole(done_reason=raw)
    assert (result.finish_reason, result.raw_finish_reason) == (reason, raw)


def test_ids_are_made_where_there_are_none() -> None:
    """Servers before 2026 send no ids of tool calls; arguments that came as an object are JSON text again."""
    call = {"function": {"name": "look", "arguments": {"city": "Oslo"}}}
    result = whole(message={"role": "assistant", "content": "", "tool_calls": [call, call]})
    assert [(made.id, made.id_generated, made.arguments) for made in result.tool_calls] == [
        ("call_0", True, '{"city":"Oslo"}'),
        ("call_1", True, '{"city":"Oslo"}'),
    ]
    assert result.finish_reason is FinishReason.TOOL_CALLS


def test_lines_in_place_of_one_document() -> None:
    """A server that streams what was asked for whole is understood."""
    lines = [
        {"model": "m", "message": {"role": "assistant", "content": "Hel"}, "done": False},
        {"model": "m", "message": {"role": "assistant", "content": "lo"}, "done": True, "done_reason": "stop"},
    ]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    assert OllamaChatProtocol().decode(body, DecodeOptions()).text == "Hello"


def test_an_answer_that_is_not_done_is_cut() -> None:
    """Without `done` nothing proves that the answer is whole."""
    with pytest.raises(TruncatedAnswerError):
        whole(done=False)


def test_an_error_line_ends_the_stream() -> None:
    """A failure after the first words is raised, and the words are kept."""
    decoder = OllamaChatProtocol().stream_decoder(DecodeOptions())
    events: list[StreamEvent] = []
    decoder.feed(b'{"model":"m","message":{"role":"assistant","content":"Hel"},"done":false}\n', events)
    with pytest.raises(BackendError, match="unexpected EOF") as caught:
        decoder.feed(b'{"error":"an error was encountered while running the model: unexpected EOF"}\n', events)
    assert caught.value.category is ErrorCategory.SERVER
    assert decoder.result().text == "Hel"
    assert decoder.result().finish_reason is None
