"""The contracts of a wire format, without a network. Each check is a function of a case."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from itertools import accumulate
from typing import TypeAlias, cast

from airframe.endpoints import Limits
from airframe.errors import (
    AirframeError,
    BackendError,
    LimitExceededError,
    MalformedAnswerError,
    ProtocolError,
    TruncatedAnswerError,
)
from airframe.testing.conformance.case import ConformanceCase, comparable
from airframe.testing.conformance.decoding import Decoded, decode_stream, options, sound
from airframe.testing.conformance.frames import (
    ChangeJSON,
    change_members,
    edit,
    edit_document,
    end_index,
    frames_of,
    pieces,
    proof_index,
)
from airframe.types import (
    InferenceResult,
    Part,
    ReasoningEvent,
    StreamEvent,
    TextPart,
    TokenEvent,
    ToolCallDeltaEvent,
    Usage,
)

__all__ = [
    "WIRE_CHECKS",
    "WireCheck",
    "check_byte_order_mark",
    "check_empty_stream",
    "check_errors",
    "check_every_cut",
    "check_garbage",
    "check_impossible_usage",
    "check_limits",
    "check_line_ends",
    "check_meaning",
    "check_nothing_after_the_end",
    "check_pings",
    "check_strange_characters",
    "check_strange_errors",
    "check_stream_error",
    "check_truncation",
    "check_unknown_members",
    "check_unknown_usage",
    "check_unterminated_end",
    "check_wrong_bodies",
]

WireCheck: TypeAlias = Callable[[ConformanceCase], None]

_STRANGE_WORD = "a\u2028b\u2029c\u0085d\u00e9\u6f22\U0001f600e"
"""Characters that other parsers take for line ends, and characters of two, three and four bytes."""

_BOM = b"\xef\xbb\xbf"
_MOST_CUTS = 1000
_WRONG_DOCUMENTS = (b"null", b"[]", b"7", b'"text"', b"{", b'{"a": ', b"plain words", b"[" * 100_000)


def check_meaning(case: ConformanceCase) -> None:
    """Stream and body say what the case expects, and the pieces of a stream add up to its answer."""
    streamed = _whole(case, case.stream)
    _same(streamed.result, case.expected, "the stream")
    _same(_body(case, case.body), case.expected_body or case.expected, "the body")
    said = "".join(event.text for event in streamed.events if isinstance(event, TokenEvent))
    thought = "".join(event.text for event in streamed.events if isinstance(event, ReasoningEvent))
    assert said == streamed.result.text, "the TOKEN events do not add up to the text"
    assert thought == streamed.result.reasoning, "the REASONING events do not add up to the reasoning"
    for position, call in enumerate(streamed.result.tool_calls):
        deltas = [event for event in streamed.events if isinstance(event, ToolCallDeltaEvent)]
        written = "".join(event.arguments for event in deltas if event.position == position)
        assert (written or "{}") == call.arguments, f"the deltas of call {position} do not add up to its arguments"


def check_every_cut(case: ConformanceCase) -> None:
    """However the bytes are cut, the same events come: by 1, by 3, in two at every byte, and at random."""
    whole = _whole(case, case.stream)
    for size in (1, 2, 3, 7):
        _same_events(case, pieces(case.stream, size), whole, f"in pieces of {size} bytes")
    for cut in _offsets(len(case.stream)):
        _same_events(case, [case.stream[:cut], case.stream[cut:]], whole, f"cut at byte {cut}")
    chance = random.Random(0)  # noqa: S311 - no secret hangs on it
    for number in range(100):
        cuts = sorted(chance.sample(range(1, len(case.stream)), k=min(9, len(case.stream) - 1)))
        _same_events(case, _cut(case.stream, cuts), whole, f"cut at random, number {number}, at {cuts}")


def check_line_ends(case: ConformanceCase) -> None:
    """LF, CRLF and CR, however cut, make the same lines (NDJSON: LF and CRLF)."""
    whole = _whole(case, case.stream)
    plain = b"".join(frames_of(case))
    for name, end in (("LF", b"\n"), ("CRLF", b"\r\n"), ("CR", b"\r")):
        if end == b"\r" and case.framing == "ndjson":
            continue
        stream = plain.replace(b"\n", end)
        for size in (len(stream), 1, 3):
            _same_events(case, pieces(stream, size), whole, f"with {name} in pieces of {size} bytes")


def check_byte_order_mark(case: ConformanceCase) -> None:
    """A byte order mark in front changes nothing."""
    whole = _whole(case, case.stream)
    for size in (len(case.stream) + 3, 1, 2):
        _same_events(case, pieces(_BOM + case.stream, size), whole, f"with a byte order mark, by {size} bytes")


def check_pings(case: ConformanceCase) -> None:
    """Comments and pings make no event, disturb none, and are no progress."""
    whole = _whole(case, case.stream)
    for ping in case.pings:
        stream = ping + ping.join(frames_of(case))
        for size in (len(stream), 1):
            _same_events(case, pieces(stream, size), whole, f"with pings {ping!r}, by {size} bytes")


def check_strange_characters(case: ConformanceCase) -> None:
    """Unicode's line separators inside JSON are text, and no character is broken by a cut."""
    assert case.word.encode() in case.stream, "case.word does not stand in case.stream"
    assert case.word.encode() in case.body, "case.word does not stand in case.body"
    stream, body = (data.replace(case.word.encode(), _STRANGE_WORD.encode()) for data in (case.stream, case.body))
    expected = _with_word(case.expected, case.word)
    for size in (len(stream), 1, 2, 3):
        decoded = decode_stream(case, pieces(stream, size))
        assert decoded.error is None, f"strange characters, by {size} bytes: {decoded.error}"
        assert decoded.result.text == expected.text, f"strange characters, by {size} bytes"
    assert _body(case, body).text == _with_word(case.expected_body or case.expected, case.word).text


def check_truncation(case: ConformanceCase) -> None:
    """A stream that is cut before its proof, at any byte, is an error that keeps what was said; after it, it is not."""
    whole = _whole(case, case.stream)
    frames = frames_of(case)
    stream, proof = b"".join(frames), proof_index(case, frames)
    ends = list(accumulate(map(len, frames)))
    proof_line = ends[proof] - len(frames[proof]) + len(frames[proof].rstrip(b"\n"))
    for cut in _offsets(len(stream), also=ends):
        decoded = decode_stream(case, [stream[:cut]])
        place = f"cut at byte {cut}, after {stream[max(0, cut - 40) : cut]!r}"
        assert decoded.events[: decoded.fed] == whole.events[: decoded.fed], f"{place}: other events than uncut"
        if cut < proof_line:
            assert isinstance(decoded.error, TruncatedAnswerError), f"{place}: {decoded.error!r}, not truncated"
            assert not decoded.proven, f"{place}: passes for proven"
            assert decoded.result.finish_reason is None, f"{place}: finish reason {decoded.result.finish_reason}"
            assert case.expected.text.startswith(_text(decoded.events[: decoded.fed])), place
            assert not any(call.complete for call in decoded.result.tool_calls), f"{place}: a tool call is complete"
        elif cut >= ends[proof]:
            assert decoded.proven, f"{place}: not proven"
            assert decoded.error is None or isinstance(decoded.error, ProtocolError), f"{place}: {decoded.error!r}"
            assert decoded.result.finish_reason is whole.result.finish_reason, place
            assert decoded.result.content == whole.result.content, f"{place}: other content"


def check_unterminated_end(case: ConformanceCase) -> None:
    """The last event counts without the line end or blank line behind it."""
    whole = _whole(case, case.stream)
    frames = frames_of(case)
    stream = b"".join(frames[: end_index(case, frames) + 1]).rstrip(b"\n")
    for tail in (b"", b"\n"):
        decoded = decode_stream(case, pieces(stream + tail, 5))
        assert decoded.error is None, f"without the end of the last event: {decoded.error!r}"
        assert comparable(decoded.result) == comparable(whole.result)


def check_nothing_after_the_end(case: ConformanceCase) -> None:
    """What follows the event that ends the stream is not part of the answer."""
    whole = _whole(case, case.stream)
    frames = frames_of(case)
    stream = b"".join(frames[: end_index(case, frames) + 1])
    for name, more in (("the stream again", stream), ("garbage", b"garbage\x00\xff"), ("an error", case.stream_error)):
        for size in (len(stream) + len(more), 1, len(stream)):
            _same_events(case, pieces(stream + more, size), whole, f"followed by {name}, by {size} bytes")
    decoded = decode_stream(case, [stream])
    assert decoded.complete, "the stream ends, but the decoder wants more"


def check_garbage(case: ConformanceCase) -> None:
    """Anything but an object of JSON, between any two events, is malformed: never skipped, and nothing said is lost."""
    for index, before in _prefixes(case):
        for garbage in _WRONG_DOCUMENTS:
            decoded = decode_stream(case, [before, _framed(case, garbage), *frames_of(case)[index:]])
            place = f"{garbage[:20]!r} after event {index}"
            assert isinstance(decoded.error, MalformedAnswerError), f"{place}: {decoded.error!r}"
            _kept(case, before, decoded, place)


def check_stream_error(case: ConformanceCase) -> None:
    """An error inside the stream, at any place, is raised with its own category, and nothing said is lost."""
    frames = frames_of(case)
    for index in range(end_index(case, frames) + 1):
        before = b"".join(frames[:index])
        for tail in (b"", b"".join(frames[index:])):
            for size in (1 << 20, 1):
                decoded = decode_stream(case, pieces(before + case.stream_error + tail, size))
                place = f"after {index} events"
                assert isinstance(decoded.error, BackendError), f"{place}: {decoded.error!r}"
                assert decoded.error.category is case.stream_error_category, f"{place}: {decoded.error.category}"
                _kept(case, before, decoded, place)


def check_empty_stream(case: ConformanceCase) -> None:
    """A stream without an answer is truncated, whether it holds nothing, a ping, or only the beginning of an event."""
    for stream in (b"", b"\n", *case.pings, frames_of(case)[0][:5]):
        decoded = decode_stream(case, [stream])
        assert isinstance(decoded.error, TruncatedAnswerError), f"{stream!r}: {decoded.error!r}"
        assert decoded.events == []


def check_unknown_members(case: ConformanceCase) -> None:
    """Members and events that nobody knows are passed over."""

    def add(document: dict[str, object]) -> dict[str, object]:
        return {"x_first": None, **document, "x_unknown": {"deep": [1, None, {"more": "x"}]}}

    whole = _whole(case, case.stream)
    _same_events(case, [edit(case, frame, add) for frame in frames_of(case)], whole, "with unknown members")
    _same(_body(case, edit_document(case.body, add)), case.expected_body or case.expected, "with unknown members")
    if case.unknown_event is not None:
        stream = case.unknown_event + case.unknown_event.join(frames_of(case))
        _same_events(case, [stream], whole, "with unknown events", more_events=True)


def check_unknown_usage(case: ConformanceCase) -> None:
    """Token counts that are null or missing are unknown, never zero."""

    def drop(document: dict[str, object]) -> dict[str, object]:
        return _without(document, case.usage_fields)

    for name, change in (("null", change_members(case.usage_fields, lambda _: None)), ("missing", drop)):
        for result in _changed(case, change):
            assert replace(result.usage, raw={}) == Usage(), f"usage {name}: {result.usage}"


def check_impossible_usage(case: ConformanceCase) -> None:
    """A count that cannot be one is unknown, with a warning: it must never reach a bill."""
    whole = (case.expected, case.expected_body or case.expected)
    for wrong in (-1, 1.5, 10**30, "7", True, [1]):

        def spoil(value: object, wrong: object = wrong) -> object:
            return _with_counts(value, wrong)

        for result, right in zip(_changed(case, change_members(case.usage_fields, spoil)), whole, strict=True):
            assert replace(result.usage, raw={}) == Usage(), f"a count of {wrong!r} became {result.usage}"
            assert result.warnings or right.usage == Usage(), f"a count of {wrong!r} passed without a warning"


def check_limits(case: ConformanceCase) -> None:
    """Lines, events and tool calls beyond a limit are refused, however bytes are cut, and what came before stands."""
    frames = frames_of(case)
    longest = max(len(line) for frame in frames for line in frame.split(b"\n"))
    whole = _whole(case, case.stream)
    limits = [("line_bytes", Limits(line_bytes=longest - 1))]
    if case.framing == "sse":
        limits.append(("event_bytes", Limits(event_bytes=longest - len("data: "))))
    for name, limit in limits:
        reached: list[int] = []
        for size in (1 << 20, 1, 7):
            decoded = decode_stream(case, pieces(case.stream, size), limit)
            assert isinstance(decoded.error, LimitExceededError), f"{name}, by {size} bytes: {decoded.error!r}"
            assert decoded.error.limit == name
            assert decoded.events == whole.events[: len(decoded.events)]
            reached.append(len(decoded.events))
        assert len(set(reached)) == 1, f"{name}: how much is kept depends on the cut: {reached}"
    _same_events(case, [case.stream], whole, "at the limit", limits=Limits(line_bytes=longest, event_bytes=longest))
    if len(case.expected.tool_calls) > 1:
        decoded = decode_stream(case, [case.stream], Limits(tool_calls=1))
        assert isinstance(decoded.error, LimitExceededError), f"tool_calls: {decoded.error!r}"


def check_wrong_bodies(case: ConformanceCase) -> None:
    """A body that is no answer is an error of the protocol: cut, empty of meaning, too deep, or of another type."""
    wrong = [*_WRONG_DOCUMENTS, b"{}", b"", b"<html>", *(case.body[:cut] for cut in _offsets(len(case.body.rstrip())))]
    for body in wrong:
        error = _body_error(case, body)
        assert isinstance(error, ProtocolError), f"the body {body[:40]!r} ({len(body)} bytes): {error!r}"


def check_errors(case: ConformanceCase) -> None:
    """Each error gets its category, with the backend's words, status and code; its body is kept."""
    assert case.errors, "the case has no errors by status"
    for answer in case.errors:
        error = sound(case.protocol.classify_error(answer.status, answer.headers, answer.body))
        assert error.category is answer.category, f"{answer.status} {answer.body[:80]!r}: {error.category}"
        assert error.status == answer.status
        assert error.body == answer.body[:2048].decode("utf-8", "replace")


def check_strange_errors(case: ConformanceCase) -> None:
    """Whatever the body of an error is, the error is readable and short; an unknown status is unknown."""
    bodies = (
        *_WRONG_DOCUMENTS, b"", b"\xff\xfe\x00", b"<html><body>502 Bad Gateway</body></html>", b'{"error": null}',
        b'{"error": {"message": null, "code": null, "type": []}}', b'{"error": [1]}', b'{"error": ""}', b"{}",
        b'{"error": {"message": "' + b"\xc3\xa9" * 200_000 + b'"}}', b'{"error": {"code": 400.5, "message": 7}}',
    )  # fmt: skip
    for status in (400, 401, 404, 429, 500, 503):
        for body in bodies:
            error = sound(case.protocol.classify_error(status, {}, body))
            assert str(error), f"{status} {body[:40]!r}: no words"
            assert error.status == status
    assert case.protocol.classify_error(418, {}, b"").category.value == "unknown"


WIRE_CHECKS: Sequence[WireCheck] = (
    check_meaning,
    check_every_cut,
    check_line_ends,
    check_byte_order_mark,
    check_pings,
    check_strange_characters,
    check_truncation,
    check_unterminated_end,
    check_nothing_after_the_end,
    check_garbage,
    check_stream_error,
    check_empty_stream,
    check_unknown_members,
    check_unknown_usage,
    check_impossible_usage,
    check_limits,
    check_wrong_bodies,
    check_errors,
    check_strange_errors,
)
"""Every check of this file."""


def _whole(case: ConformanceCase, stream: bytes) -> Decoded:
    decoded = decode_stream(case, [stream])
    assert decoded.error is None, f"the stream as recorded fails: {decoded.error!r}"
    assert decoded.complete, "the stream as recorded is not complete"
    return decoded


def _body(case: ConformanceCase, body: bytes) -> InferenceResult:
    return case.protocol.decode(body, options(case))


def _same(result: InferenceResult, expected: InferenceResult, what: str) -> None:
    found, wanted = comparable(result), comparable(expected)
    different = {
        item.name: (getattr(found, item.name), getattr(wanted, item.name))
        for item in fields(InferenceResult)
        if getattr(found, item.name) != getattr(wanted, item.name)
    }
    assert not different, f"{what}: found and expected differ in {different}"


def _same_events(
    case: ConformanceCase,
    data: Iterable[bytes],
    whole: Decoded,
    how: str,
    *,
    limits: Limits | None = None,
    more_events: bool = False,
) -> Decoded:
    decoded = decode_stream(case, data, limits)
    assert decoded.error is None, f"{how}: {decoded.error!r}"
    assert decoded.events == whole.events, f"{how}: other events"
    assert comparable(decoded.result) == comparable(whole.result), f"{how}: another result"
    assert more_events or decoded.progress == whole.progress, (
        f"{how}: {decoded.progress} events count as progress, not {whole.progress}"
    )
    return decoded


def _kept(case: ConformanceCase, before: bytes, decoded: Decoded, place: str) -> None:
    """What was said before a failure is still there, as events and in the partial result."""
    undisturbed: list[StreamEvent] = []
    case.protocol.stream_decoder(options(case)).feed(before, undisturbed)
    assert decoded.events[: len(undisturbed)] == undisturbed, f"{place}: events were lost"
    assert decoded.result.text.startswith(_text(undisturbed)), f"{place}: the partial result lost text"
    assert not decoded.complete, f"{place}: passes for complete"


def _prefixes(case: ConformanceCase) -> list[tuple[int, bytes]]:
    """Every place before the proof: how many events come before it, and their bytes."""
    frames = frames_of(case)
    return [(index, b"".join(frames[:index])) for index in range(proof_index(case, frames) + 1)]


def _framed(case: ConformanceCase, payload: bytes) -> bytes:
    return payload + b"\n" if case.framing == "ndjson" else b"data: " + payload + b"\n\n"


def _changed(case: ConformanceCase, change: ChangeJSON) -> tuple[InferenceResult, InferenceResult]:
    """The results of stream and body with every JSON object changed."""
    decoded = decode_stream(case, [edit(case, frame, change) for frame in frames_of(case)])
    assert decoded.error is None, f"{decoded.error!r}"
    return decoded.result, _body(case, edit_document(case.body, change))


def _without(value: object, names: frozenset[str]) -> dict[str, object]:
    def dropped(value: object) -> object:
        match value:
            case dict():
                members = cast("dict[str, object]", value)
                return {key: dropped(item) for key, item in members.items() if key not in names}
            case list():
                return [dropped(item) for item in cast("list[object]", value)]
            case _:
                return value

    return cast("dict[str, object]", dropped(value))


def _with_counts(value: object, wrong: object) -> object:
    """`value` with every number in it replaced."""
    match value:
        case dict():
            return {key: _with_counts(item, wrong) for key, item in cast("dict[str, object]", value).items()}
        case int() | float() if not isinstance(value, bool):
            return wrong
        case _:
            return value


def _with_word(result: InferenceResult, word: str) -> InferenceResult:
    def strange(part: Part) -> Part:
        return replace(part, text=part.text.replace(word, _STRANGE_WORD)) if isinstance(part, TextPart) else part

    return replace(result, content=tuple(map(strange, result.content)))


def _text(events: Sequence[StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TokenEvent))


def _offsets(length: int, also: Iterable[int] = ()) -> list[int]:
    """Where to cut: everywhere, or evenly spread over what is long."""
    step = max(1, length // _MOST_CUTS)
    return sorted({*range(1, length, step), *(place for place in also if place < length)})


def _cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def _body_error(case: ConformanceCase, body: bytes) -> AirframeError | None:
    try:
        _body(case, body)
    except AirframeError as error:
        return sound(error)
    return None
