"""Cassettes as files that people edit, and get wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from airframe.testing import Cassette
from airframe.testing.cassette import CassetteError, CassetteExchange, CassetteRequest
from airframe.testing.cassette.file_format import parse_cassette, write_cassette
from airframe.testing.reply import Chunk, Reply

CASSETTE = r"""airframe cassette 1

request POST http://127.0.0.1/v1/chat/completions
  accept: text/event-stream, application/x-ndjson, application/json
  authorization: [redacted]
  content-type: application/json
| {
|   "messages": [
|     {
|       "role": "user",
|       "content": "Why?"
|     }
|   ],
|   "model": "small",
|   "stream": true,
|   "stream_options": {
|     "include_usage": true
|   }
+ }
reply 200 after 0.012
  content-type: text/event-stream
  set-cookie: [redacted]
  x-request-id: req-1
chunk after 0.012
| : ping
|
| data: {"choices":[{"index":0,"delta":{"content":"The "}}]}
|
chunk after 0.012
| data: {"choices":[{"index":0,"delta":{"content":"天空"}}]}
|
+ da
chunk after 0.012
" ta: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\r\n"
" \r\n"
| data: [DONE]
|
end complete
"""


def test_a_cassette_is_written_as_it_was_read(tmp_path: Path) -> None:
    """Reading and writing change nothing, and line ends of another system are no trouble."""
    exchanges = parse_cassette(CASSETTE, tmp_path)
    assert write_cassette(exchanges) == CASSETTE
    assert parse_cassette(CASSETTE.replace("\n", "\r\n"), tmp_path) == exchanges


def test_bytes_that_an_editor_would_lose_are_written_otherwise(tmp_path: Path) -> None:
    """Blanks at the end, control characters and half characters do not stand bare in the file."""
    pieces = [b"", b"blank \n", b"\ttab\n", "line\u2028end\n".encode(), b"cut \xe5\xa4", b"\xa9\n"]
    exchange = CassetteExchange(
        request=CassetteRequest(method="GET", url="http://127.0.0.1/"), reply=Reply(chunks=[*map(Chunk, pieces)])
    )
    text = write_cassette([exchange])
    assert [line for line in text.split("\n") if line[:1] in ('"', "=")] == [
        '" blank \\n"',
        '" \\ttab\\n"',
        '" line\\u2028end\\n"',
        "= Y3V0IOWk",
        "= qQo=",
    ]
    (read,) = parse_cassette(text, tmp_path)
    assert isinstance(read.reply, Reply)
    assert [chunk.data for chunk in read.reply.chunks] == pieces


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("airframe cassette 1", "airframe cassette 2", 1, "heading: the first line must be"),
        ("request POST", "requests POST", 3, "request: expected 'request POST"),
        ("  authorization: [redacted]", "  Authorization: [redacted]", 5, "header: expected"),
        ("  authorization: [redacted]", "  accept: twice", 5, "header: accept comes twice"),
        ("| {\n", "|{\n", 7, "body: a blank belongs behind the mark '|'"),
        ("reply 200", "reply 2000", 20, "reply: expected 'reply 200 after 0.012', found 'reply 2000"),
        ("chunk after ", "chunk after x", 24, "chunk: the time must be 0 or more seconds, got"),
        ("chunk after", "chunk", 24, "chunk: expected 'chunk after 0.031'"),
        ('\\r\\n"', '\\q"', 34, "text: no valid JSON string"),
        ('" \\r\\n"', "= xyz", 35, "body: no valid base64"),
        ("end complete", "end well", 38, "end: expected 'end complete'"),
        (
            "end complete\n",
            "",
            38,
            "end: expected 'end complete', 'end silent', 'end left' or 'end breakdown ...', found",
        ),
        ("end complete", 'end breakdown OSError content after 0: "x"', 38, "breakdown: the error must be one of"),
        ("end complete", 'end breakdown TLSError late after 0: "x"', 38, "breakdown: the phase must be one of"),
        ("[redacted]", "Bearer abcdefgh12", 3, "header authorization: its value is not [redacted]; take it out"),
        ("Why?", "sk-abcdefghij0123456789", 3, "request body: it holds something with the shape of a key"),
        ("The ", '\\"api_key\\": \\"abcdefgh12\\"', 3, "body: it holds a value named"),
        ("http://127.0.0.1/", "http://127.0.0.1/AKIA0123456789ABCDEF/", 3, "url: it holds"),
        ("/v1/chat/completions", "/v1?sig=abc", 3, "url: the value of its parameter 'sig' is not [redacted]"),
    ],
)
def test_a_malformed_cassette_names_file_line_and_field(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    """Whoever edited a cassette is told where, and a credential in it is refused without being repeated."""
    path = tmp_path / "sky.cassette"
    assert old in CASSETTE
    path.write_text(CASSETTE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CassetteError) as caught:
        Cassette.replay(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line {line}: {said}")
    assert not {"abcdefgh12", "abcdefghij0123456789", "0123456789ABCDEF"} & set(message.replace("'", " ").split())


def test_files_that_are_no_cassettes(tmp_path: Path) -> None:
    """A folder and a binary file are named as such."""
    binary = tmp_path / "b.cassette"
    binary.write_bytes(b"\xff\xfe")
    for path, said in ((tmp_path, "cannot be read"), (binary, "not UTF-8")):
        with pytest.raises(CassetteError, match=said):
            Cassette.replay(path)
