"""Server-sent events and NDJSON, cut out of bytes.

The first part reads along section 9.2.6 of WHATWG HTML. The second compares with httpx-sse, an independent reader, in
everything in which that is right; docs/decisions/0001-our-own-framing.md says where it is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import httpx
import httpx_sse
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airframe.errors import LimitExceededError
from airframe.protocols.framing import LineFramer, SSEFramer

MANY = 1 << 20

# -- as the specification says


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_lines_end_in_three_ways(end: bytes) -> None:
    """A line ends by LF, CR LF or CR; the event ends by an empty line."""
    assert events([end.join([b"event: a", b"data: 1", b"", b"data: 2", b"", b""])]) == [("a", "1"), ("", "2")]


def test_the_three_ways_may_be_mixed() -> None:
    """Each line may end as it likes."""
    assert events([b"data: 1\r\ndata: 2\rdata: 3\n\r\ndata: 4\n\r"]) == [("", "1\n2\n3"), ("", "4")]


@pytest.mark.parametrize("text", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c"])
def test_nothing_else_ends_a_line(text: str) -> None:
    """What `str.splitlines` takes for a line end is text."""
    assert events([f"data: a{text}b\n\n".encode()]) == [("", f"a{text}b")]
    assert lines([f"a{text}b\n".encode()]) == [f"a{text}b"]


def test_a_cr_at_the_end_of_a_read_may_be_half_of_a_line_end() -> None:
    """CR and LF in different reads are one line end; the line does not wait for the LF."""
    framer = LineFramer(MANY)
    assert list(framer.feed(b"a\r")) == [b"a"]
    assert list(framer.feed(b"\nb\r\n")) == [b"b"]


@pytest.mark.parametrize(
    ("line", "data"),
    [
        ("data: x", "x"),
        ("data:x", "x"),
        ("data:  x", " x"),
        ("data:\tx", "\tx"),
        ("data: x ", "x "),
        ("data:", ""),
        ("data", ""),
        ("data: a: b", "a: b"),
    ],
)
def test_one_space_behind_the_colon_does_not_count(line: str, data: str) -> None:
    """A field's value begins behind the colon, or behind the colon and one space; without a colon it is empty."""
    assert events([f"{line}\n\n".encode()]) == [("", data)]


def test_data_lines_are_joined_by_line_feeds() -> None:
    """Several data lines are one text of several lines, empty ones too."""
    assert events([b"data: {\ndata:\ndata: }\n\n"]) == [("", "{\n\n}")]


def test_a_name_belongs_to_its_own_event() -> None:
    """The last name before the empty line counts, and the next event has none."""
    assert events([b"event: a\nevent: b\ndata: 1\n\ndata: 2\n\n"]) == [("b", "1"), ("", "2")]


def test_an_event_without_data_is_none() -> None:
    """A name alone makes no event, and does not stay for the next one."""
    assert events([b"event: a\n\ndata: 1\n\n"]) == [("", "1")]


def test_comments_other_fields_and_empty_lines_are_passed_over() -> None:
    """Comments, ids, retry times and unknown fields say nothing here, not even between the lines of an event."""
    stream = b": ping\n\n\n\nid: 7\nretry: 5\ndata: 1\n: more\nfoo: bar\n:\nfoo\ndatum: x\ndata: 2\n\n:\n\n"
    assert events([stream]) == [("", "1\n2")]


def test_a_byte_order_mark_in_front_is_no_text() -> None:
    """One mark at the very beginning is left out; a second one, or one later, is text."""
    mark = b"\xef\xbb\xbf"
    assert events([mark + b"data: 1\n\n"]) == [("", "1")]
    assert events([bytes([byte]) for byte in mark + b"data: 1\n\n"]) == [("", "1")]
    assert events([mark + mark + b"data: 1\n\n"]) == []
    assert events([b"data: 1\n\n" + mark + b"data: 2\n\n"]) == [("", "1")]


# -- where the wire differs from the specification


def test_the_last_event_may_lack_its_empty_line() -> None:
    """An event that the end of the input cut off is handed out: whether it is whole, its JSON tells."""
    for tail in (b"", b"\n", b"\r"):
        assert events([b"data: 1\n\nevent: b\ndata: 2" + tail]) == [("", "1"), ("b", "2")]
    assert events([b"\xef\xbb\xbfdata: 1"]) == [("", "1")]
    assert events([b"data: 1\n\nevent: b\n"]) == [("", "1")]


def test_an_error_field_is_an_event_of_that_name() -> None:
    """llama.cpp reported errors so until September 2025."""
    assert events([b'error: {"code": 500}\n\ndata: 1\n\n']) == [("error", '{"code": 500}'), ("", "1")]


# -- limits


def test_a_line_beyond_the_limit_is_refused_and_the_ones_before_it_are_not_lost() -> None:
    """A line may be as long as the limit and no longer, with or without an end, in one read or many."""
    for pieces in ([b"12345\n123456\n"], [b"12345\n123456"], [b"12345\n", b"123", b"456\n"], [b"12345\n123", b"456"]):
        fed = (line for framer in [LineFramer(5)] for piece in pieces for line in framer.feed(piece))
        assert next(fed) == b"12345"
        with pytest.raises(LimitExceededError, match=r"Limits\.line_bytes \(5\)") as caught:
            next(fed)
        assert caught.value.limit == "line_bytes"
    assert list(LineFramer(5).feed(b"12345\n")) == [b"12345"]


@pytest.mark.parametrize("line", [b"data: 123\n", b"data\n", b"data:\n", b"error: 12\n"])
def test_an_event_beyond_the_limit_is_refused(line: bytes) -> None:
    """Lines that never end in an event do not fill the memory, not even empty ones."""
    framer = SSEFramer(MANY, 100)
    assert [frame.data for frame in framer.feed(b"data: 1\n\n")] == [b"1"]
    with pytest.raises(LimitExceededError, match=r"Limits\.event_bytes \(100\)") as caught:
        list(framer.feed(line * 200))
    assert caught.value.limit == "event_bytes"


def test_events_one_by_one_do_not_add_up_to_the_limit() -> None:
    """The limit is one event's, not the stream's."""
    framer = SSEFramer(MANY, 100)
    assert len(list(framer.feed(b"data: 0123456789\n\n" * 500))) == 500


# -- however it is cut

LINE = st.sampled_from(
    [
        b"data: {}",
        b"data:x",
        b"data: \xe2\x80\xa8",
        b"data",
        b"event: a",
        b"event:",
        b": ping",
        b":",
        b"id: 1",
        b"",
        b"x",
    ]
)
END = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAM = st.lists(st.tuples(LINE, END)).map(lambda pairs: b"".join(line + end for line, end in pairs))


@given(stream=STREAM, places=st.lists(st.integers(0, 200)))
def test_cuts_make_no_difference(stream: bytes, places: list[int]) -> None:
    """The events of a stream are the same however its bytes are cut."""
    assert events(cut(stream, places)) == events([stream])


@given(stream=STREAM, places=st.lists(st.integers(0, 200)))
def test_httpx_sse_finds_the_same_events(stream: bytes, places: list[int]) -> None:
    """An independent reader agrees on every event that has data, if the last one has its empty line."""
    # Without data there is no event by the specification; httpx-sse makes one of a name alone, or of an id before.
    stream += b"\n\n"
    assert [event for event in events(cut(stream, places)) if event[1]] == by_httpx_sse(stream)


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), places=st.lists(st.integers(0, 200)))
def test_lines_are_those_of_the_text(text: str, places: list[int]) -> None:
    """A line of any text comes out as it went in, and what has no end is left over."""
    data = f"{text}\nb{text}\n\n{text}".encode()
    found = lines(cut(data, places))
    assert found == [text.removeprefix("\ufeff"), f"b{text}", "", *([text] if text else [])]


def by_httpx_sse(stream: bytes) -> list[tuple[str, str]]:
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    found = httpx_sse.EventSource(response).iter_sse()
    return [(event.event if event.event != "message" else "", event.data) for event in found if event.data]


def events(pieces: Iterable[bytes]) -> list[tuple[str, str]]:
    """(name, data) of each event, the last unfinished one included."""
    framer = SSEFramer(MANY, MANY)
    frames = [frame for piece in pieces for frame in framer.feed(piece)]
    if last := framer.finish():
        frames.append(last)
    return [(frame.event.decode(), frame.data.decode()) for frame in frames]


def lines(pieces: Iterable[bytes]) -> list[str]:
    """Each line, and what is left without an end."""
    framer = LineFramer(MANY)
    found = [line for piece in pieces for line in framer.feed(piece)]
    if rest := framer.finish():
        found.append(rest)
    return [line.decode() for line in found]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(place for place in places if place < len(data))})
    return [data[start:end] for start, end in pairwise(bounds)] or [data]
