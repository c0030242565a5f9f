"""Faults in what an answer means: in its events, its tool calls, its usage, and its status."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from urllib.parse import quote

from airframe.errors import (
    BackendError,
    ErrorCategory,
    MalformedAnswerError,
    Phase,
    TruncatedAnswerError,
)
from airframe.testing.hostile.fault import BEGINNING, PIECES, TEXT, Section, Turn, answers, raises, striking
from airframe.testing.hostile.server import chunk, head
from airframe.testing.hostile.traffic import ChatTraffic, Document, LlamaCompletionTraffic, Traffic, encoded
from airframe.types.result import FinishReason

__all__ = ["MEANING", "STATUS", "TOOLS", "USAGE"]

MEANING = Section("The meaning of the answer")


def _has_end_marker(traffic: Traffic) -> bool:
    return bool(traffic.end())


def _is_chat(traffic: Traffic) -> bool:
    return isinstance(traffic, ChatTraffic)


def _is_llama_cpp(traffic: Traffic) -> bool:
    return isinstance(traffic, ChatTraffic | LlamaCompletionTraffic)


def _is_sse(traffic: Traffic) -> bool:
    return traffic.content_type == "text/event-stream"


@MEANING.fault(stream=answers(), only=_has_end_marker)
def finish_without_end_marker(turn: Turn) -> None:
    """A finish reason, and no end marker after it."""
    turn.answer(turn.traffic.said(*PIECES) + turn.traffic.finish())


@MEANING.fault(stream=raises(TruncatedAnswerError, said=TEXT))
def end_without_proof(turn: Turn) -> None:
    """Everything is said and the body ends well, but neither finish reason nor end marker came."""
    turn.answer(turn.traffic.said(*PIECES))


@MEANING.fault(stream=answers(finish_reason=FinishReason.UNKNOWN), only=_has_end_marker)
def end_marker_without_finish(turn: Turn) -> None:
    """An end marker, and no finish reason before it, as Ollama does."""
    turn.answer(turn.traffic.said(*PIECES) + turn.traffic.end())


@MEANING.fault(stream=raises(TruncatedAnswerError), only=_has_end_marker)
def end_marker_alone(turn: Turn) -> None:
    """Nothing but the end marker."""
    turn.answer(turn.traffic.end())


@MEANING.fault(stream=answers())
def reset_after_the_end(turn: Turn) -> None:
    """The answer is whole, and the connection breaks before its body ends."""
    turn.send(turn.head() + chunk(turn.body))
    turn.connection.reset()


@MEANING.fault(stream=answers())
def silence_after_the_end(turn: Turn) -> None:
    """The answer is whole, and the body never ends."""
    turn.send(turn.head() + chunk(turn.body))
    turn.connection.stall()


@MEANING.fault(stream=raises(MalformedAnswerError, said=BEGINNING), whole=raises(MalformedAnswerError))
def broken_json(turn: Turn) -> None:
    """JSON that breaks off, in the middle of a well-formed stream; half a document."""
    if turn.streamed:
        turn.answer(turn.beginning + turn.traffic.frame(b'{"choices": [{') + turn.rest)
    else:
        turn.answer(turn.beginning)


@MEANING.fault(stream=raises(MalformedAnswerError, said=BEGINNING), whole=raises(MalformedAnswerError))
def plain_text(turn: Turn) -> None:
    """Plain text between the events, or for a document."""
    words = b"upstream connect error"
    turn.answer(turn.beginning + turn.traffic.frame(words) + turn.rest if turn.streamed else words)


@MEANING.fault(stream=raises(TruncatedAnswerError, said=BEGINNING))
def half_an_event_at_the_end(turn: Turn) -> None:
    """The body ends well, in the middle of an event."""
    turn.answer(turn.beginning + turn.rest[:12])


@MEANING.fault(
    stream=raises(BackendError, category=ErrorCategory.SERVER),
    whole=raises(BackendError, category=ErrorCategory.SERVER),
)
def error_first(turn: Turn) -> None:
    """An error under 200, before anything is said."""
    turn.say(turn.traffic.error("the model crashed"))


@MEANING.fault(stream=raises(BackendError, category=ErrorCategory.SERVER, said=BEGINNING))
def error_after_content(turn: Turn) -> None:
    """An error after two events; the connection is held open."""
    turn.send(turn.begin(turn.traffic.error("the model crashed")))
    turn.connection.stall()


@MEANING.fault(stream=raises(BackendError, category=ErrorCategory.SERVER, said=BEGINNING))
def error_then_the_rest(turn: Turn) -> None:
    """An error after two events, and then the rest as if nothing had happened."""
    turn.send(turn.begin(turn.traffic.error("the model crashed")) + chunk(turn.rest) + chunk())


@MEANING.fault(
    stream=raises(BackendError, category=ErrorCategory.SERVER, said=BEGINNING),
    only=_is_sse,
)
def error_by_event_name(turn: Turn) -> None:
    """An event that is named `error`, without an `error` key."""
    turn.answer(turn.beginning + b'event: error\ndata: {"message": "the model crashed", "code": 500}\n\n')


@MEANING.fault(stream=raises(BackendError, category=ErrorCategory.UNKNOWN, said=BEGINNING), only=_is_sse)
def error_as_text(turn: Turn) -> None:
    """An error that is a text."""
    turn.answer(turn.beginning + turn.traffic.frame({"error": "the model crashed"}))


@MEANING.fault(stream=raises(BackendError, category=ErrorCategory.SERVER, said=BEGINNING), only=_is_llama_cpp)
def error_field(turn: Turn) -> None:
    """A line `error: ...`, as older versions of llama.cpp send it."""
    turn.answer(turn.beginning + b'error: {"code": 500, "message": "crashed", "type": "server_error"}\n\n')


@MEANING.fault(
    stream=raises(BackendError, category=ErrorCategory.UNKNOWN, said=BEGINNING),
    whole=raises(BackendError, category=ErrorCategory.UNKNOWN),
    only=_is_chat,
)
def finish_reason_error(turn: Turn) -> None:
    """The finish reason is `error`."""
    if turn.streamed:
        turn.answer(turn.beginning + turn.traffic.finish("error") + turn.traffic.end())
    else:
        turn.say(turn.traffic.whole(TEXT, "error"))


@MEANING.fault(stream=answers())
def two_finish_reasons(turn: Turn) -> None:
    """The finish reason comes twice."""
    finish = turn.traffic.finish()
    turn.answer(turn.traffic.said(*PIECES) + finish + finish + turn.traffic.end())


@MEANING.fault(stream=answers(finish_reason=FinishReason.UNKNOWN), whole=answers(finish_reason=FinishReason.UNKNOWN))
def unknown_finish_reason(turn: Turn) -> None:
    """A finish reason that nobody knows."""
    if turn.streamed:
        finish = turn.traffic.finish("moonrise")
        turn.answer(turn.traffic.said(*PIECES) + finish + turn.traffic.end())
    else:
        turn.say(turn.traffic.whole(TEXT, "moonrise"))


@MEANING.fault(stream=answers(), whole=answers())
def unknown_fields(turn: Turn) -> None:
    """Fields that nobody knows, of every type."""
    more = {"hue": "blue", "depth": [1, {"deep": None}], "NaN": float("nan")}
    if turn.streamed:
        said = [turn.traffic.frame({**turn.traffic.text(piece), **more}) for piece in PIECES]
        turn.answer(b"".join([turn.traffic.start(), *said, turn.traffic.finish(), turn.traffic.end()]))
    else:
        turn.say({**turn.traffic.whole(TEXT), **more})


@MEANING.fault(stream=answers(), only=_is_chat)
def events_without_content(turn: Turn) -> None:
    """Choices that are empty or null, deltas and contents that are null, between the events."""
    nothing: list[Document] = [
        {"choices": []},
        {"choices": None},
        {"choices": [None]},
        {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"content": None, "tool_calls": None}}]},
    ]
    between = b"".join(turn.traffic.frame(document) for document in nothing)
    turn.answer(between + turn.beginning + between + turn.rest)


@MEANING.fault(stream=raises(MalformedAnswerError, said=BEGINNING), whole=raises(MalformedAnswerError))
def content_is_a_number(turn: Turn) -> None:
    """A number where the text belongs."""
    if turn.streamed:
        turn.answer(turn.beginning + turn.traffic.frame(turn.traffic.text(7)) + turn.rest)
    else:
        turn.say(turn.traffic.whole(7))


@MEANING.fault(stream=raises(MalformedAnswerError, said=BEGINNING), whole=raises(MalformedAnswerError))
def document_is_null(turn: Turn) -> None:
    """JSON null where an object belongs."""
    turn.answer(turn.beginning + turn.traffic.frame(b"null") + turn.rest if turn.streamed else b"null")


@MEANING.fault(stream=raises(MalformedAnswerError, said=BEGINNING), whole=raises(MalformedAnswerError))
def document_is_a_list(turn: Turn) -> None:
    """A list where an object belongs."""
    turn.answer(turn.beginning + turn.traffic.frame(b"[1, 2]") + turn.rest if turn.streamed else b"[1, 2]")


@MEANING.fault(whole=raises(MalformedAnswerError), only=_is_chat)
def document_without_an_answer(turn: Turn) -> None:
    """An object that holds nothing of an answer."""
    turn.answer(b'{"object": "greeting"}')


@MEANING.fault(stream=raises(MalformedAnswerError, said=BEGINNING), whole=raises(MalformedAnswerError))
def deep_nesting(turn: Turn) -> None:
    """200,000 nested brackets."""
    deep = b'{"deep": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    turn.answer(turn.beginning + turn.traffic.frame(deep) + turn.rest if turn.streamed else deep)


@MEANING.fault(stream=raises(MalformedAnswerError, said=BEGINNING), whole=raises(MalformedAnswerError))
def enormous_integer(turn: Turn) -> None:
    """An integer of 6,000 digits."""
    enormous = b'{"number": ' + b"7" * 6000 + b"}"
    turn.answer(turn.beginning + turn.traffic.frame(enormous) + turn.rest if turn.streamed else enormous)


@MEANING.fault(stream=raises(MalformedAnswerError, said=BEGINNING), whole=raises(MalformedAnswerError))
def lone_surrogate(turn: Turn) -> None:
    """Half of a surrogate pair, which no text can carry on."""
    if turn.streamed:
        said = json.dumps(turn.traffic.text("half \ud83d")).encode()
        turn.answer(turn.beginning + turn.traffic.frame(said) + turn.rest)
    else:
        turn.answer(json.dumps(turn.traffic.whole("half \ud83d")).encode())


TOOLS = Section("Tool calls")

_PARIS, _ROME = '{"city": "Paris"}', '{"city": "Rome"}'
_TWO_CALLS = answers("", FinishReason.TOOL_CALLS, tool_calls=(("weather", _PARIS), ("weather", _ROME)))


def _piece(arguments: str, *, name: str | None = "weather", **fields: object) -> Mapping[str, object]:
    """A piece of a tool call, as a delta holds it."""
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **fields}


def _call_tools(turn: Turn, *pieces: Mapping[str, object], ends: bool = True) -> None:
    """A stream with one piece of a tool call in each event."""
    assert isinstance(turn.traffic, ChatTraffic)
    events = [turn.traffic.frame(turn.traffic.chunk({"delta": {"tool_calls": [piece]}})) for piece in pieces]
    turn.answer(b"".join(events) + (turn.traffic.finish("tool_calls") if ends else b""))


@TOOLS.fault(stream=_TWO_CALLS, only=_is_chat)
def tool_calls_without_index(turn: Turn) -> None:
    """Two calls, neither with an index."""
    _call_tools(turn, _piece(_PARIS, id="a"), _piece(_ROME, id="b"))


@TOOLS.fault(stream=_TWO_CALLS, only=_is_chat)
def tool_calls_of_one_index(turn: Turn) -> None:
    """Two calls under the same index."""
    _call_tools(turn, _piece(_PARIS, id="a", index=0), _piece(_ROME, id="b", index=0))


@TOOLS.fault(stream=_TWO_CALLS, only=_is_chat)
def tool_calls_of_strange_indices(turn: Turn) -> None:
    """A negative and an enormous index."""
    _call_tools(turn, _piece(_PARIS, id="a", index=-1), _piece(_ROME, id="b", index=10**9))


@TOOLS.fault(stream=_TWO_CALLS, only=_is_chat)
def tool_calls_of_one_id(turn: Turn) -> None:
    """Two calls with the same id."""
    _call_tools(turn, _piece(_PARIS, id="a", index=0), _piece(_ROME, id="a", index=1))


@TOOLS.fault(stream=_TWO_CALLS, only=_is_chat)
def tool_calls_without_id(turn: Turn) -> None:
    """Two calls without ids."""
    _call_tools(turn, _piece(_PARIS, index=0), _piece(_ROME, index=1))


@TOOLS.fault(stream=_TWO_CALLS, only=_is_chat)
def tool_calls_interleaved(turn: Turn) -> None:
    """The pieces of two calls, in turn."""
    _call_tools(
        turn,
        _piece(_PARIS[:5], id="a", index=0),
        _piece(_ROME[:7], id="b", index=1),
        _piece(_PARIS[5:], name=None, index=0),
        _piece(_ROME[7:], name=None, index=1),
    )


@TOOLS.fault(stream=answers("", FinishReason.TOOL_CALLS, tool_calls=(("weather", '{"city": Paris'),)), only=_is_chat)
def arguments_are_no_json(turn: Turn) -> None:
    """Arguments that are no JSON; they are handed out as they came."""
    _call_tools(turn, _piece('{"city": Paris', id="a", index=0))


@TOOLS.fault(stream=raises(TruncatedAnswerError), only=_is_chat)
def cut_inside_arguments(turn: Turn) -> None:
    """The stream ends in the middle of the arguments; the call is not handed out."""
    _call_tools(turn, _piece('{"city": "Par', id="a", index=0), ends=False)


USAGE = Section("Usage")


def _counted(turn: Turn, tokens: object) -> None:
    if turn.streamed:
        turn.answer(turn.traffic.said(*PIECES) + turn.traffic.finish(tokens=tokens) + turn.traffic.end())
    else:
        turn.say(turn.traffic.whole(TEXT, tokens=tokens))


@USAGE.fault(stream=answers(tokens=7), whole=answers(tokens=7))
def usage(turn: Turn) -> None:
    """No fault: seven tokens in, seven out."""
    _counted(turn, 7)


@USAGE.fault(stream=answers(tokens=0), whole=answers(tokens=0))
def usage_of_zero(turn: Turn) -> None:
    """Zero tokens, which is not unknown."""
    _counted(turn, 0)


@USAGE.fault(stream=answers(warned=True), whole=answers(warned=True))
def negative_usage(turn: Turn) -> None:
    """Fewer than no tokens; the usage is unknown."""
    _counted(turn, -7)


@USAGE.fault(stream=answers(warned=True), whole=answers(warned=True))
def absurd_usage(turn: Turn) -> None:
    """10^30 tokens; the usage is unknown."""
    _counted(turn, 10**30)


@USAGE.fault(stream=answers(warned=True), whole=answers(warned=True))
def fractional_usage(turn: Turn) -> None:
    """Half a token; the usage is unknown."""
    _counted(turn, 0.5)


@USAGE.fault(stream=answers(warned=True), whole=answers(warned=True))
def usage_in_words(turn: Turn) -> None:
    """A text where the number belongs; the usage is unknown."""
    _counted(turn, "seven")


STATUS = Section("Statuses")


_SERVER_ERROR = raises(BackendError, Phase.HEADERS, category=ErrorCategory.SERVER)
_OVERLOADED = raises(BackendError, Phase.HEADERS, category=ErrorCategory.OVERLOADED)


@STATUS.fault(stream=_OVERLOADED, whole=_OVERLOADED)
def error_page(turn: Turn) -> None:
    """502 with a web page of a proxy."""
    page = b"<html><h1>502 Bad Gateway</h1>" + b"<p>nginx</p>" * 1000 + b"</html>"
    turn.send(head(502, content_type="text/html", content_length=len(page)) + page)


@STATUS.fault(stream=_SERVER_ERROR, whole=_SERVER_ERROR)
def error_without_words(turn: Turn) -> None:
    """500 without a body."""
    turn.send(head(500, content_length=0))


@STATUS.fault(stream=_SERVER_ERROR, whole=_SERVER_ERROR)
def error_in_noise(turn: Turn) -> None:
    """500 with bytes that mean nothing."""
    noise = bytes(range(256)) * 20
    turn.send(head(500, content_type="application/octet-stream", content_length=len(noise)) + noise)


@STATUS.fault(stream=_SERVER_ERROR, whole=_SERVER_ERROR)
def error_without_end(turn: Turn) -> None:
    """500 with a body without end, at full speed."""
    turn.send(head(500))
    turn.connection.repeat(b"x" * 65536)


@STATUS.fault(stream=_OVERLOADED, whole=_OVERLOADED, timeouts=striking(first_event=2, idle=1))
def error_that_stalls(turn: Turn) -> None:
    """503, and then silence where its explanation belongs."""
    turn.send(head(503, content_length=1000) + b'{"error": ')
    turn.connection.stall()


@STATUS.fault(stream=_OVERLOADED, whole=_OVERLOADED, timeouts=striking(attempt=2))
def error_that_drips(turn: Turn) -> None:
    """503, with an explanation that drips for ever."""
    turn.send(head(503))
    turn.connection.repeat(b"x", pause=0.002)


@STATUS.fault(stream=_SERVER_ERROR, whole=_SERVER_ERROR)
def error_that_breaks_off(turn: Turn) -> None:
    """500, and RST inside its explanation."""
    turn.send(head(500, content_length=1000) + b'{"error": ')
    turn.connection.reset()


@STATUS.fault(
    stream=raises(BackendError, Phase.HEADERS, category=ErrorCategory.AUTH),
    whole=raises(BackendError, Phase.HEADERS, category=ErrorCategory.AUTH),
)
def error_that_repeats_the_key(turn: Turn) -> None:
    """401 that repeats the key in several forms; none of them is in the error."""
    key = turn.connection.request.headers.get("authorization", "")
    text = key.removeprefix("Bearer ")
    said = f"wrong key {key} {quote(text)} {base64.b64encode(text.encode()).decode()}"
    body = encoded({"error": {"message": said, "code": text}})
    turn.send(head(401, content_length=len(body), headers={"x-request-id": text}) + body)


@STATUS.fault(stream=raises(MalformedAnswerError), whole=raises(MalformedAnswerError))
def no_content(turn: Turn) -> None:
    """204."""
    turn.send(head(204))


@STATUS.fault(
    stream=raises(BackendError, Phase.HEADERS, category=ErrorCategory.UNKNOWN),
    whole=raises(BackendError, Phase.HEADERS, category=ErrorCategory.UNKNOWN),
)
def redirect(turn: Turn) -> None:
    """307 to another origin, which is not followed."""
    turn.send(head(307, content_length=0, headers={"location": "http://127.0.0.2:9/"}))
