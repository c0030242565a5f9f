"""What Anthropic's Messages say, beyond what every wire format promises: see tests/airframe/test_conformance.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airframe import (
    AirframeError,
    BackendError,
    ErrorCategory,
    FinishReason,
    InferenceResult,
    MalformedAnswerError,
    Message,
    StreamEvent,
    TruncatedAnswerError,
)
from airframe.protocols import AnthropicMessagesProtocol
from airframe.protocols.protocol import DecodeOptions
from airframe.types import HostedToolPart, InferenceRequest, ReasoningEvent, ReasoningPart, TextPart, TokenEvent

PROTOCOL = AnthropicMessagesProtocol()
START = {"type": "message_start", "message": {"id": "msg_1", "model": "claude-opus-5-5", "usage": {"input_tokens": 9}}}
STOP = {"type": "message_stop"}


def frame(event: dict[str, Any], name: str | None = None) -> bytes:
    return f"event: {name or event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ending(reason: str = "end_turn", usage: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, **more}, "usage": usage or {"output_tokens": 5}}


def stream(*events: dict[str, Any], options: DecodeOptions | None = None) -> tuple[list[StreamEvent], InferenceResult]:
    decoder = PROTOCOL.stream_decoder(options or DecodeOptions())
    heard: list[StreamEvent] = []
    decoder.feed(b"".join(map(frame, events)), heard)
    decoder.finish(heard)
    return heard, decoder.result()


def whole(*content: dict[str, Any], **fields: Any) -> InferenceResult:
    message = {"type": "message", "id": "msg_1", "model": "m", "content": content, "stop_reason": "end_turn", **fields}
    return PROTOCOL.decode(json.dumps(message).encode(), DecodeOptions())


# -- blocks


def test_two_blocks_open_at_once_stay_apart_and_in_order() -> None:
    """Pieces belong to the block with their index, and the parts stand in the order in which the blocks began."""
    heard, result = stream(
        START,
        start(0, type="text", text=""),
        start(1, type="text", text=""),
        delta(1, type="text_delta", text="wor"),
        delta(0, type="text_delta", text="Hello "),
        delta(1, type="text_delta", text="ld"),
        stop(1),
        stop(0),
        ending(),
        STOP,
    )
    assert result.content == (TextPart("Hello "), TextPart("world"))
    assert heard == [TokenEvent("wor"), TokenEvent("Hello "), TokenEvent("ld")]


def test_a_block_that_is_never_closed_is_closed_by_the_end() -> None:
    """After `message_stop` everything that came counts, a thought's signature included."""
    _, result = stream(
        START,
        start(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="Hm."),
        delta(0, type="signature_delta", signature="Ab=="),
        ending(),
        STOP,
    )
    assert result.content == (ReasoningPart(text="Hm.", issuer="anthropic", signature="Ab=="),)


def test_a_repeated_signature_replaces_the_first() -> None:
    """Signatures are not pieces: the last one is the signature."""
    _, result = stream(
        START,
        start(0, type="thinking", thinking="", signature=""),
        delta(0, type="signature_delta", signature="Ab=="),
        delta(0, type="signature_delta", signature="Cd=="),
        stop(0),
        ending(),
        STOP,
    )
    assert result.content == (ReasoningPart(text="", issuer="anthropic", signature="Cd=="),)


def test_what_was_thought_and_done_goes_back_as_it_came() -> None:
    """An answer appended to the history is sent again block by block, nothing changed, nothing warned."""
    content: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": " Hm.\n", "signature": "Ab+/=="},
        {"type": "thinking", "thinking": "", "signature": "Cd=="},
        {"type": "redacted_thinking", "data": "Ef=="},
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"type": "web_search_result", "url": "u"}]},
        {"type": "text", "text": "Rain.", "citations": [{"type": "web_search_result_location", "url": "u"}]},
        {"type": "x_new_block", "x_value": [1, None]},
        {"type": "tool_use", "id": "t1", "name": "a", "input": {"x": 1}, "caller": {"type": "code_execution_20260120"}},
    ]
    answer = whole(*content, stop_reason="tool_use").message
    wire = PROTOCOL.encode(InferenceRequest(messages=[Message("user", "Hi"), answer]), model="m", stream=False)
    assert json.loads(wire.body)["messages"][1] == {"role": "assistant", "content": content}
    assert wire.warnings == ()


def test_a_thought_that_was_cut_has_no_signature() -> None:
    """The partial result of a broken stream says so: an unclosed thought cannot be sent back."""
    decoder = PROTOCOL.stream_decoder(DecodeOptions())
    heard: list[StreamEvent] = []
    block = start(0, type="thinking", thinking="", signature="")
    decoder.feed(b"".join(map(frame, (START, block, delta(0, type="thinking_delta", thinking="Hm")))), heard)
    with pytest.raises(TruncatedAnswerError):
        decoder.finish(heard)
    assert heard == [ReasoningEvent("Hm")]
    assert decoder.result().content == (ReasoningPart(text="Hm", issuer="anthropic"),)


def test_a_stop_reason_alone_is_no_end() -> None:
    """A stream that ends before `message_stop` was cut, even when the reason to stop is known."""
    with pytest.raises(TruncatedAnswerError):
        stream(START, start(0, type="text", text="Hi"), stop(0), ending())


def test_an_input_given_whole_at_the_beginning() -> None:
    """A server that does not send a call's input in pieces is understood, too."""
    _, result = stream(
        START, start(0, type="tool_use", id="t1", name="a", input={"x": 1}), stop(0), ending("tool_use"), STOP
    )
    assert result.tool_calls[0].parsed_arguments == {"x": 1}


def test_an_input_given_twice_counts_once() -> None:
    """Pieces win over what the beginning of the block held."""
    _, result = stream(
        START,
        start(0, type="tool_use", id="t1", name="a", input={"x": 0}),
        delta(0, type="input_json_delta", partial_json='{"x": 1}'),
        stop(0),
        ending("tool_use"),
        STOP,
    )
    assert result.tool_calls[0].arguments == '{"x": 1}'


def test_a_search_that_failed() -> None:
    """Where the hits belong stands the failure instead: no hits, and its code as the status."""
    failure = {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}
    (part,) = whole({"type": "web_search_tool_result", "tool_use_id": "s1", "content": failure}).hosted_tools
    assert (part.hits, part.status) == ((), "max_uses_exceeded")


def test_a_hosted_tool_in_pieces() -> None:
    """The input of a hosted tool is put together, and what it did not find is its status."""
    _, result = stream(
        START,
        start(0, type="server_tool_use", id="s1", name="web_fetch", input={}),
        delta(0, type="input_json_delta", partial_json='{"url"'),
        delta(0, type="input_json_delta", partial_json=':"u"}'),
        stop(0),
        start(1, type="web_fetch_tool_result", tool_use_id="s1", content={"error_code": "url_not_accessible"}),
        stop(1),
        start(2, type="compaction", content=None),
        delta(2, type="compaction_delta", content="So far."),
        stop(2),
        ending("pause_turn"),
        STOP,
    )
    used, found, summary = result.hosted_tools
    assert used.raw["input"] == {"url": "u"}
    assert (found.id, found.status) == ("s1", "url_not_accessible")
    assert summary == HostedToolPart(
        kind="compaction", issuer="anthropic", raw={"type": "compaction", "content": "So far."}
    )


def test_citations_point_at_their_words() -> None:
    """A citation's place is the text of its block within the whole text."""
    cited = {"type": "char_location", "document_title": "Fable", "start_char_index": 99, "cited_text": "…"}
    result = whole({"type": "text", "text": "It says "}, {"type": "text", "text": "foxes jump", "citations": [cited]})
    (annotation,) = result.annotations
    assert result.text[annotation.start : annotation.end] == "foxes jump"
    assert (annotation.kind, annotation.title, annotation.raw) == ("char_location", "Fable", cited)


def test_a_piece_of_a_block_that_never_began() -> None:
    """Pieces without a beginning cannot be placed: that is no answer in this format."""
    with pytest.raises(MalformedAnswerError, match="content block 3"):
        stream(START, delta(3, type="text_delta", text="Hi"))


def test_marked_up_reasoning_stands_before_the_text_around_it() -> None:
    """A server that leaves `<think>` in the text is understood when the endpoint says so."""
    _, result = stream(
        START,
        start(0, type="text", text=""),
        delta(0, type="text_delta", text="<think>Hm.</th"),
        delta(0, type="text_delta", text="ink>Hello"),
        stop(0),
        ending(),
        STOP,
        options=DecodeOptions(markup="think"),
    )
    assert result.content == (ReasoningPart(text="Hm.", issuer="anthropic"), TextPart("Hello"))


# -- how it ended


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("refusal", FinishReason.REFUSAL),
        ("pause_turn", FinishReason.PAUSE),
        ("compaction", FinishReason.PAUSE),
        ("x_new", FinishReason.UNKNOWN),
        (None, FinishReason.UNKNOWN),
    ],
)
def test_finish_reasons(raw: str | None, reason: FinishReason) -> None:
    """Every stop reason has its meaning; an unknown one stays unknown, with the word kept."""
    result = whole({"type": "text", "text": "Hi"}, stop_reason=raw)
    assert (result.finish_reason, result.raw_finish_reason) == (reason, raw)


def test_what_stands_beside_the_answer() -> None:
    """Details of a refusal, the stop text and the container are kept."""
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    _, result = stream(START, ending("refusal", stop_details=details, stop_sequence=None, container={"id": "c"}), STOP)
    assert result.extra == {"stop_details": details, "container": {"id": "c"}}


# -- usage


def test_usage_is_merged() -> None:
    """Later counts win, null says nothing, and the input includes what was read from and written to the cache."""
    begin = {"message": {"usage": {"input_tokens": 0, "cache_read_input_tokens": 7, "output_tokens": 1}}}
    later = {"input_tokens": 3, "cache_read_input_tokens": None, "cache_creation_input_tokens": 20, "output_tokens": 5}
    _, result = stream({"type": "message_start", **begin}, ending(usage=later), STOP)
    usage = result.usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (30, 7, 20)
    assert (usage.output_tokens, usage.reasoning_tokens, usage.total_tokens) == (5, None, None)


def test_unknown_input_stays_unknown() -> None:
    """A cached part alone says nothing about the whole input."""
    assert whole(usage={"input_tokens": None, "cache_read_input_tokens": 7}).usage.input_tokens is None


def test_tokens_of_a_compaction_count() -> None:
    """They stand only in their iteration, yet are spent; those of another model have another price and are named."""
    usage = {
        "input_tokens": 10,
        "output_tokens": 2,
        "iterations": [
            {"type": "compaction", "input_tokens": 600, "output_tokens": 50},
            {"type": "message", "input_tokens": 10, "output_tokens": 2},
            {"type": "advisor_message", "model": "claude-fable-5", "input_tokens": 9, "output_tokens": 9},
        ],
    }
    result = whole({"type": "text", "text": "Hi"}, usage=usage)
    assert (result.usage.input_tokens, result.usage.output_tokens) == (610, 52)
    assert [warning.subject for warning in result.warnings] == ["usage.iterations"]
    assert "claude-fable-5" in result.warnings[0].message


def test_what_is_billed_beside_the_tokens() -> None:
    """Searches, and which of the cache writes last an hour, are counted; the tier is told in the backend's word."""
    usage = {
        "input_tokens": 1,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "server_tool_use": {"web_search_requests": 2},
        "service_tier": "batch",
    }
    result = whole(usage=usage)
    assert (result.usage.cache_write_tokens, result.usage.cache_write_1h_tokens) == (30, 20)
    assert (result.usage.web_searches, result.service_tier) == (2, "batch")


@pytest.mark.parametrize(
    ("usage", "tier"),
    [
        ({"service_tier": "standard", "speed": "fast"}, "fast"),
        ({"speed": "standard"}, None),
        ({"service_tier": 1}, None),
    ],
)
def test_the_fast_mode_is_a_tier(usage: dict[str, Any], tier: str | None) -> None:
    """It has prices of its own, and what is no word names no tier."""
    assert whole(usage=usage).service_tier == tier


# -- errors


@pytest.mark.parametrize(
    ("event", "name", "category"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, None, ErrorCategory.OVERLOADED),
        (
            {"code": 500, "message": "Context size has been exceeded.", "type": "x"},
            "error",
            ErrorCategory.CONTEXT_LENGTH,
        ),
        ({"error": {"message": "x", "type": "server_error", "code": None}}, "data", ErrorCategory.SERVER),
        ({"code": 529, "message": "x", "type": "y"}, "y", ErrorCategory.OVERLOADED),
    ],
)
def test_errors_inside_a_stream(event: dict[str, Any], name: str | None, category: ErrorCategory) -> None:
    """Anthropic's form, llama-server's bare one, OpenAI's, and one without any name are all errors."""
    decoder = PROTOCOL.stream_decoder(DecodeOptions())
    heard: list[StreamEvent] = []
    with pytest.raises(BackendError) as caught:
        decoder.feed(frame(START) + frame(start(0, type="text", text="Hi")) + frame(event, name), heard)
    assert caught.value.category is category
    assert heard == [TokenEvent("Hi")]


def test_an_error_instead_of_a_whole_answer() -> None:
    """A 200 whose body is an error is that error, with the backend's name for the request."""
    error = {"type": "error", "error": {"type": "rate_limit_error", "message": "x"}, "request_id": "req_1"}
    with pytest.raises(BackendError) as caught:
        PROTOCOL.decode(json.dumps(error).encode(), DecodeOptions())
    assert (caught.value.category, caught.value.request_id) == (ErrorCategory.RATE_LIMIT, "req_1")


@pytest.mark.parametrize("body", [b"{}", b'{"choices": [{"message": {"content": "Hi"}}]}', b'{"content": "Hi"}'])
def test_another_format_is_no_answer(body: bytes) -> None:
    """A body of another wire format is refused, not read as an empty answer."""
    with pytest.raises(AirframeError) as caught:
        PROTOCOL.decode(body, DecodeOptions())
    assert caught.value.category is ErrorCategory.PROTOCOL


TYPES = {
    "authentication_error": (401, ErrorCategory.AUTH),
    "billing_error": (402, ErrorCategory.BILLING),
    "permission_error": (403, ErrorCategory.PERMISSION),
    "not_found_error": (404, ErrorCategory.NOT_FOUND),
    "conflict_error": (409, ErrorCategory.CONFLICT),
    "request_too_large": (413, ErrorCategory.INVALID_REQUEST),
    "rate_limit_error": (429, ErrorCategory.RATE_LIMIT),
    "api_error": (500, ErrorCategory.SERVER),
    "timeout_error": (504, ErrorCategory.TIMEOUT),
    "overloaded_error": (529, ErrorCategory.OVERLOADED),
    "invalid_request_error": (400, ErrorCategory.INVALID_REQUEST),
}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("inside_stream", [False, True])
def test_error_types(kind: str, inside_stream: bool) -> None:
    """Every documented type means the same by its status and inside a 200."""
    status, category = TYPES[kind]
    body = json.dumps({"type": "error", "error": {"type": kind, "message": "x"}}).encode()
    assert PROTOCOL.classify_error(200 if inside_stream else status, {}, body).category is category


@pytest.mark.parametrize(
    ("status", "kind", "code", "category"),
    [
        (429, "rate_limit_error", "enforced_spend_limit_reached", ErrorCategory.BILLING),
        (429, "rate_limit_error", "contract_spend_limit_reached", ErrorCategory.BILLING),
        (429, "rate_limit_error", "ramp_limit_exceeded", ErrorCategory.RATE_LIMIT),
        (402, "billing_error", "linked_organization_spend_limit_reached", ErrorCategory.BILLING),
        (402, "billing_error", "linked_organization_billing_unavailable", ErrorCategory.BILLING),
        (400, "invalid_request_error", "organization_on_hold", ErrorCategory.BILLING),
        (400, "invalid_request_error", "organization_not_enrolled_in_beta", ErrorCategory.PERMISSION),
        (400, "invalid_request_error", "cmek_key_disabled", ErrorCategory.PERMISSION),
        (400, "invalid_request_error", "cmek_key_network_blocked", ErrorCategory.PERMISSION),
        (400, "invalid_request_error", "user_profile_not_found", ErrorCategory.NOT_FOUND),
        (403, "permission_error", "user_profile_not_billable", ErrorCategory.BILLING),
        (403, "permission_error", "user_profile_billing_not_authorized", ErrorCategory.BILLING),
        (529, "overloaded_error", "compaction_unavailable", ErrorCategory.OVERLOADED),
        (400, "invalid_request_error", "tool_name_conflict", ErrorCategory.INVALID_REQUEST),
    ],
)
def test_error_codes(status: int, kind: str, code: str, category: ErrorCategory) -> None:
    """A code in the details is more exact than the type around it; one that says nothing new leaves it to the type."""
    body = {"type": "error", "error": {"type": kind, "message": "x", "details": {"error_code": code}}}
    error = PROTOCOL.classify_error(status, {}, json.dumps(body).encode())
    assert (error.category, error.code) == (category, code)


@pytest.mark.parametrize(
    ("status", "message", "category"),
    [
        (400, "prompt is too long: 205668 tokens > 200000 maximum", ErrorCategory.CONTEXT_LENGTH),
        (400, "input length and `max_tokens` exceed context limit: 1 + 2 > 2", ErrorCategory.CONTEXT_LENGTH),
        (400, "Your credit balance is too low to access the Anthropic API.", ErrorCategory.BILLING),
        (400, "You have reached your specified API usage limits.", ErrorCategory.BILLING),
        (400, "Your workspace has reached its spend limit.", ErrorCategory.BILLING),
        (400, "Output blocked by content filtering policy", ErrorCategory.CONTENT_FILTER),
        (400, "temperature: Extra inputs are not permitted", ErrorCategory.UNSUPPORTED),
        (400, "This model does not support effort level 'xhigh'.", ErrorCategory.UNSUPPORTED),
        (
            400,
            "OpenAIException - request (9020 tokens) exceeds the available context size",
            ErrorCategory.CONTEXT_LENGTH,
        ),
        (400, "tool_reference 'x' not found", ErrorCategory.INVALID_REQUEST),
    ],
)
def test_error_phrases(status: int, message: str, category: ErrorCategory) -> None:
    """Where the type means several things, the words decide; llama-server's do not change Anthropic's meaning."""
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    assert PROTOCOL.classify_error(status, {}, json.dumps(body).encode()).category is category


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error": 5}', b'{"error": {"details": 5, "message": null}}']
)
def test_errors_of_any_shape(body: bytes) -> None:
    """What cannot be read still has its status."""
    assert PROTOCOL.classify_error(529, {}, body).category is ErrorCategory.OVERLOADED
