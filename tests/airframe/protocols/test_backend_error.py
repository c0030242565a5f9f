"""A backend's errors: read in whatever shape they come, and sorted. The tables: test_error_tables.py."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airframe.errors import MAX_MESSAGE_BYTES, BackendError, ErrorCategory, Phase
from airframe.protocols.backend_error import STATUS_CATEGORIES, ErrorTable, Phrase, read_error_body

C = ErrorCategory
TABLE = ErrorTable(
    codes={"known": C.BILLING, "exact": C.CONTEXT_LENGTH},
    phrases=(
        Phrase("out of luck", C.NOT_FOUND, "made up"),
        Phrase("only here", C.LOADING, "made up", statuses=frozenset({503})),
        Phrase("only so", C.UNSUPPORTED, "made up", codes=frozenset({"exact"})),
    ),
)


def error(document: Any, status: int = 400, **headers: str) -> BackendError:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return TABLE.error(read_error_body(raw), status=status, headers=named, raw=raw)


@pytest.mark.parametrize(
    ("document", "message", "codes"),
    [
        ({"error": {"message": "m", "type": "t", "param": None, "code": None}}, "m", ("t",)),
        ({"error": {"message": "m", "type": "t", "code": "c"}}, "m", ("c", "t")),
        ({"error": {"message": "m", "type": "t", "code": 400}}, "m", ("t", "400")),
        ({"type": "error", "error": {"type": "t", "message": "m"}, "request_id": None}, "m", ("t",)),
        ({"error": "m"}, "m", ()),
        ({"error": "m", "signin_url": "https://a.test"}, "m", ()),
        ({"detail": "m"}, "m", ()),
        ({"object": "error", "message": "m", "type": "t", "code": 3051}, "m", ("t", "3051")),
        ({"code": "c", "error": "m"}, "m", ("c",)),
        ({"error": {"message": "m"}, "message": "m"}, "m", ()),
        ({"error_type": "t", "error_message": "m"}, "m", ("t",)),
        ({"error": {"code": "404", "message": "m"}}, "m", ("404",)),
        ({"detail": [{"msg": "m"}]}, "[{'msg': 'm'}]", ()),
        ({"error": {"message": {"a": 1}}}, "{'a': 1}", ()),
        ({"error": {"code": True, "type": ["t"], "message": None}}, "", ()),
        (b"<html>502</html>", "<html>502</html>", ()),
        (b"Not Found", "Not Found", ()),
        (b"[1]", "[1]", ()),
        (b"", "", ()),
    ],
)
def test_every_shape_is_read(document: Any, message: str, codes: tuple[str, ...]) -> None:
    """The words, and the machine codes with words before numbers, by content and not by content type."""
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    body = read_error_body(raw)
    assert (body.message, body.codes) == (message, codes)


@given(
    raw=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["error", "message", "code", "type", "detail", "metadata", "raw"]) | st.text(), inner
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_body_breaks_the_reading(raw: bytes) -> None:
    """Whatever comes, there is an error with a text, and it is short."""
    made = TABLE.error(read_error_body(raw), status=500, headers={}, raw=raw)
    assert str(made)
    assert len(str(made).encode()) <= MAX_MESSAGE_BYTES


def test_the_evidence_is_weighed() -> None:
    """A recorded phrase before the code, the code before the status, and phrases only where they were recorded."""
    assert error({"error": {"message": "You are Out of Luck", "code": "known"}}).category is C.NOT_FOUND
    assert error({"error": {"message": "m", "code": "known"}}).category is C.BILLING
    assert error({"error": {"message": "m", "code": "new"}}, 401).category is C.AUTH
    assert error({"error": "only here"}, 503).category is C.LOADING
    assert error({"error": "only here"}, 400).category is C.INVALID_REQUEST
    assert error({"error": {"message": "only so", "code": "exact"}}).category is C.UNSUPPORTED
    assert error({"error": {"message": "only so", "code": "known"}}).category is C.BILLING


@pytest.mark.parametrize(
    ("status", "category"),
    [
        (400, C.INVALID_REQUEST), (401, C.AUTH), (402, C.BILLING), (403, C.PERMISSION), (404, C.NOT_FOUND),
        (405, C.INVALID_REQUEST), (408, C.TIMEOUT), (409, C.CONFLICT), (411, C.INVALID_REQUEST),
        (413, C.INVALID_REQUEST), (415, C.INVALID_REQUEST), (422, C.INVALID_REQUEST), (425, C.OVERLOADED),
        (429, C.RATE_LIMIT), (499, C.TIMEOUT), (500, C.SERVER), (501, C.UNSUPPORTED), (502, C.OVERLOADED),
        (503, C.OVERLOADED), (504, C.TIMEOUT), (529, C.OVERLOADED), (507, C.SERVER), (599, C.SERVER),
        (418, C.UNKNOWN), (451, C.UNKNOWN),
    ],
)  # fmt: skip
def test_each_status_has_its_category(status: int, category: ErrorCategory) -> None:
    """A row a status; other 5xx are the server's, other 4xx unknown and not repeated."""
    made = error(b"", status)
    assert (made.category, made.status, made.phase) == (category, status, Phase.HEADERS)
    assert category is not C.UNKNOWN or not made.retryable


def test_the_statuses_of_the_table_are_all_tested() -> None:
    """A new row needs a test."""
    marks = [mark for mark in test_each_status_has_its_category.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    assert set(STATUS_CATEGORIES) <= {status for status, _ in marks[0].args[1]}


def test_inside_a_200_the_code_may_be_a_status() -> None:
    """SGLang and OpenRouter put it there, as a number or as a text."""
    assert error({"error": {"message": "m", "code": 429}}, 200).category is C.RATE_LIMIT
    assert error({"error": {"message": "m", "code": "503"}}, 200).category is C.OVERLOADED
    assert error({"error": {"message": "m"}}, 200).category is C.UNKNOWN
    assert error({"error": {"message": "m"}}, 200).phase is Phase.CONTENT


def test_what_nobody_knows_is_unknown_and_keeps_its_body() -> None:
    """It is not repeated, and whoever reads it has all there is."""
    made = error({"error": {"message": "m", "code": "new", "x": 1}}, 418)
    assert (made.category, made.retryable, made.code) == (C.UNKNOWN, False, "new")
    assert made.body == '{"error": {"message": "m", "code": "new", "x": 1}}'
    assert len(error(b"x" * 100_000).body or "") <= 2048


def test_a_code_that_is_a_key_does_not_show() -> None:
    """And one without end is cut."""
    assert error({"error": {"code": "sk-abcdefgh12345678"}}).code == "[redacted]"
    assert len(error({"error": {"code": "x" * 5000}}).code or "") == 100


@pytest.mark.parametrize(
    ("headers", "document", "seconds"),
    [
        ({"retry_after": "7"}, {}, 7.0),
        ({}, {"error": {"message": "Please retry after 6 seconds."}}, 6.0),
        ({}, {"error": {"message": "Please try again in 1.2s."}}, 1.2),
        ({}, {"error": {"message": "Please try again in 6m0s."}}, 360.0),
        ({}, {"error": {"message": "Please retry after 86400 seconds."}}, 86400.0),
        ({"retry_after": "7"}, {"error": {"message": "Please retry after 6 seconds."}}, 7.0),
        ({}, {"error": {"message": "m", "availability": {"retry_after": 5}}}, 5.0),
        ({}, {"error": {"message": "retry after lunch"}}, None),
        ({}, {"error": {"metadata": {"headers": {"X-RateLimit-Reset": "1"}}}}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], document: Any, seconds: float | None) -> None:
    """Said by a header, or only in words and members of the body."""
    assert error(document, 429, **headers).retry_after == seconds


def test_an_answer_that_succeeded_does_not_throttle() -> None:
    """Anthropic sends `retry-after` on ordinary answers; under a 200 it says nothing about the error inside."""
    made = error({"error": {"message": "m"}}, 200, retry_after="20", x_should_retry="true")
    assert (made.retry_after, made.retryable) == (None, False)
    assert error(b"", 400, x_should_retry="true").retryable
    assert not error(b"", 503, x_should_retry="false").retryable
