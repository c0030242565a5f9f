"""Faults below the meaning: in the head of an answer, in its body, in the framing of its events."""

from __future__ import annotations

import gzip
import zlib

from airframe.endpoints import Limits
from airframe.errors import (
    CallTimeoutError,
    ConnectionFailedError,
    LimitExceededError,
    MalformedAnswerError,
    Phase,
    TruncatedAnswerError,
)
from airframe.testing.hostile.fault import BEGINNING, PIECES, TEXT, Section, Turn, answers, raises, striking
from airframe.testing.hostile.server import chunk, head
from airframe.testing.hostile.traffic import Traffic, encoded

__all__ = ["BODY", "FRAMING", "HEAD"]

DRIP = 0.002  # seconds between two drops: far more of them fall than a limit that they reset would allow
MEGABYTE = 2**20

HEAD = Section("The head of the answer")

_LOST = raises(ConnectionFailedError, Phase.SENT)
_NO_FIRST_EVENT = striking(first_event=1)


@HEAD.fault(stream=_LOST, whole=_LOST)
def closed_without_a_byte(turn: Turn) -> None:
    """FIN instead of an answer."""
    turn.connection.close()


@HEAD.fault(stream=_LOST, whole=_LOST)
def reset_without_a_byte(turn: Turn) -> None:
    """RST instead of an answer."""
    turn.connection.reset()


@HEAD.fault(stream=_LOST, whole=_LOST)
def closed_inside_the_head(turn: Turn) -> None:
    """FIN between two headers."""
    turn.send(turn.head()[:-8])
    turn.connection.close()


@HEAD.fault(stream=_LOST, whole=_LOST)
def reset_inside_the_head(turn: Turn) -> None:
    """RST between two headers."""
    turn.send(turn.head()[:-8])
    turn.connection.reset()


@HEAD.fault(
    stream=raises(CallTimeoutError, Phase.SENT, timeout="first_event"),
    whole=raises(CallTimeoutError, Phase.SENT, timeout="first_event"),
    timeouts=_NO_FIRST_EVENT,
)
def no_answer(turn: Turn) -> None:
    """The request is read, and nothing follows."""
    turn.connection.stall()


@HEAD.fault(
    stream=raises(CallTimeoutError, Phase.SENT, timeout="first_event"),
    whole=raises(CallTimeoutError, Phase.SENT, timeout="first_event"),
    timeouts=_NO_FIRST_EVENT,
)
def dripping_head(turn: Turn) -> None:
    """The head drips, a byte at a time, for ever."""
    turn.send(b"HTTP/1.1 200 OK\r\nx-drip: ")
    turn.connection.repeat(b"x", pause=DRIP)


@HEAD.fault(
    stream=raises(LimitExceededError, Phase.HEADERS, limit="header_bytes"),
    whole=raises(LimitExceededError, Phase.HEADERS, limit="header_bytes"),
)
def huge_head(turn: Turn) -> None:
    """Two megabytes of headers."""
    turn.send(turn.head(**{f"x-{number}": "x" * 1000 for number in range(2000)}))
    turn.answer(turn.body)


@HEAD.fault(
    stream=raises(LimitExceededError, Phase.HEADERS, limit="header_bytes"),
    whole=raises(LimitExceededError, Phase.HEADERS, limit="header_bytes"),
)
def endless_head(turn: Turn) -> None:
    """Headers without end, at full speed."""
    turn.send(b"HTTP/1.1 200 OK\r\n")
    turn.connection.repeat(b"x-more: %b\r\n" % (b"x" * 1000))


@HEAD.fault(stream=raises(MalformedAnswerError, Phase.SENT), whole=raises(MalformedAnswerError, Phase.SENT))
def no_http(turn: Turn) -> None:
    """The answer of another kind of server."""
    turn.send(b"-ERR unknown command 'POST'\r\n-ERR unknown command 'Host:'\r\n\r\n")
    turn.connection.close()


def _is_sse(traffic: Traffic) -> bool:
    return traffic.content_type == "text/event-stream"


BODY = Section("The body")


@BODY.fault(
    stream=raises(CallTimeoutError, timeout="first_event"),
    whole=raises(CallTimeoutError, timeout="first_event"),
    timeouts=_NO_FIRST_EVENT,
)
def silence_after_the_head(turn: Turn) -> None:
    """A head, and then silence."""
    turn.send(turn.head())
    turn.connection.stall()


@BODY.fault(
    stream=raises(CallTimeoutError, timeout="idle", said=BEGINNING),
    whole=raises(CallTimeoutError, timeout="idle"),
    timeouts=striking(idle=1),
)
def silence_in_the_middle(turn: Turn) -> None:
    """Silence after two events, or in the middle of a document."""
    turn.send(turn.head() + chunk(turn.beginning))
    turn.connection.stall()


@BODY.fault(
    stream=raises(CallTimeoutError, timeout="first_event"),
    whole=raises(CallTimeoutError, timeout="attempt"),
    timeouts=striking(first_event=2, attempt=3),
)
def dripping_body(turn: Turn) -> None:
    """The body drips, a byte at a time, and no event is ever whole."""
    turn.send(turn.head() + chunk(turn.beginning[:10]))
    turn.connection.repeat(chunk(b"x"), pause=DRIP)


@BODY.fault(
    stream=raises(ConnectionFailedError, said=BEGINNING),
    whole=raises(ConnectionFailedError),
)
def reset_between_chunks(turn: Turn) -> None:
    """RST between two chunks."""
    turn.send(turn.head() + chunk(turn.beginning))
    turn.connection.reset()


@BODY.fault(
    stream=raises(ConnectionFailedError, said=BEGINNING),
    whole=raises(ConnectionFailedError),
)
def reset_inside_a_chunk(turn: Turn) -> None:
    """RST inside a chunk."""
    turn.send(turn.head() + chunk(turn.beginning) + chunk(turn.rest)[:10])
    turn.connection.reset()


@BODY.fault(
    stream=raises(TruncatedAnswerError, said=BEGINNING),
    whole=raises(TruncatedAnswerError),
)
def closed_between_chunks(turn: Turn) -> None:
    """FIN before the end of a chunked body."""
    turn.send(turn.head() + chunk(turn.beginning))
    turn.connection.close()


@BODY.fault(
    stream=raises(TruncatedAnswerError, said=BEGINNING),
    whole=raises(TruncatedAnswerError),
)
def closed_inside_a_chunk(turn: Turn) -> None:
    """FIN inside a chunk that was announced longer."""
    turn.send(turn.head() + chunk(turn.beginning, announced=5000))
    turn.connection.close()


@BODY.fault(
    stream=raises(MalformedAnswerError, said=BEGINNING),
    whole=raises(MalformedAnswerError),
)
def chunk_size_is_no_number(turn: Turn) -> None:
    """A chunk whose size is no number."""
    turn.send(turn.head() + chunk(turn.beginning))
    turn.send(b"many\r\n" + turn.rest)
    turn.connection.stall()


@BODY.fault(
    stream=raises(MalformedAnswerError, said=BEGINNING),
    whole=raises(MalformedAnswerError),
)
def chunk_size_is_absurd(turn: Turn) -> None:
    """A chunk of 2^80 bytes."""
    turn.send(turn.head() + chunk(turn.beginning))
    turn.send(chunk(turn.rest, announced=2**80))
    turn.connection.stall()


@BODY.fault(stream=answers(), whole=raises(TruncatedAnswerError))
def content_length_too_long(turn: Turn) -> None:
    """A body that is whole, and shorter than its Content-Length."""
    length = len(turn.body) + 100
    turn.send(head(200, content_type=turn.traffic.content_type, content_length=length) + turn.body)
    turn.connection.close()


@BODY.fault(stream=answers(), whole=answers())
def ended_by_closing(turn: Turn) -> None:
    """A body without length and chunks, that ends with the connection."""
    turn.send(head(200, content_type=turn.traffic.content_type) + turn.body)
    turn.connection.close()


@BODY.fault(stream=raises(MalformedAnswerError), whole=raises(MalformedAnswerError))
def web_page(turn: Turn) -> None:
    """A web page under 200."""
    turn.answer(b"<!DOCTYPE html><html><body>Please log in to the hotel's network.</body></html>", "text/html")


@BODY.fault(stream=raises(MalformedAnswerError), whole=raises(MalformedAnswerError))
def empty_body(turn: Turn) -> None:
    """Nothing under 200."""
    turn.answer(b"")


@BODY.fault(stream=answers(), whole=answers())
def wrong_content_type(turn: Turn) -> None:
    """The right body, said to be plain text."""
    turn.answer(turn.body, "text/plain")


@BODY.fault(stream=answers())
def document_for_a_stream(turn: Turn) -> None:
    """A document where a stream was asked for."""
    turn.answer(encoded(turn.traffic.whole(TEXT)), "application/json")


@BODY.fault(whole=raises(MalformedAnswerError), only=_is_sse)
def stream_for_a_document(turn: Turn) -> None:
    """A stream where a document was asked for."""
    turn.answer(turn.traffic.answer(*PIECES), "text/event-stream")


@BODY.fault(stream=answers(), whole=answers())
def gzip_event_by_event(turn: Turn) -> None:
    """Compressed, though a stream does not ask for it, and flushed after each piece."""
    compress = zlib.compressobj(wbits=31)
    turn.send(turn.head(**{"content-encoding": "gzip"}))
    for piece in (turn.beginning, turn.rest):
        turn.send(chunk(compress.compress(piece) + compress.flush(zlib.Z_SYNC_FLUSH)))
    turn.send(chunk(compress.flush()) + chunk())


@BODY.fault(stream=raises(MalformedAnswerError), whole=raises(MalformedAnswerError))
def broken_gzip(turn: Turn) -> None:
    """Noise that is said to be compressed."""
    turn.answer(b"\xff" * 200, **{"content-encoding": "gzip"})


@BODY.fault(
    stream=raises(TruncatedAnswerError, said=BEGINNING),
    whole=raises(TruncatedAnswerError),
)
def cut_gzip(turn: Turn) -> None:
    """Compressed data that end in the middle, in a body that says it is whole."""
    compress = zlib.compressobj(wbits=31)
    good = compress.compress(turn.beginning) + compress.flush(zlib.Z_SYNC_FLUSH)
    turn.send(turn.head(**{"content-encoding": "gzip"}) + chunk(good) + chunk())


@BODY.fault(stream=answers(), whole=answers())
def gzip_in_several_members(turn: Turn) -> None:
    """Compressed in two members, one after the other."""
    body = gzip.compress(turn.beginning) + gzip.compress(turn.rest)
    turn.answer(body, **{"content-encoding": "gzip"})


@BODY.fault(stream=raises(MalformedAnswerError, Phase.HEADERS), whole=raises(MalformedAnswerError, Phase.HEADERS))
def unknown_compression(turn: Turn) -> None:
    """A compression that was not asked for."""
    turn.answer(turn.body, **{"content-encoding": "zstd"})


@BODY.fault(
    stream=raises(LimitExceededError, limit="line_bytes"),
    whole=raises(LimitExceededError, limit="body_bytes"),
    limits=Limits(line_bytes=MEGABYTE, body_bytes=4 * MEGABYTE),
)
def gzip_bomb(turn: Turn) -> None:
    """A few kilobytes that unfold to 16 megabytes; in a stream, to one line of them."""
    start = b"data: " if turn.streamed else b'{"content": "'
    turn.answer(gzip.compress(start + b"x" * (16 * MEGABYTE), 1), **{"content-encoding": "gzip"})


@BODY.fault(
    stream=raises(LimitExceededError, limit="body_bytes", said=BEGINNING),
    whole=raises(LimitExceededError, limit="body_bytes"),
    limits=Limits(body_bytes=4 * MEGABYTE),
)
def endless_body(turn: Turn) -> None:
    """A body without end, at full speed."""
    turn.send(turn.head() + chunk(turn.beginning))
    turn.connection.repeat(chunk(turn.traffic.ping * 2000 if turn.streamed else b" " * 65536))


FRAMING = Section("The framing of events")


@FRAMING.fault(stream=answers(), whole=answers())
def every_byte_alone(turn: Turn) -> None:
    """Every byte in a chunk of its own, so that characters are cut too."""
    turn.send(turn.head() + b"".join(chunk(bytes([byte])) for byte in turn.body) + chunk())


@FRAMING.fault(stream=answers(), whole=answers())
def every_byte_sent_alone(turn: Turn) -> None:
    """Every byte of the answer, its head and the sizes of its chunks too, sent by itself."""
    for byte in turn.head() + chunk(turn.beginning) + chunk(turn.rest) + chunk():
        turn.send(bytes([byte]))


@FRAMING.fault(stream=answers(), only=_is_sse)
def lines_end_in_crlf(turn: Turn) -> None:
    """Lines end in CRLF."""
    turn.answer(turn.body.replace(b"\n", b"\r\n"))


@FRAMING.fault(stream=answers(), only=_is_sse)
def lines_end_in_cr(turn: Turn) -> None:
    """Lines end in CR."""
    turn.answer(turn.body.replace(b"\n", b"\r"))


@FRAMING.fault(stream=answers(), only=_is_sse)
def line_ends_are_mixed_and_cut(turn: Turn) -> None:
    """Line ends are mixed, and CR and LF come in chunks of their own."""
    body = turn.body.replace(b"\n\n", b"\r\n\n", 2).replace(b"\n\n", b"\r\r", 1)
    turn.send(turn.head() + b"".join(chunk(bytes([byte])) for byte in body) + chunk())


@FRAMING.fault(stream=answers())
def byte_order_mark(turn: Turn) -> None:
    """A byte order mark in front."""
    turn.answer(b"\xef\xbb\xbf" + turn.body)


@FRAMING.fault(stream=answers("a\u2028b\u2029c\u0085d"), whole=answers("a\u2028b\u2029c\u0085d"))
def unicode_line_separators(turn: Turn) -> None:
    """Unicode's line separators, as they are, inside JSON."""
    text = "a\u2028b\u2029c\u0085d"
    turn.answer(turn.traffic.answer(text) if turn.streamed else encoded(turn.traffic.whole(text)))


@FRAMING.fault(stream=raises(MalformedAnswerError, said=BEGINNING), whole=raises(MalformedAnswerError))
def invalid_utf8(turn: Turn) -> None:
    """Bytes that are no UTF-8."""
    turn.answer(turn.body.replace("天".encode(), b"\xff\xfe"))


@FRAMING.fault(stream=answers(), whole=answers())
def wrong_charset(turn: Turn) -> None:
    """UTF-8 that is said to be ISO 8859-1."""
    turn.answer(turn.body, f"{turn.traffic.content_type}; charset=iso-8859-1")


@FRAMING.fault(stream=answers(), only=_is_sse)
def document_over_several_lines(turn: Turn) -> None:
    """JSON spread over several `data:` lines."""
    turn.answer(turn.body.replace(b'{"', b'{\ndata: "'))


@FRAMING.fault(stream=answers(), only=_is_sse)
def unusual_fields(turn: Turn) -> None:
    """No space after the colon; comments, ids, retry times and unknown fields between."""
    body = turn.body.replace(b"data: ", b": comment\nid: 7\nretry: 100\nhue: blue\nevent\ndata:")
    turn.answer(body)


@FRAMING.fault(stream=answers())
def no_blank_line_at_the_end(turn: Turn) -> None:
    """The last event lacks its blank line."""
    turn.answer(turn.traffic.said(*PIECES) + turn.traffic.finish().rstrip(b"\n"))


@FRAMING.fault(stream=answers("x" * 10 * MEGABYTE), whole=answers("x" * 10 * MEGABYTE))
def huge_event(turn: Turn) -> None:
    """One event of ten megabytes."""
    text = "x" * 10 * MEGABYTE
    turn.answer(turn.traffic.answer(text) if turn.streamed else encoded(turn.traffic.whole(text)))


@FRAMING.fault(
    stream=raises(LimitExceededError, limit="line_bytes", said=BEGINNING),
    limits=Limits(line_bytes=MEGABYTE),
)
def endless_line(turn: Turn) -> None:
    """A line without end."""
    turn.send(turn.head() + chunk(turn.beginning) + chunk(b"data: "))
    turn.connection.repeat(chunk(b"x" * 65536))


@FRAMING.fault(
    stream=raises(LimitExceededError, limit="event_bytes", said=BEGINNING),
    limits=Limits(event_bytes=MEGABYTE),
    only=_is_sse,
)
def endless_event(turn: Turn) -> None:
    """An event of lines without end."""
    turn.send(turn.head() + chunk(turn.beginning))
    turn.connection.repeat(chunk(b"data: xxxxxxxxxxxxxxxxxxxxxxxxx\n" * 2048))


@FRAMING.fault(stream=answers("x" * 20_000))
def twenty_thousand_events(turn: Turn) -> None:
    """Twenty thousand events of one character."""
    turn.answer(turn.traffic.answer(*"x" * 20_000))


@FRAMING.fault(
    stream=raises(CallTimeoutError, timeout="idle", said=BEGINNING),
    timeouts=striking(idle=1),
)
def pings_without_end(turn: Turn) -> None:
    """Two events, then nothing but pings."""
    turn.send(turn.head() + chunk(turn.beginning))
    turn.connection.repeat(chunk(turn.traffic.ping), pause=DRIP)


@FRAMING.fault(
    stream=raises(CallTimeoutError, timeout="first_event"),
    timeouts=_NO_FIRST_EVENT,
)
def pings_at_full_speed(turn: Turn) -> None:
    """Nothing but pings, as fast as they go."""
    turn.send(turn.head())
    turn.connection.repeat(chunk(turn.traffic.ping))


@FRAMING.fault(stream=answers(), only=_is_sse)
def pings_between_events(turn: Turn) -> None:
    """A ping before each event, in a chunk of its own."""
    turn.send(turn.head())
    for event in turn.body.split(b"\n\n")[:-1]:
        turn.send(chunk(turn.traffic.ping) + chunk(event + b"\n\n"))
    turn.send(chunk())
