"""OpenAI's Responses as answers: what the conformance case, which is one answer, does not say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from airframe.errors import AirframeError, BackendError, ErrorCategory, MalformedAnswerError, TruncatedAnswerError
from airframe.protocols import COMPATIBLE_RESPONSES, OPENAI_RESPONSES, OpenAIResponsesProtocol, ResponsesDialect
from airframe.protocols.protocol import DecodeOptions
from airframe.types import (
    FinishReason,
    HostedToolPart,
    InferenceResult,
    ReasoningPart,
    RefusalPart,
    StreamEvent,
    StreamEventType,
    TextPart,
    ToolCall,
)

OPENAI = OpenAIResponsesProtocol(OPENAI_RESPONSES)

Event = Mapping[str, Any]


def message(text: str, id: str = "msg_1", **more: Any) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": id, "role": "assistant", "status": "completed", "content": [part], **more}


def call(arguments: str, id: str = "fc_1", call_id: str = "call_1") -> dict[str, Any]:
    return {"type": "function_call", "id": id, "call_id": call_id, "name": "add", "arguments": arguments}


def response(*items: Mapping[str, Any], status: str = "completed", **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "status": status, "model": "m", "output": list(items), **more}


def completed(*items: Mapping[str, Any]) -> Event:
    return {"type": "response.completed", "response": response(*items)}


def added(item: Mapping[str, Any], index: int) -> Event:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(item: Mapping[str, Any], index: int) -> Event:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def said(delta: str, **where: Any) -> Event:
    return {"type": "response.output_text.delta", "delta": delta, **where}


def stream(
    *events: Event | bytes, dialect: ResponsesDialect = OPENAI_RESPONSES, options: DecodeOptions | None = None
) -> tuple[Sequence[StreamEvent], InferenceResult]:
    """Decode a stream without event names. Raises `AirframeError` with `partial`."""
    decoder = OpenAIResponsesProtocol(dialect).stream_decoder(options or DecodeOptions())
    out: list[StreamEvent] = []
    try:
        for event in events:
            data = event if isinstance(event, bytes) else json.dumps(event).encode()
            decoder.feed(b"data: " + data + b"\n\n", out)
        decoder.finish(out)
    except AirframeError as error:
        error.partial = decoder.result()
        raise
    return out, decoder.result()


def decode(document: Mapping[str, Any]) -> InferenceResult:
    return OPENAI.decode(json.dumps(document).encode(), DecodeOptions())


def texts(events: Sequence[StreamEvent]) -> list[str]:
    return [event.text for event in events if event.type is StreamEventType.TOKEN]


# -- items in pieces


def test_items_that_are_open_together_stay_apart() -> None:
    """Pieces of two messages that come in turns, told apart by `output_index` alone, make two texts in order."""
    events = (
        added(message(""), 0),
        added(message("", "msg_2"), 1),
        said("On", output_index=1),
        said("Hel", output_index=0),
        said("e.", output_index=1),
        said("lo.", output_index=0),
    )
    _, result = stream(*events, completed())
    assert result.content == (TextPart("Hello."), TextPart("One."))


def test_an_empty_list_at_the_end_takes_nothing_back() -> None:
    """A terminal event with `"output": []` leaves the items as they were."""
    _, result = stream(added(message(""), 0), said("Hello.", item_id="msg_1"), done(message("Hello."), 0), completed())
    assert result.content == (TextPart("Hello.", None, "msg_1"),)


def test_arguments_that_come_only_at_the_end() -> None:
    """LM Studio sends arguments in `done` alone: they are one delta, and the call's arguments."""
    events, result = stream(
        added(call(""), 0),
        {"type": "response.function_call_arguments.done", "item_id": "fc_1", "arguments": '{"a": 1}'},
        done(call('{"a": 1}'), 0),
        completed(call('{"a": 1}')),
    )
    deltas = [event.arguments for event in events if event.type is StreamEventType.TOOL_CALL_DELTA]
    assert deltas == ["", '{"a": 1}']
    assert result.tool_calls == (ToolCall(id="call_1", name="add", arguments='{"a": 1}', item_id="fc_1"),)


def test_text_that_comes_without_deltas_is_still_an_event() -> None:
    """What stands only in the finished items is said once, wherever it stands first."""
    events, result = stream(done(message("Hello."), 0), completed(message("Hello."), message("Bye.", "msg_2")))
    assert texts(events) == ["Hello.", "Bye."]
    assert result.text == "Hello.Bye."


def test_other_ids_at_the_end_make_no_second_item() -> None:
    """Servers that give an item another id in the terminal list mean the item at the same place."""
    events, result = stream(
        added(message("", "tmp_1"), 0), said("Hello.", item_id="tmp_1"), completed(message("Hello.", "msg_9"))
    )
    assert texts(events) == ["Hello."]
    assert result.content == (TextPart("Hello.", None, "msg_9"),)


def test_a_final_list_that_leaves_items_out_says_nothing_twice() -> None:
    """Where the terminal list has other ids and counts differently, its items are those of the same kind."""
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
    events, result = stream(
        done(thought, 0),
        added(message("", "tmp_1"), 1),
        said("Hello.", item_id="tmp_1"),
        added(message("", "tmp_2"), 2),
        said("Bye.", item_id="tmp_2"),
        completed(message("Hello.", "msg_8"), message("Bye.", "msg_9")),
    )
    assert texts(events) == ["Hello.", "Bye."]
    assert [type(part) for part in result.content] == [ReasoningPart, TextPart, TextPart]
    assert result.text == "Hello.Bye."


def test_a_list_before_the_end_is_no_second_one() -> None:
    """An event that lists what there is so far, and the terminal one, mean the same items."""
    so_far = {"type": "response.in_progress", "response": response(message("Hel"), status="in_progress")}
    events, result = stream(so_far, completed(message("Hello.")))
    assert texts(events) == ["Hel", "lo."]
    assert result.content == (TextPart("Hello.", None, "msg_1"),)


def test_finished_arguments_win_over_their_pieces() -> None:
    """Arguments that end otherwise than they came are those of the finished item."""
    _, result = stream(
        added(call(""), 0),
        {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "delta": '{"a":1'},
        done(call('{"a": 1}'), 0),
        completed(),
    )
    assert result.tool_calls[0].arguments == '{"a": 1}'


def test_paragraphs_of_a_thought() -> None:
    """Each summary of a thought is a paragraph, in the events as in the result."""
    added_part = {"type": "response.reasoning_summary_part.added", "item_id": "rs_1"}
    thought: dict[str, Any] = {
        "type": "reasoning",
        "id": "rs_1",
        "encrypted_content": "final",
        "summary": [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}],
    }
    events, result = stream(
        added({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "early"}, 0),
        added_part,
        {"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "delta": "One."},
        added_part,
        {"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "delta": "Two."},
        done(thought, 0),
        completed(),
    )
    assert "".join(event.text for event in events if event.type is StreamEventType.REASONING) == "One.\n\nTwo."
    assert result.content == (
        ReasoningPart(text="One.\n\nTwo.", issuer="openai_responses", signature="final", id="rs_1", raw=thought),
    )


def test_what_is_encrypted_counts_only_when_the_item_is_finished() -> None:
    """A thought that is cut has no signature: what was announced may be incomplete."""
    begun: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "early"}
    with pytest.raises(TruncatedAnswerError) as caught:
        stream(added(begun, 0), {"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "delta": "Hm"})
    assert caught.value.partial is not None
    assert caught.value.partial.content == (ReasoningPart(text="Hm", issuer="openai_responses"),)


def test_marked_thoughts_are_taken_out_of_the_text() -> None:
    """A local model that thinks in `<think>` tags does so here too, and the whole text at the end changes nothing."""
    whole = "<think>Hm.</think>Hello."
    events, result = stream(
        added(message(""), 0),
        said("<thi", item_id="msg_1"),
        said("nk>Hm.</think>Hello.", item_id="msg_1"),
        done(message(whole), 0),
        completed(message(whole)),
        dialect=COMPATIBLE_RESPONSES,
        options=DecodeOptions(markup="think"),
    )
    assert (result.reasoning, result.text) == ("Hm.", "Hello.")
    assert "".join(texts(events)) == "Hello."


def test_what_was_held_back_for_markup_is_said_at_the_end() -> None:
    """The beginning of a tag that never came is text, and an event."""
    events, result = stream(
        added(message(""), 0),
        said("A <thi", item_id="msg_1"),
        completed(),
        dialect=COMPATIBLE_RESPONSES,
        options=DecodeOptions(markup="think"),
    )
    assert "".join(texts(events)) == result.text == "A <thi"


# -- the end


def test_the_terminal_event_says_how_it_ended() -> None:
    """A terminal event whose response names no status of its own ends the answer as its name says."""
    _, result = stream(
        {"type": "response.created", "response": response(status="in_progress")},
        {"type": "response.completed", "response": {"output": [message("Hello.")]}},
    )
    assert (result.text, result.finish_reason) == ("Hello.", FinishReason.STOP)


@pytest.mark.parametrize(
    ("document", "finish_reason", "raw"),
    [
        (response(message("x")), FinishReason.STOP, "completed"),
        (response(call("{}")), FinishReason.TOOL_CALLS, "completed"),
        (
            response({"type": "custom_tool_call", "id": "ctc_1", "call_id": "c", "name": "run", "input": "ls"}),
            FinishReason.TOOL_CALLS,
            "completed",
        ),
        (
            response(message("x"), status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
            FinishReason.LENGTH,
            "max_output_tokens",
        ),
        (
            response(call('{"a'), status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
            FinishReason.LENGTH,
            "max_output_tokens",
        ),
        (
            response(status="incomplete", incomplete_details={"reason": "content_filter"}),
            FinishReason.CONTENT_FILTER,
            "content_filter",
        ),
        (
            response(status="incomplete", incomplete_details={"reason": "something_new"}),
            FinishReason.UNKNOWN,
            "something_new",
        ),
        (response(message("x"), status="cancelled"), FinishReason.CANCELLED, "cancelled"),
    ],
)
def test_why_it_ended(document: Mapping[str, Any], finish_reason: FinishReason, raw: str) -> None:
    """The status, its reason and the items together say why the model stopped; the backend's word is kept."""
    result = decode(document)
    assert (result.finish_reason, result.raw_finish_reason) == (finish_reason, raw)


@pytest.mark.parametrize(
    ("dialect", "output_tokens", "finish_reason"),
    [
        (COMPATIBLE_RESPONSES, 9, FinishReason.LENGTH),
        (COMPATIBLE_RESPONSES, 8, FinishReason.STOP),
        (COMPATIBLE_RESPONSES, None, FinishReason.STOP),
        (OPENAI_RESPONSES, 9, FinishReason.STOP),
    ],
)
def test_a_limit_that_the_server_does_not_mention(
    dialect: ResponsesDialect, output_tokens: int | None, finish_reason: FinishReason
) -> None:
    """llama-server calls an answer `completed` that reached its limit; the tokens tell. OpenAI is taken at its word."""
    document = response(message("Hello from"), usage={"output_tokens": output_tokens})
    options = DecodeOptions(max_tokens=9)
    result = OpenAIResponsesProtocol(dialect).decode(json.dumps(document).encode(), options)
    assert (result.finish_reason, result.raw_finish_reason) == (finish_reason, "completed")


def test_a_refusal() -> None:
    """A refused answer has its words as a refusal, streamed and whole, and ends as one."""
    refused = message("")
    refused["content"] = [{"type": "refusal", "refusal": "I can't help with that."}]
    events, streamed = stream(
        added(message(""), 0),
        {"type": "response.refusal.delta", "item_id": "msg_1", "content_index": 0, "delta": "I can't"},
        {"type": "response.refusal.delta", "item_id": "msg_1", "content_index": 0, "delta": " help with that."},
        done(refused, 0),
        completed(refused),
    )
    for result in (streamed, decode(response(refused))):
        assert result.content == (RefusalPart("I can't help with that."),)
        assert result.finish_reason is FinishReason.REFUSAL
    assert texts(events) == []


def test_the_end_of_the_stream_is_not_the_end_of_the_answer() -> None:
    """`[DONE]` proves nothing when no terminal event came before it."""
    with pytest.raises(TruncatedAnswerError):
        stream(added(message(""), 0), said("Hel", item_id="msg_1"), b"[DONE]")


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_an_unfinished_body_is_no_answer(status: str) -> None:
    """A body that is still being worked on is not passed off as an answer, and the error says where to ask."""
    with pytest.raises(TruncatedAnswerError, match="create_background"):
        decode(response(status=status))


# -- failures


def test_a_failed_response_keeps_what_was_said_and_used() -> None:
    """`response.failed` after a 200 is the backend's error, with its code, the text so far and the tokens."""
    failed = response(
        message("Hel"),
        status="failed",
        error={"code": "server_error", "message": "Something broke."},
        usage={"input_tokens": 7, "output_tokens": 2, "total_tokens": 9},
    )
    with pytest.raises(BackendError, match="Something broke") as caught:
        stream(
            added(message(""), 0),
            said("Hel", item_id="msg_1"),
            {"type": "response.failed", "response": failed},
        )
    error = caught.value
    assert (error.category, error.code) == (ErrorCategory.SERVER, "server_error")
    assert error.partial is not None
    assert (error.partial.text, error.partial.usage.total_tokens) == ("Hel", 9)
    assert error.partial.finish_reason is None


@pytest.mark.parametrize(
    ("event", "category"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "Slow."}, ErrorCategory.RATE_LIMIT),
        ({"type": "error", "error": {"code": "rate_limit_exceeded", "message": "Slow."}}, ErrorCategory.RATE_LIMIT),
        ({"error": {"code": 500, "message": "x", "type": "server_error"}}, ErrorCategory.SERVER),
        (
            {"type": "error", "error": {"type": "tokens", "code": None, "message": "Request too large for gpt"}},
            ErrorCategory.CONTEXT_LENGTH,
        ),
        ({"type": "response.failed", "response": {"status": "failed", "error": None}}, ErrorCategory.UNKNOWN),
    ],
)
def test_every_shape_of_an_error_event(event: Event, category: ErrorCategory) -> None:
    """Nested, flat, bare or without words: an error inside a 200 is raised, with the category of its own code."""
    with pytest.raises(BackendError) as caught:
        stream({"type": "response.created", "response": response(status="in_progress")}, event)
    assert caught.value.category is category
    assert caught.value.status == 200


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("server_error", ErrorCategory.SERVER),
        ("vector_store_timeout", ErrorCategory.SERVER),
        ("server_is_overloaded", ErrorCategory.OVERLOADED),
        ("rate_limit_exceeded", ErrorCategory.RATE_LIMIT),
        ("insufficient_quota", ErrorCategory.BILLING),
        ("context_length_exceeded", ErrorCategory.CONTEXT_LENGTH),
        ("invalid_prompt", ErrorCategory.CONTENT_FILTER),
        ("bio_policy", ErrorCategory.CONTENT_FILTER),
        ("misalignment_policy_violation", ErrorCategory.CONTENT_FILTER),
        ("image_content_policy_violation", ErrorCategory.CONTENT_FILTER),
        ("data_residency_mismatch", ErrorCategory.PERMISSION),
        ("unsupported_image_media_type", ErrorCategory.UNSUPPORTED),
        ("invalid_image_mode", ErrorCategory.UNSUPPORTED),
        ("empty_image_file", ErrorCategory.INVALID_REQUEST),
        ("failed_to_download_image", ErrorCategory.INVALID_REQUEST),
        ("image_file_not_found", ErrorCategory.INVALID_REQUEST),
        ("image_file_too_large", ErrorCategory.INVALID_REQUEST),
        ("image_parse_error", ErrorCategory.INVALID_REQUEST),
        ("image_too_large", ErrorCategory.INVALID_REQUEST),
        ("image_too_small", ErrorCategory.INVALID_REQUEST),
        ("invalid_base64_image", ErrorCategory.INVALID_REQUEST),
        ("invalid_image", ErrorCategory.INVALID_REQUEST),
        ("invalid_image_format", ErrorCategory.INVALID_REQUEST),
        ("invalid_image_url", ErrorCategory.INVALID_REQUEST),
        ("a_code_of_next_year", ErrorCategory.UNKNOWN),
    ],
)
def test_codes_of_failed_responses(code: str, category: ErrorCategory) -> None:
    """Each code that a failed response may name has its category, in a body as in a stream."""
    failed = response(status="failed", error={"code": code, "message": "No."})
    with pytest.raises(BackendError) as caught:
        decode(failed)
    assert (caught.value.category, caught.value.code) == (category, code)
    with pytest.raises(BackendError) as caught:
        stream({"type": "response.failed", "response": failed})
    assert caught.value.category is category


def test_a_document_that_is_no_response() -> None:
    """A chat completion, or anything else without items and status, is malformed and never an empty answer."""
    with pytest.raises(MalformedAnswerError, match="no response"):
        decode({"id": "x", "object": "chat.completion", "choices": []})


# -- what hosted tools did


def test_what_searches_found_is_on_the_result() -> None:
    """A file search's results and a web search's sources are hits; the whole items are kept."""
    files = {
        "type": "file_search_call",
        "id": "fs_1",
        "status": "completed",
        "queries": ["q"],
        "results": [{"file_id": "file-1", "filename": "a.md", "score": 0.5, "text": "Found."}],
    }
    web = {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "q", "sources": [{"type": "url", "url": "https://example.org"}]},
    }
    result = decode(response(files, web))
    assert [type(part) for part in result.content] == [HostedToolPart, HostedToolPart]
    found, pages = result.hosted_tools
    assert (found.kind, found.status, found.raw) == ("file_search_call", "completed", files)
    assert [(hit.file_id, hit.filename, hit.text, hit.score) for hit in found.hits] == [
        ("file-1", "a.md", "Found.", 0.5)
    ]
    assert [hit.url for hit in pages.hits] == ["https://example.org"]


@pytest.mark.parametrize(
    ("tool_usage", "searches"),
    [({"web_search": {"num_requests": 3}}, 3), ({"web_search": {"num_requests": -1}}, 1), ("many", 1), (None, 1)],
)
def test_web_searches_are_counted(tool_usage: object, searches: int) -> None:
    """By the backend where it counts them, else by how many the answer lists."""
    web = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
    usage = {"input_tokens": 1, "output_tokens": 1}
    result = decode(response(web, message("Found."), usage=usage, tool_usage=tool_usage))
    assert result.usage.web_searches == searches


@pytest.mark.parametrize("results", [None, [], "none", [None, 7], {"more": 1}])
def test_a_search_without_results(results: object) -> None:
    """Results that were not asked for, or that have an unknown shape, are no hits, and spoil no answer."""
    search = {"type": "file_search_call", "id": "fs_1", "status": "completed", "results": results, "action": results}
    (part,) = decode(response(search)).hosted_tools
    assert (part.hits, part.raw) == ((), search)


def test_citations() -> None:
    """Citations of the web and of files are annotations, once each, also when they came as events before."""
    cited = message("As it says.")
    cited["content"][0]["annotations"] = [
        {"type": "url_citation", "url": "https://example.org", "title": "T", "start_index": 0, "end_index": 2},
        {"type": "file_citation", "file_id": "file-1", "filename": "a.md", "index": 3},
    ]
    _, result = stream(
        added(message(""), 0),
        said("As it says.", item_id="msg_1"),
        {
            "type": "response.output_text.annotation.added",
            "item_id": "msg_1",
            "annotation": cited["content"][0]["annotations"][0],
        },
        done(cited, 0),
        completed(cited),
    )
    assert [(note.kind, note.url, note.title, note.start, note.end) for note in result.annotations] == [
        ("url_citation", "https://example.org", "T", 0, 2),
        ("file_citation", None, "a.md", None, None),
    ]


def test_what_is_not_understood_is_kept() -> None:
    """Members of the response without a place of their own are in `extra`; llama-server's timings have one."""
    _, result = stream(
        {
            "type": "response.completed",
            "response": response(message("x"), service_tier="flex", content_filters=[{"blocked": False}]),
            "timings": {"predicted_n": 5},
        }
    )
    assert result.extra["service_tier"] == "flex"
    assert result.extra["content_filters"] == [{"blocked": False}]
    assert result.timings == {"predicted_n": 5}


# -- in the background


@pytest.mark.parametrize(
    ("status", "finish_reason", "is_done"),
    [
        ("queued", None, False),
        ("in_progress", None, False),
        ("completed", FinishReason.STOP, True),
        ("cancelled", FinishReason.CANCELLED, True),
    ],
)
def test_stages_of_a_background_response(status: str, finish_reason: FinishReason | None, *, is_done: bool) -> None:
    """A response in the background has a result once it has ended, and none before."""
    document = response(message("x"), status=status)
    background = OPENAI.decode_background(json.dumps(document).encode(), DecodeOptions())
    assert (background.id, background.status, background.done) == ("resp_1", status, is_done)
    assert (background.result.finish_reason if background.result else None) is finish_reason


def test_a_failed_background_response_is_a_value() -> None:
    """That the work failed is what asking found out, not a failure of asking."""
    document = response(status="failed", error={"code": "server_error", "message": "Broke."})
    background = OPENAI.decode_background(json.dumps(document).encode(), DecodeOptions())
    assert (background.done, background.result) == (True, None)
    assert background.error is not None
    assert background.error.category is ErrorCategory.SERVER


@pytest.mark.parametrize("document", [{}, {"object": "list", "data": []}, response(status="asleep")])
def test_what_is_no_background_response(document: Mapping[str, Any]) -> None:
    """A document without an id, items or a known status is malformed."""
    with pytest.raises(MalformedAnswerError):
        OPENAI.decode_background(json.dumps(document).encode(), DecodeOptions())
