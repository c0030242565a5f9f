"""llama.cpp's own completions: a prompt in, text out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airframe.errors import BackendError, ErrorCategory, InvalidRequestError, MalformedAnswerError, TruncatedAnswerError
from airframe.protocols import LlamaCompletionProtocol
from airframe.protocols.protocol import DecodeOptions
from airframe.types import (
    AudioPart,
    FilePart,
    FinishReason,
    ImagePart,
    InferenceRequest,
    InferenceResult,
    JSONSchemaFormat,
    Message,
    Part,
    ReasoningOptions,
    StreamEvent,
    TextPart,
    TokenEvent,
    ToolSpec,
    Usage,
)

PROTOCOL = LlamaCompletionProtocol()
HELLO = Message("user", "Hi")
PIECE = {"index": 0, "content": " from", "tokens": [263], "stop": False, "tokens_predicted": 2, "tokens_evaluated": 21}
LAST = {
    "content": "",
    "stop": True,
    "stop_type": "eos",
    "stopping_word": "",
    "truncated": False,
    "model": "tiny",
    "tokens_evaluated": 21,
    "tokens_predicted": 20,
    "tokens_cached": 40,
    "timings": {"cache_n": 20, "prompt_n": 1},
    "prompt": "<user>",
    "generation_settings": {"top_k": 40},
}


def frame(document: Any, **changes: Any) -> bytes:
    return b"data: " + json.dumps({**document, **changes}).encode() + b"\n\n"


def streamed(*frames: bytes) -> InferenceResult:
    decoder = PROTOCOL.stream_decoder(DecodeOptions())
    events: list[StreamEvent] = []
    decoder.feed(b"".join(frames), events)
    decoder.finish(events)
    return decoder.result()


def body(prompt: str = "<user>", **fields: Any) -> dict[str, Any]:
    request: dict[str, Any] = {"messages": [HELLO], **fields}
    wire = PROTOCOL.encode_prompt(InferenceRequest(**request), prompt, model=None, stream=False)
    assert wire.warnings == ()
    sent: dict[str, Any] = json.loads(wire.body)
    return {name: value for name, value in sent.items() if name not in {"prompt", "stream", "cache_prompt"}}


# -- requests


def test_messages_go_through_the_server_s_own_template() -> None:
    """The server turns the conversation into a prompt; nothing is joined here."""
    request = InferenceRequest(messages=[HELLO], reasoning=ReasoningOptions(enabled=False))
    wire = PROTOCOL.encode_template(request)
    assert wire.path == "/apply-template"
    assert json.loads(wire.body) == {
        "messages": [{"role": "user", "content": "Hi"}],
        "chat_template_kwargs": {"enable_thinking": False},
    }
    assert PROTOCOL.decode_template(b'{"prompt": "<user>Hi"}') == "<user>Hi"
    with pytest.raises(MalformedAnswerError, match="without a prompt"):
        PROTOCOL.decode_template(b"{}")


@pytest.mark.parametrize(
    "part",
    [
        ImagePart(data=b"\x89PNG", media_type="image/png"),
        AudioPart(data=b"RIFF", format="wav"),
        FilePart(file_id="file_1"),
    ],
    ids=lambda part: type(part).__name__,
)
def test_a_prompt_is_text_alone(part: Part) -> None:
    """The template would leave a mark where an image was, and nothing behind it: it is left out, and named."""
    message = Message("user", [TextPart("Look."), part])
    wire = PROTOCOL.encode_template(InferenceRequest(messages=[message]))
    assert json.loads(wire.body)["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Look."}]}]
    assert [warning.subject for warning in wire.warnings] == [type(part).__name__]
    with pytest.raises(InvalidRequestError, match="api_type='openai'"):
        PROTOCOL.encode_template(InferenceRequest(messages=[message], strict=True))


def test_a_prompt_keeps_its_cache() -> None:
    """The next turn begins with the same tokens."""
    wire = PROTOCOL.encode_prompt(InferenceRequest(messages=[HELLO]), "<user>Hi", model="m", stream=True)
    assert wire.path == "/completion"
    assert json.loads(wire.body) == {"prompt": "<user>Hi", "stream": True, "cache_prompt": True, "model": "m"}
    assert (
        json.loads(PROTOCOL.encode(InferenceRequest(messages=[HELLO]), model=None, stream=False).body)["prompt"] == "Hi"
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 7, "stop": ["a"]}, {"n_predict": 7, "stop": ["a"]}),
        (
            {"temperature": 0.0, "top_k": 4, "repeat_penalty": 1.1, "seed": 0},
            {"temperature": 0.0, "top_k": 4, "repeat_penalty": 1.1, "seed": 0},
        ),
        ({"logprobs": True, "top_logprobs": 2}, {"n_probs": 2}),
        ({"logprobs": True}, {"n_probs": 1}),
        ({"logprobs": False}, {}),
        ({"response_format": JSONSchemaFormat(schema={"type": "array"})}, {"json_schema": {"type": "array"}}),
        ({"response_format": "json"}, {"json_schema": {"type": "object"}}),
        ({"extra_params": {"grammar": 'root ::= "yes"'}}, {"grammar": 'root ::= "yes"'}),
    ],
)
def test_options_in_llama_cpp_s_words(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each option under the name that the server knows; zero is said, too, and nothing is warned of."""
    assert body(**fields) == expected


@pytest.mark.parametrize(
    ("fields", "subject"),
    [
        ({"tools": [ToolSpec(name="f")]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"reasoning": ReasoningOptions(effort="low")}, "reasoning.effort"),
        ({"reasoning": ReasoningOptions(budget_tokens=9)}, "reasoning.budget_tokens"),
        ({"verbosity": "low"}, "verbosity"),
        ({"user": "u"}, "user"),
    ],
)
def test_what_plain_text_cannot_carry_is_named(fields: dict[str, Any], subject: str) -> None:
    """It becomes a warning, or an error if the request is strict."""
    asked: dict[str, Any] = {"messages": [HELLO], **fields}
    wire = PROTOCOL.encode_prompt(InferenceRequest(**asked), "", model=None, stream=False)
    assert [warning.subject for warning in wire.warnings] == [subject]
    with pytest.raises(InvalidRequestError, match=subject):
        PROTOCOL.encode_prompt(InferenceRequest(**asked, strict=True), "", model=None, stream=False)


# -- answers


def test_a_stream_ends_by_its_own_mark() -> None:
    """There is no [DONE]: `stop` proves the answer, and carries its counts."""
    decoder = PROTOCOL.stream_decoder(DecodeOptions())
    events: list[StreamEvent] = []
    decoder.feed(frame(PIECE) + frame(LAST), events)
    assert events == [TokenEvent(" from")]
    assert decoder.complete
    result = decoder.result()
    assert (result.text, result.finish_reason, result.raw_finish_reason) == (" from", FinishReason.STOP, "eos")
    assert (result.model, result.timings) == ("tiny", LAST["timings"])
    assert result.usage == Usage(
        input_tokens=21,
        output_tokens=20,
        total_tokens=41,
        cache_read_tokens=20,
        raw={"tokens_evaluated": 21, "tokens_predicted": 20, "tokens_cached": 40},
    )
    assert result.extra == {"stopping_word": ""}


@pytest.mark.parametrize(
    ("raw", "normalized"),
    [("eos", "stop"), ("word", "stop"), ("limit", "length"), ("none", "unknown"), (None, "unknown")],
)
def test_stop_types(raw: str | None, normalized: str) -> None:
    """Each of llama.cpp's words has its meaning; others are unknown."""
    result = PROTOCOL.decode(json.dumps({**LAST, "content": "Hi", "stop_type": raw}).encode(), DecodeOptions())
    assert (result.text, result.finish_reason, result.raw_finish_reason) == ("Hi", FinishReason(normalized), raw)


def test_what_has_been_counted_is_in_the_partial_result() -> None:
    """Every piece tells the counts so far, so a broken stream still has them, but no finish."""
    decoder = PROTOCOL.stream_decoder(DecodeOptions())
    decoder.feed(frame(PIECE), [])
    with pytest.raises(TruncatedAnswerError):
        decoder.finish([])
    partial = decoder.result()
    assert (partial.text, partial.finish_reason) == (" from", None)
    assert (partial.usage.input_tokens, partial.usage.output_tokens) == (21, 2)


def test_a_prompt_that_was_cut_is_warned_of() -> None:
    """The server may drop its beginning to fit the context."""
    assert [warning.subject for warning in streamed(frame(LAST, truncated=True)).warnings] == ["messages"]


def test_probabilities_are_kept() -> None:
    """Those of all pieces, in order."""
    pieces = [frame(PIECE, completion_probabilities=[{"id": number}]) for number in (1, 2)]
    assert streamed(*pieces, frame(LAST)).logprobs == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize(
    "error",
    [
        b'data: {"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}\n\n',
        b'error: {"code":500,"message":"Context size has been exceeded.","type":"server_error"}\n\n',
        b'event: error\ndata: {"code":500,"message":"Context size has been exceeded.","type":"server_error"}\n\n',
    ],
    ids=["data", "the field of old builds", "named"],
)
def test_errors_in_the_stream(error: bytes) -> None:
    """In each of the shapes of llama.cpp's builds, by its own words."""
    with pytest.raises(BackendError) as caught:
        streamed(frame(PIECE), error)
    assert caught.value.category is ErrorCategory.CONTEXT_LENGTH


@pytest.mark.parametrize("body", [b"{}", b'{"content": "Hi"}', b'{"content": "Hi", "stop": false}', b"[]"])
def test_a_body_that_does_not_say_that_it_stopped_is_no_answer(body: bytes) -> None:
    """Nothing invents the end."""
    with pytest.raises(MalformedAnswerError):
        PROTOCOL.decode(body, DecodeOptions())
