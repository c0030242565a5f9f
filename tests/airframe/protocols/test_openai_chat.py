"""Answers of chat completions, as OpenAI sends them and as everybody else does."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from airframe.endpoints import Limits
from airframe.errors import (
    AirframeError,
    BackendError,
    ErrorCategory,
    LimitExceededError,
    MalformedAnswerError,
    TruncatedAnswerError,
)
from airframe.protocols import AZURE, COMPATIBLE, OPENAI, OPENROUTER, ChatDialect, OpenAIChatProtocol
from airframe.protocols.protocol import DecodeOptions, StreamDecoder
from airframe.types import (
    AudioPart,
    FinishReason,
    InferenceResult,
    ReasoningPart,
    StreamEvent,
    TextPart,
    TokenEvent,
    ToolCall,
    ToolCallDeltaEvent,
    Usage,
)
from airframe.types.json_value import JSONObject

DONE = b"data: [DONE]\n\n"


def event(document: Any) -> bytes:
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **more})


def text(piece: str) -> bytes:
    return chunk({"content": piece})


def call(arguments: Any = None, *, name: str | None = None, **more: Any) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**more, "function": function}


def calls(*deltas: dict[str, Any]) -> bytes:
    return chunk({"tool_calls": list(deltas)})


STOP = chunk(finish="stop")
CALLED = chunk(finish="tool_calls")


def decoded(
    *frames: bytes, dialect: ChatDialect = COMPATIBLE, limits: Limits | None = None
) -> tuple[StreamDecoder, list[StreamEvent]]:
    """The decoder after these bytes and the end of the input, and its events. Raises what the decoder raises."""
    decoder = OpenAIChatProtocol(dialect).stream_decoder(DecodeOptions(limits=limits or Limits()))
    events: list[StreamEvent] = []
    decoder.feed(b"".join(frames), events)
    decoder.finish(events)
    return decoder, events


def streamed(*frames: bytes, dialect: ChatDialect = COMPATIBLE) -> InferenceResult:
    return decoded(*frames, dialect=dialect)[0].result()


def whole(
    message: dict[str, Any], finish: str | None = "stop", dialect: ChatDialect = COMPATIBLE, **more: Any
) -> InferenceResult:
    document = {"choices": [{"index": 0, "message": message, "finish_reason": finish}], **more}
    return OpenAIChatProtocol(dialect).decode(json.dumps(document).encode(), DecodeOptions())


def failed(*frames: bytes, dialect: ChatDialect = COMPATIBLE) -> AirframeError:
    with pytest.raises(AirframeError) as caught:
        decoded(*frames, dialect=dialect)
    return caught.value


# -- the shape of a stream


def test_azure_begins_with_a_chunk_that_is_about_the_prompt() -> None:
    """A first chunk without choices, id and model is no answer; its filter results are kept."""
    filters = [{"prompt_index": 0, "content_filter_results": {"hate": "safe"}}]
    first = event({"choices": [], "id": "", "model": "", "prompt_filter_results": filters})
    result = streamed(first, chunk({"content": "Hi"}, id="c1", model="gpt"), STOP, DONE, dialect=AZURE)
    assert (result.text, result.response_id, result.model) == ("Hi", "c1", "gpt")
    assert result.extra["prompt_filter_results"] == filters


@pytest.mark.parametrize(
    "usage_chunk",
    [
        event({"choices": [], "usage": {"prompt_tokens": 3}}),
        event({"choices": None, "usage": {"prompt_tokens": 3}}),
        chunk({"content": ""}, usage={"prompt_tokens": 3}),
        chunk({}, finish="stop", usage={"prompt_tokens": 3}),
        event({"choices": [{"index": 0, "delta": {}}], "usage": {"prompt_tokens": 3}}),
    ],
    ids=["no choices", "null choices", "with a choice", "finish repeated", "no finish key"],
)
def test_usage_comes_in_a_chunk_of_its_own_or_beside_a_choice(usage_chunk: bytes) -> None:
    """Wherever it stands, it is found, and the answer ends once."""
    decoder, events = decoded(text("Hi"), STOP, usage_chunk, DONE)
    assert decoder.result().usage.input_tokens == 3
    assert decoder.result().finish_reason is FinishReason.STOP
    assert events == [TokenEvent("Hi")]


def test_the_last_usage_counts() -> None:
    """xAI sends a running total with every chunk."""
    chunks = [chunk({"content": "a"}, usage={"completion_tokens": number}) for number in (1, 2)]
    assert streamed(*chunks, STOP, event({"choices": [], "usage": None}), DONE).usage.output_tokens == 2


def test_the_first_finish_reason_counts() -> None:
    """A second one, of whatever kind, changes nothing."""
    result = streamed(text("Hi"), chunk(finish="length"), STOP, DONE)
    assert (result.finish_reason, result.raw_finish_reason) == (FinishReason.LENGTH, "length")


@pytest.mark.parametrize(
    ("raw", "normalized"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("tool_call", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("something_new", "unknown"),
    ],
)
def test_finish_reasons(raw: str, normalized: str) -> None:
    """Each word has its meaning, an unknown one is unknown, and the backend's own word is kept."""
    for result in (streamed(text("Hi"), chunk(finish=raw), DONE), whole({"content": "Hi"}, raw)):
        assert (result.finish_reason, result.raw_finish_reason) == (FinishReason(normalized), raw)


def test_an_empty_finish_reason_is_none() -> None:
    """Some servers send "" until the end."""
    assert streamed(chunk({"content": "Hi"}, finish=""), STOP, DONE).raw_finish_reason == "stop"


@pytest.mark.parametrize("done", [b"data: [DONE]\n\n", b"data:[DONE]\n\n", b"data:  [DONE] \n\n", b"data: [DONE]"])
def test_the_end_marker_is_recognized(done: bytes) -> None:
    """With or without spaces around it, and without the empty line behind it."""
    assert decoded(text("Hi"), STOP, done)[0].complete


def test_a_finish_reason_is_proof_without_the_end_marker() -> None:
    """transformers serve never sends [DONE]."""
    assert streamed(text("Hi"), STOP).finish_reason is FinishReason.STOP


def test_the_end_marker_without_a_finish_reason_leaves_it_unknown() -> None:
    """The server says that it is done, but not why; nothing invents `stop`."""
    result = streamed(text("Hi"), DONE)
    assert (result.text, result.finish_reason, result.raw_finish_reason) == ("Hi", FinishReason.UNKNOWN, None)


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [DONE],
        [chunk({"role": "assistant", "content": ""}), DONE],
        [text("Hi")],
        [text("Hi"), chunk({"content": ""}), event({"choices": [], "usage": {"prompt_tokens": 1}})],
    ],
    ids=["nothing", "[DONE] alone", "an empty answer", "a clean end", "Ollama's lost error"],
)
def test_an_end_without_proof_is_truncation(frames: Sequence[bytes]) -> None:
    """Neither a finish reason nor an answer with [DONE]: something was lost."""
    assert isinstance(failed(*frames), TruncatedAnswerError)


def test_one_event_may_be_megabytes() -> None:
    """Five of them are read like any other."""
    piece = "x" * 5_000_000
    assert streamed(text(piece), STOP, DONE).text == piece


def test_only_the_first_of_several_answers_is_read() -> None:
    """`n` is not in our vocabulary; who asks for it by other ways is warned."""
    other = event({"choices": [{"index": 1, "delta": {"content": "B"}, "finish_reason": None}]})
    result = streamed(text("A"), other, other, STOP, DONE)
    assert result.text == "A"
    assert [warning.subject for warning in result.warnings] == ["choices"]


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_under_either_name(name: str) -> None:
    """Servers name it differently; where both are sent, it is said once."""
    result = streamed(chunk({name: "Hm."}), chunk({"reasoning": ".", "reasoning_content": "."}), text("Hi"), STOP, DONE)
    assert result.content == (ReasoningPart(text="Hm..", issuer="openai_compatible"), TextPart("Hi"))


# -- tool calls


def arguments_of(result: InferenceResult) -> list[tuple[str, str]]:
    return [(call.name, call.arguments) for call in result.tool_calls]


TWO_CALLS = {
    "OpenAI": [
        calls(call('{"a"', name="f", index=0, id="1")),
        calls(call(":1}", index=0)),
        calls(call('{"b":2}', name="g", index=1, id="2")),
    ],
    "whole, in one chunk": [
        calls(call('{"a":1}', name="f", index=0, id="1"), call('{"b":2}', name="g", index=1, id="2"))
    ],
    "interleaved": [
        calls(call('{"a"', name="f", index=0, id="1")),
        calls(call('{"b"', name="g", index=1, id="2")),
        calls(call(":2}", index=1)),
        calls(call(":1}", index=0)),
    ],
    "no index": [calls(call('{"a"', name="f", id="1")), calls(call(":1}")), calls(call('{"b":2}', name="g", id="2"))],
    "no index, all repeated": [
        calls(call('{"a"', name="f", id="1")),
        calls(call(":1}", name="f", id="1")),
        calls(call('{"b":2}', name="g", id="2")),
    ],
    "no index, one chunk": [calls(call('{"a":1}', name="f", id="1"), call('{"b":2}', name="g", id="2"))],
    "neither index nor id": [calls(call('{"a":1}', name="f"), call('{"b":2}', name="g"))],
    "the same id twice": [calls(call('{"a":1}', name="f", id="x"), call('{"b":2}', name="g", id="x"))],
    "the same index twice": [
        calls(call('{"a":1}', name="f", index=0, id="1")),
        calls(call('{"b":2}', name="g", index=0, id="2")),
    ],
    "the same index, no ids": [calls(call('{"a":1}', name="f", index=0)), calls(call('{"b":2}', name="g", index=0))],
    "counted from 1": [
        calls(call('{"a":1}', name="f", index=1, id="1")),
        calls(call('{"b":2}', name="g", index=2, id="2")),
    ],
    "absurd indices": [
        calls(call('{"a":1}', name="f", index=10**9, id="1")),
        calls(call('{"b":2}', name="g", index=-1, id="2")),
    ],
    "indices of other types": [
        calls(call('{"a":1}', name="f", index="0", id="1")),
        calls(call('{"b":2}', name="g", index=None, id="2")),
    ],
    "arguments as objects": [
        calls(call(name="f", index=0, id="1")),
        calls(call({"a": 1}, index=0)),
        calls(call({"b": 2}, name="g", index=1, id="2")),
    ],
    "id and name repeated": [
        calls(call('{"a"', name="f", index=0, id="1")),
        calls(call(":1}", name="f", index=0, id="1")),
        calls(call('{"b":2}', name="g", index=1, id="2")),
    ],
}


@pytest.mark.parametrize("chunks", TWO_CALLS.values(), ids=TWO_CALLS)
def test_two_calls_are_told_apart(chunks: Sequence[bytes]) -> None:
    """However a server numbers the pieces, each call gets its own arguments, and all ids differ."""
    decoder, events = decoded(*chunks, CALLED, DONE)
    result = decoder.result()
    assert arguments_of(result) == [("f", '{"a":1}'), ("g", '{"b":2}')]
    assert len({call.id for call in result.tool_calls}) == 2
    assert all(call.id and call.complete for call in result.tool_calls)
    deltas = [event for event in events if isinstance(event, ToolCallDeltaEvent)]
    assert ["".join(event.arguments for event in deltas if event.position == number) for number in (0, 1)] == [
        '{"a":1}', '{"b":2}'
    ]  # fmt: skip


def test_the_same_function_twice_without_ids() -> None:
    """Behind whole arguments, the same name begins another call."""
    again = [calls(call(f'{{"a":{number}}}', name="f", index=0)) for number in (1, 2)]
    assert arguments_of(streamed(*again, CALLED, DONE)) == [("f", '{"a":1}'), ("f", '{"a":2}')]


def test_a_whole_message_holds_one_call_an_entry() -> None:
    """There, indices and ids repeat without meaning."""
    entries = [call('{"a":1}', name="f", index=0, id="x"), call('{"b":2}', name="f", index=0, id="x"), call(name="g")]
    result = whole({"tool_calls": entries}, "tool_calls")
    assert arguments_of(result) == [("f", '{"a":1}'), ("f", '{"b":2}'), ("g", "{}")]
    assert [(call.id, call.id_generated) for call in result.tool_calls] == [
        ("x", False),
        ("call_1", True),
        ("call_2", True),
    ]


def test_ids_that_are_made_up_are_marked_and_avoid_the_given_ones() -> None:
    """A generated id is never one that the backend uses."""
    entries = [call("{}", name="f"), call("{}", name="g", id="call_0"), call("{}", name="h", id="")]
    result = whole({"tool_calls": entries}, "tool_calls")
    assert [(call.id, call.id_generated) for call in result.tool_calls] == [
        ("call_1", True),
        ("call_0", False),
        ("call_2", True),
    ]


@pytest.mark.parametrize("arguments", ["", None])
def test_no_arguments_are_an_empty_object(arguments: str | None) -> None:
    """A call without arguments can be parsed."""
    result = streamed(calls(call(arguments, name="f", index=0, id="1")), CALLED, DONE)
    assert result.tool_calls == (ToolCall(id="1", name="f", arguments="{}"),)
    assert result.tool_calls[0].parsed_arguments == {}


@pytest.mark.parametrize("arguments", ['{"a":', "[1]", "a=1", '{"a":1}{"b":2}'])
def test_arguments_that_are_no_object_are_kept_as_they_are(arguments: str) -> None:
    """Nothing is repaired: the text stays, and says by `parsed_arguments` that it is none."""
    (made,) = streamed(calls(call(arguments, name="f", index=0, id="1")), CALLED, DONE).tool_calls
    assert (made.arguments, made.parsed_arguments) == (arguments, None)


@pytest.mark.parametrize("native", ["length", "max_output_tokens", "MAX_TOKENS"])
def test_cut_arguments_under_openrouter_s_tool_calls_are_length(native: str) -> None:
    """OpenRouter calls it `tool_calls` and only its native reason tells of the cut; whole arguments are whole."""
    end = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls", "native_finish_reason": native}]})
    cut = streamed(calls(call('{"a":', name="f", index=0, id="1")), end, DONE, dialect=OPENROUTER)
    assert (cut.finish_reason, cut.raw_finish_reason) == (FinishReason.LENGTH, "tool_calls")
    full = streamed(calls(call('{"a":1}', name="f", index=0, id="1")), end, DONE, dialect=OPENROUTER)
    assert full.finish_reason is FinishReason.TOOL_CALLS


def test_more_calls_than_the_limit_are_refused() -> None:
    """A server cannot make calls without end."""
    many = [calls(call("{}", name="f", index=number)) for number in range(3)]
    with pytest.raises(LimitExceededError) as caught:
        decoded(*many, limits=Limits(tool_calls=2))
    assert caught.value.limit == "tool_calls"


# -- errors inside an answer


ERRORS = {
    "type": (event({"error": {"message": "x", "type": "server_error", "code": None}}), ErrorCategory.SERVER),
    "code": (event({"error": {"message": "x", "code": "rate_limit_exceeded"}}), ErrorCategory.RATE_LIMIT),
    "integer": (event({"error": {"object": "error", "message": "x", "code": 400}}), ErrorCategory.INVALID_REQUEST),
    "status as text": (event({"error": {"message": "x", "code": "429"}}), ErrorCategory.RATE_LIMIT),
    "a text": (event({"error": "server busy"}), ErrorCategory.UNKNOWN),
    "named, bare": (b'event: error\ndata: {"code": 500, "message": "x"}\n\n', ErrorCategory.SERVER),
    "named, LM Studio": (
        b'event: error\ndata: {"error": {"message": "Input does not fit in context length."}}\n\n',
        ErrorCategory.CONTEXT_LENGTH,
    ),
    "field": (b'error: {"code": 503, "message": "x"}\n\n', ErrorCategory.OVERLOADED),
    "OpenRouter": (
        event(
            {
                "error": {"message": "x", "code": 502},
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
            }
        ),
        ErrorCategory.OVERLOADED,
    ),
    "choice": (
        event(
            {"choices": [{"index": 0, "delta": {}, "error": {"message": "x", "code": 502}, "finish_reason": "error"}]}
        ),
        ErrorCategory.OVERLOADED,
    ),
    "finish": (chunk(finish="error"), ErrorCategory.UNKNOWN),
}


@pytest.mark.parametrize(("frame", "category"), ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("after", [b"", DONE], ids=["", "then [DONE]"])
def test_an_error_in_the_stream_has_its_own_category(frame: bytes, category: ErrorCategory, after: bytes) -> None:
    """In every shape seen it is an error of the backend, and [DONE] behind it heals nothing."""
    error = failed(text("The sky"), frame, after)
    assert isinstance(error, BackendError)
    assert (error.category, error.status) == (category, 200)


def test_an_error_in_a_whole_answer_is_an_error() -> None:
    """Under 200, too, by its own code; LM Studio answers so on unknown paths."""
    body = b'{"error": "Unexpected endpoint or method. (POST /chat/completions)"}'
    with pytest.raises(BackendError) as caught:
        OpenAIChatProtocol(COMPATIBLE).decode(body, DecodeOptions())
    assert caught.value.category is ErrorCategory.UNSUPPORTED


@pytest.mark.parametrize("nothing", [None, "", {}, False])
def test_an_empty_error_is_none(nothing: Any) -> None:
    """Some servers carry the member always."""
    assert whole({"content": "Hi"}, error=nothing).text == "Hi"


@pytest.mark.parametrize(
    "frame",
    [
        chunk({"content": 7}),
        chunk({"content": {"a": 1}}),
        chunk({"content": ["a"]}),
        chunk({"reasoning": 7}),
        chunk({"tool_calls": {"a": 1}}),
        chunk({"tool_calls": ["a"]}),
        chunk({"audio": {"data": "%"}}),
        event({"choices": [{"delta": {}, "finish_reason": 7}]}),
        event({"choices": {"a": 1}}),
        event({"choices": ["a"]}),
        event({"choices": [{"delta": "a"}]}),
        event({"choices": [], "usage": 7}),
        event([]),
        event(None),
        b"data: NaN\n\n",
        b"data: " + b"[" * 200_000 + b"\n\n",
        b"data: {\n\n",
        b"data: \xff\n\n",
        b"data: <html>\n\n",
    ],
)
def test_what_has_the_wrong_shape_is_malformed(frame: bytes) -> None:
    """It is neither skipped nor guessed at, and nothing of Python's own comes out."""
    error = failed(text("The sky"), frame, STOP, DONE)
    assert isinstance(error, MalformedAnswerError)


@pytest.mark.parametrize(
    "frame",
    [
        chunk({"content": None}),
        event({"choices": [None]}),
        event({"choices": [{"delta": None}]}),
        event({"choices": [{"index": None, "delta": {"tool_calls": None}}]}),
        event({"type": "keepalive"}),
        event({}),
        chunk({"role": 7, "x_new": {"a": 1}}),
        b": ping\n\n",
        b"event: something\ndata: {}\n\n",
        b'data: {"choices":[],"x":' + b"1" * 4000 + b"}\n\n",
    ],
)
def test_what_says_nothing_is_passed_over(frame: bytes) -> None:
    """Nulls, unknown members, events and comments disturb nothing."""
    assert streamed(frame, text("Hi"), frame, STOP, frame, DONE).text == "Hi"


# -- whole answers


def test_openrouter_begins_with_spaces() -> None:
    """It sends them while the model works."""
    body = (
        b"\n         \n\n   "
        + json.dumps({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}).encode()
    )
    assert OpenAIChatProtocol(OPENROUTER).decode(body, DecodeOptions()).text == "Hi"


@pytest.mark.parametrize("body", [b"{}", b'{"choices": []}', b'{"choices": null}', b'{"object": "list", "data": []}'])
def test_a_body_without_an_answer_is_malformed(body: bytes) -> None:
    """An empty success is none."""
    with pytest.raises(MalformedAnswerError, match="no choices"):
        OpenAIChatProtocol().decode(body, DecodeOptions())


def test_a_body_with_neither_content_nor_reason_is_truncated() -> None:
    """The server broke off and sent what it had: nothing."""
    with pytest.raises(TruncatedAnswerError):
        whole({"content": ""}, None)


def test_content_may_be_null() -> None:
    """The budget may be spent on reasoning."""
    result = whole({"content": None}, "length")
    assert (result.content, result.finish_reason) == ((), FinishReason.LENGTH)


def test_a_refusal_is_one_although_the_reason_is_stop() -> None:
    """OpenAI says `stop`; the words are a refusal, not the answer."""
    for result in (
        whole({"content": None, "refusal": "I will not."}),
        streamed(chunk({"refusal": "I will "}), chunk({"refusal": "not."}), STOP),
    ):
        assert (result.text, result.refusal, result.finish_reason) == ("", "I will not.", FinishReason.REFUSAL)


def test_mistral_sends_content_in_blocks() -> None:
    """Of models that think; a block of a kind that nobody knows is kept and warned of."""
    blocks = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Hi"}]
    for result in (whole({"content": blocks}), streamed(*(chunk({"content": [block]}) for block in blocks), STOP)):
        assert (result.reasoning, result.text) == ("Hm.", "Hi")
    strange = whole({"content": [{"type": "hologram"}, *blocks]})
    assert (strange.text, strange.extra["content"]) == ("Hi", [{"type": "hologram"}])
    assert [warning.subject for warning in strange.warnings] == ["content"]


def test_a_spoken_answer_has_sound_and_a_transcript() -> None:
    """Sound comes in pieces of base64, words beside it; OpenAI gives such a stream no finish reason."""
    result = streamed(
        chunk({"audio": {"id": "audio_1", "transcript": "Su"}}),
        chunk({"audio": {"data": b64encode(b"ab").decode()}}),
        chunk({"audio": {"data": b64encode(b"c").decode(), "transcript": "re"}}),
        event({"choices": [{"index": 0, "delta": {"audio": {"expires_at": 1}}}]}),
        DONE,
    )
    assert result.content == (AudioPart(data=b"abc", id="audio_1", transcript="Sure"),)
    assert result.finish_reason is FinishReason.UNKNOWN


def test_annotations_logprobs_and_unknown_members_are_kept() -> None:
    """What the backend says beside the answer is not lost."""
    note = {
        "type": "url_citation",
        "url_citation": {"url": "https://a.test", "title": "A", "start_index": 1, "end_index": 3},
    }
    document = {
        "choices": [
            {"message": {"content": "Hi", "annotations": [note], "x_message": 1}, "finish_reason": "stop",
             "logprobs": {"content": [{"token": "Hi", "logprob": -0.1}]}, "x_choice": 2}
        ],
        "system_fingerprint": "fp",
    }  # fmt: skip
    result = OpenAIChatProtocol().decode(json.dumps(document).encode(), DecodeOptions())
    (found,) = result.annotations
    assert (found.kind, found.url, found.title, found.start, found.end) == ("url_citation", "https://a.test", "A", 1, 3)
    assert result.logprobs == [{"token": "Hi", "logprob": -0.1}]
    assert result.extra == {"system_fingerprint": "fp", "x_message": 1, "x_choice": 2}


# -- usage


def usage_of(usage: Any, dialect: ChatDialect = OPENAI) -> InferenceResult:
    return whole({"content": "Hi"}, dialect=dialect, usage=usage)


def test_usage_in_full() -> None:
    """Every count of the format has its place, and the backend's own object is kept."""
    raw: JSONObject = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 10, "audio_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 7, "rejected_prediction_tokens": 1},
    }
    assert usage_of(raw).usage == Usage(
        input_tokens=100,
        output_tokens=50,
        total_tokens=150,
        cache_read_tokens=40,
        cache_write_tokens=10,
        reasoning_tokens=30,
        input_audio_tokens=5,
        output_audio_tokens=7,
        raw=raw,
    )


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None, "prompt_tokens_details": None}])
def test_unknown_usage_is_not_zero(usage: Any) -> None:
    """What is not said is None, on a stream that was asked for it, too."""
    found = usage_of(usage).usage
    assert (found.input_tokens, found.output_tokens, found.total_tokens, found.cache_read_tokens) == (None,) * 4
    assert streamed(text("Hi"), STOP, DONE).usage == Usage()


def test_reasoning_outside_the_output_is_added_to_it() -> None:
    """xAI counts it beside the completion, as its total shows; otherwise it is part of it."""
    outside = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 22,
        "completion_tokens_details": {"reasoning_tokens": 7},
    }
    assert usage_of(outside).usage.output_tokens == 12
    assert usage_of({**outside, "total_tokens": 15}).usage.output_tokens == 5
    assert usage_of({**outside, "total_tokens": None}).usage.output_tokens == 5


def test_sums_that_do_not_add_up_are_not_asserted() -> None:
    """More cached than sent (Grok on Azure), more reasoning than output (a gateway): as the backend says."""
    found = usage_of(
        {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}, "completion_tokens": 10,
         "completion_tokens_details": {"reasoning_tokens": 96}, "total_tokens": 3}
    ).usage  # fmt: skip
    assert (found.input_tokens, found.cache_read_tokens, found.output_tokens, found.total_tokens) == (5, 9, 10, 3)


@pytest.mark.parametrize("wrong", [-1, 1.5, 10**30, "7", True, [7], {"a": 1}])
def test_a_count_that_cannot_be_one_is_unknown(wrong: Any) -> None:
    """It must never reach a bill, and a warning names the field; whole floats are counts."""
    result = usage_of({"prompt_tokens": wrong, "completion_tokens": 7.0})
    assert (result.usage.input_tokens, result.usage.output_tokens) == (None, 7)
    assert [warning.subject for warning in result.warnings] == ["usage.prompt_tokens"]


@pytest.mark.parametrize(
    ("cost", "decimal"),
    [
        (0.00007159, "0.00007159"),
        (0, "0"),
        (1, "1"),
        (None, None),
        (-1, None),
        ("1", None),
        (True, None),
        (1e300, None),
    ],
)
def test_openrouter_s_cost(cost: Any, decimal: str | None) -> None:
    """It is exact, and what cannot be one is unknown."""
    found = usage_of({"prompt_tokens": 1, "cost": cost}, OPENROUTER).reported_cost
    assert found == (None if decimal is None else Decimal(decimal))


@pytest.mark.parametrize(
    ("told", "tier"),
    [
        ({"service_tier": "flex"}, "flex"),
        ({"usage": {"prompt_tokens": 1, "service_tier": "on_demand"}}, "on_demand"),
        ({"service_tier": None}, None),
        ({"service_tier": 7}, None),
    ],
)
def test_the_tier_that_is_billed(told: dict[str, Any], tier: str | None) -> None:
    """It stands beside the answer, or (Groq) inside its usage; what is no word names none."""
    assert whole({"content": "Hi"}, **told).service_tier == tier
