"""Where a model is called: what is accepted, and what is refused in words that help."""

from __future__ import annotations

import math
from typing import Any

import pytest

from airframe import ConfigurationError, EndpointSpec, HealthReport, HealthState, Limits, Secret, Timeouts
from airframe.redaction import MASK

URL = "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("url", "base", "origin"),
    [
        (URL, URL, URL),
        (URL + "/", URL, URL),
        ("https://a.test/v1/", "https://a.test/v1", "https://a.test"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1", "http://[::1]:8080"),
        ("http://localhost", "http://localhost", "http://localhost"),
    ],
)
def test_a_url_is_taken_without_its_last_slash(url: str, base: str, origin: str) -> None:
    """The path stays, the slash behind it goes; the origin is what a key belongs to."""
    spec = EndpointSpec(base_url=url)
    assert (spec.base_url, spec.origin) == (base, origin)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "must begin with http:// or https://"),
        ("127.0.0.1:8080", "must begin with http:// or https://"),
        ("localhost:8080", "must begin with http:// or https://"),
        ("ftp://a.test", "must begin with http:// or https://, got scheme 'ftp'"),
        ("file:///a.gguf", "must begin with http:// or https://, got scheme 'file'"),
        ("http://", "needs a host"),
        ("http://:8080", "needs a host"),
        ("http://a.test:0", "needs a host"),
        ("http://a.test:99999", "not a valid URL"),
        ("http://a.test:port", "not a valid URL"),
        ("http://[::1", "not a valid URL"),
        ("http://a b.test", "no spaces"),
        ("http://a.test/\u00a0", "no spaces"),
        ("http://user@a.test", "must not hold a user name or password"),
        ("http://user:hunter2@a.test", "must not hold a user name or password"),
        ("http://a.test?key=hunter2", "without query or fragment"),
        ("http://a.test#hunter2", "without query or fragment"),
        ("http://" + "a" * 64 + ".test", "longer than 63"),
        (None, "must be a text such as"),
        (b"http://a.test", "got bytes"),
    ],
)
def test_a_url_that_cannot_work_is_refused(url: Any, said: str) -> None:
    """The error names the field and the remedy, and repeats nothing that may be a password."""
    with pytest.raises(ConfigurationError, match=f"^base_url .*{said}") as caught:
        EndpointSpec(base_url=url)
    assert "hunter2" not in str(caught.value)


def test_a_key_is_wrapped_and_does_not_show() -> None:
    """A plain text becomes a secret; neither it nor the headers show in the endpoint's own words."""
    spec = EndpointSpec(base_url=URL, api_key="hunter2-key", headers={"x-token": "hunter2-header"}, proxy="http://h2@p")
    assert isinstance(spec.api_key, Secret)
    assert spec.key == spec.api_key.reveal() == "hunter2-key"
    assert spec.secrets == ("hunter2-key", "hunter2-header")
    assert "hunter2" not in repr(spec)
    assert "h2@p" not in repr(spec)
    assert MASK in repr(spec)
    assert EndpointSpec(base_url=URL).secrets == ()


@pytest.mark.parametrize("key", ["", " ", "hunter2 ", "hunter2\n", "hunter2-\u00fc", 2222])
def test_a_key_that_no_header_can_carry_is_refused(key: Any) -> None:
    """It was copied wrongly; the error says so and does not repeat it."""
    with pytest.raises(ConfigurationError, match=r"^api_key ") as caught:
        EndpointSpec(base_url=URL, api_key=key)
    assert "hunter2" not in str(caught.value)
    assert "2222" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"x y": "1"}, "a name that HTTP does not allow: 'x y'"),
        ({"": "1"}, "a name that HTTP does not allow"),
        ({"x:": "1"}, "a name that HTTP does not allow"),
        ({"x-token": "hunter2\r\nx: 1"}, "holds a line break"),
        ({"x-token": "hunter2\0"}, "holds a line break"),
    ],
)
def test_headers_that_would_break_a_request_are_refused(headers: dict[str, str], said: str) -> None:
    """A line break would smuggle in another header; the value is not repeated."""
    with pytest.raises(ConfigurationError, match=said) as caught:
        EndpointSpec(base_url=URL, headers=headers)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("number", [0, -1, True])
def test_connections_are_counted_from_one(number: int) -> None:
    """An endpoint without connections could never be called."""
    with pytest.raises(ConfigurationError, match="max_connections must be a positive integer"):
        EndpointSpec(base_url=URL, max_connections=number)


@pytest.mark.parametrize("field", ["connect", "first_event", "idle", "attempt", "total"])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, True, "5"])
def test_a_timeout_is_a_positive_number_or_none(field: str, value: Any) -> None:
    """Zero is no timeout that anything could keep; None means no limit. The error names the field."""
    with pytest.raises(ConfigurationError, match=rf"Timeouts\.{field} must be a positive number of seconds or None"):
        Timeouts(**{field: value})
    assert getattr(Timeouts(**{field: None}), field) is None


def test_one_number_limits_each_attempt() -> None:
    """`timeout=120` leaves the other four at their defaults; whole timeouts are taken as they are."""
    default = Timeouts.local()
    limited = Timeouts.of(120.0, default)
    assert (limited.attempt, limited.first_event, limited.total) == (120.0, default.first_event, default.total)
    own = Timeouts(idle=1.0)
    assert Timeouts.of(own, default) is own


@pytest.mark.parametrize("name", ["", "two words", "x:", "x\r\ny"])
def test_the_header_for_a_call_s_key_has_a_name(name: str) -> None:
    """What HTTP does not allow as a name is refused; None sends no such header."""
    with pytest.raises(ConfigurationError, match=r"idempotency_header must be the name of a header"):
        EndpointSpec(base_url=URL, idempotency_header=name)
    assert EndpointSpec(base_url=URL).idempotency_header is None


@pytest.mark.parametrize(
    "field", ["header_bytes", "line_bytes", "event_bytes", "body_bytes", "error_body_bytes", "tool_calls"]
)
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None])
def test_a_limit_is_a_positive_integer(field: str, value: Any) -> None:
    """There is no unlimited answer. The error names the field."""
    with pytest.raises(ConfigurationError, match=rf"Limits\.{field} must be a positive integer"):
        Limits(**{field: value})


def test_only_a_healthy_endpoint_is_healthy() -> None:
    """A loading server is not to be called yet."""
    assert [state for state in HealthState if HealthReport(state=state).healthy] == [HealthState.HEALTHY]
