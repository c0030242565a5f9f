"""The tree of errors: one root, a class for where it failed, a category for what to do."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import airframe.errors
from airframe import (
    AirframeError,
    BackendError,
    CallTimeoutError,
    ConfigurationError,
    ConnectionFailedError,
    ErrorCategory,
    InferenceResult,
    InvalidRequestError,
    LimitExceededError,
    MalformedAnswerError,
    ProtocolError,
    TLSError,
    TransportError,
    TruncatedAnswerError,
)
from airframe.errors import MAX_MESSAGE_BYTES, RETRYABLE_CATEGORIES, Phase
from airframe.types import Attempt, TextPart, ToolCall, Usage

TREE: dict[type[AirframeError], tuple[type[AirframeError], ErrorCategory]] = {
    ConfigurationError: (AirframeError, ErrorCategory.INVALID_REQUEST),
    InvalidRequestError: (AirframeError, ErrorCategory.INVALID_REQUEST),
    TransportError: (AirframeError, ErrorCategory.CONNECTION),
    ConnectionFailedError: (TransportError, ErrorCategory.CONNECTION),
    TLSError: (TransportError, ErrorCategory.TLS),
    CallTimeoutError: (TransportError, ErrorCategory.TIMEOUT),
    ProtocolError: (AirframeError, ErrorCategory.PROTOCOL),
    TruncatedAnswerError: (ProtocolError, ErrorCategory.PROTOCOL),
    MalformedAnswerError: (ProtocolError, ErrorCategory.PROTOCOL),
    LimitExceededError: (ProtocolError, ErrorCategory.PROTOCOL),
    BackendError: (AirframeError, ErrorCategory.UNKNOWN),
}


def test_the_tree_is_what_it_is_said_to_be() -> None:
    """Every class stands under one parent of the tree, and has the category that it needs nobody to tell."""
    classes = {
        item for item in vars(airframe.errors).values() if isinstance(item, type) and issubclass(item, AirframeError)
    }
    assert classes == {AirframeError, *TREE}
    assert {kind: (kind.__bases__[0], kind.default_category) for kind in TREE} == TREE


def test_errors_are_also_what_python_calls_them() -> None:
    """To code that knows nothing of airframe, a wrong value is a `ValueError`, and time run out a `TimeoutError`."""
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(InvalidRequestError, ValueError)
    assert issubclass(CallTimeoutError, TimeoutError)


def test_what_an_error_knows() -> None:
    """Everything given is there, and the category decides about a retry unless somebody knows better."""
    error = BackendError(
        "no",
        category=ErrorCategory.RATE_LIMIT,
        phase=Phase.HEADERS,
        endpoint="https://a.test",
        status=429,
        code="slow_down",
        retry_after=7.0,
        request_id="req_1",
        body="{}",
    )
    assert (str(error), error.status, error.code, error.retry_after, error.request_id, error.body) == (
        ("no", 429, "slow_down", 7.0, "req_1", "{}")
    )
    assert (error.phase, error.endpoint, error.partial, error.attempts) == (Phase.HEADERS, "https://a.test", None, ())
    assert error.safe_to_retry
    assert not BackendError("no", category=ErrorCategory.RATE_LIMIT, retryable=False).safe_to_retry


def test_what_was_delivered_is_not_safe_to_ask_for_again() -> None:
    """Output that reached the caller would come twice."""
    error = BackendError("no", category=ErrorCategory.RATE_LIMIT)
    error.committed = True
    assert not error.safe_to_retry


def test_a_limit_is_not_retried() -> None:
    """The same answer would be as large again, though other errors of the protocol may be chance."""
    assert not LimitExceededError("too large", limit="line_bytes").safe_to_retry
    assert MalformedAnswerError("?").safe_to_retry


def test_what_may_succeed_later() -> None:
    """Nothing that is the caller's to mend is repeated."""
    assert not RETRYABLE_CATEGORIES & {
        ErrorCategory.AUTH,
        ErrorCategory.PERMISSION,
        ErrorCategory.BILLING,
        ErrorCategory.CONTEXT_LENGTH,
        ErrorCategory.CONTENT_FILTER,
        ErrorCategory.NOT_FOUND,
        ErrorCategory.UNSUPPORTED,
        ErrorCategory.INVALID_REQUEST,
        ErrorCategory.TLS,
        ErrorCategory.CANCELLED,
        ErrorCategory.UNKNOWN,
    }


@pytest.mark.parametrize("kind", TREE)
def test_errors_travel(kind: type[AirframeError]) -> None:
    """An error that was filled in is the same in another process, its partial answer and attempts included."""
    error = kind("no", phase=Phase.CONTENT)
    error.status, error.code, error.retry_after, error.committed = 200, "x", 1.5, True
    content = (TextPart("The sky"), ToolCall(id="1", name="look", complete=False))
    error.partial = InferenceResult(content=content, usage=Usage(input_tokens=3, raw={"a": 1}))
    error.attempts = (Attempt(number=1, started_at=1.0, duration=2.0, category=error.category),)
    if isinstance(error, CallTimeoutError):
        error.timeout = "idle"
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is kind
        assert str(twin) == "no"
        assert vars(twin) == vars(error)


@given(text=st.text(min_size=500, max_size=3000))
def test_a_message_is_short(text: str) -> None:
    """However long a backend's words are, the text fits a log line, is valid UTF-8, and says that it was cut."""
    said = str(AirframeError(text))
    encoded = said.encode()
    assert len(encoded) <= MAX_MESSAGE_BYTES
    if len(text.encode("utf-8", "replace")) > MAX_MESSAGE_BYTES:
        assert said.endswith(" …")
        assert text.startswith(said[:-2])


def test_a_message_with_half_a_character_can_be_printed() -> None:
    """A lone surrogate, which no encoding can say, is replaced."""
    assert str(AirframeError("a\ud800b")) == "a?b"
