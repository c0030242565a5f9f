"""What is asked again, how often, after how long; and what never is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import pytest

from airframe.adapters import HttpAdapter
from airframe.endpoints import EndpointSpec
from airframe.errors import AirframeError, BackendError, CallTimeoutError, ErrorCategory
from airframe.retry import RetryPolicy
from airframe.testing.hostile import (
    BEGINNING,
    BODY,
    FAULTS,
    HEAD,
    PATIENT,
    TEXT,
    Connection,
    Fault,
    HostileServer,
    Script,
    Traffic,
    Turn,
    head,
)
from airframe.testing.hostile.promises import check_error, listen
from airframe.testing.hostile.traffic import encoded
from airframe.types import Attempt, InferenceRequest

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("backend", ["openai", "llama_server_native"], indirect=True),
]

MakeAdapter = Callable[..., HttpAdapter]
EndpointAt = Callable[..., EndpointSpec]
QUICK = RetryPolicy(max_retries=2, backoff=0.001)

FAULTS_BY_NAME = {fault.name: fault for section in FAULTS for fault in section}


def failing(traffic: Traffic, fault: Fault, times: int) -> tuple[Script, list[int]]:
    """A server that does `fault` so many times and then answers well; and the real requests it has counted."""
    asked: list[int] = []
    bad = fault.script(traffic)
    good = Fault(lambda turn: turn.answer(turn.body), stream=None, whole=None).script(traffic)

    def script(connection: Connection) -> None:
        if traffic.preliminary(connection.request) is None:
            asked.append(connection.number)
        (bad if len(asked) <= times else good)(connection)

    return script, asked


def refusing(status: int, headers: Mapping[str, str] | None = None) -> Fault:
    """A refusal by status."""

    def refuse(turn: Turn) -> None:
        body = encoded({"error": {"message": "no"}})
        turn.send(head(status, content_length=len(body), headers=headers) + body)

    return Fault(refuse, stream=None, whole=None)


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    "name",
    [
        "closed_without_a_byte",
        "reset_without_a_byte",
        "closed_inside_the_head",
        "no_answer",
        "no_http",
        "silence_after_the_head",
        "empty_body",
        "web_page",
        "error_first",
        "error_page",
        "error_that_breaks_off",
    ],
)
async def test_what_failed_before_output_is_asked_again(
    name: str,
    streamed: bool,
    traffic: Traffic,
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
) -> None:
    """A call that failed before anything was delivered succeeds in a later attempt, and lists all of them."""
    fault = FAULTS_BY_NAME[name]
    assert fault.stream is not None
    category = fault.stream.category
    attempts: Sequence[Attempt] = ()
    asked: list[int] = []
    for timeouts in fault.timeouts:  # a short one may strike before an attempt has come to anything
        script, asked = failing(traffic, fault, 2)
        with HostileServer(script) as server, suppress(CallTimeoutError):
            async with make_adapter(timeout=timeouts, retry=QUICK) as adapter:
                text, attempts = await answer(adapter, endpoint_at(server.base_url), question, streamed=streamed)
                assert text == TEXT
        if len(asked) == 3 == len(attempts):
            break
    assert [attempt.category for attempt in attempts] == [category, category, None]
    assert [attempt.number for attempt in attempts] == [1, 2, 3]
    assert len(asked) == 3


async def answer(
    adapter: HttpAdapter, endpoint: EndpointSpec, question: InferenceRequest, *, streamed: bool
) -> tuple[str, Sequence[Attempt]]:
    """What a call delivers, and how many attempts it took. Raises `AirframeError`."""
    if not streamed:
        result = await adapter.infer(endpoint, question)
        return result.text, result.attempts
    heard = await listen(adapter.stream_infer(endpoint, question))
    if heard.error is not None:
        raise heard.error
    return heard.text, heard.result.attempts


@pytest.mark.parametrize(
    "name", [fault.name for fault in (*HEAD, *BODY) if fault.stream and fault.stream.error and fault.stream.text]
)
async def test_nothing_is_asked_again_after_output(
    name: str,
    traffic: Traffic,
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
    secrets: tuple[str, ...],
) -> None:
    """Once something was delivered, an error is final, whatever it is, and however many retries are allowed."""
    fault = FAULTS_BY_NAME[name]
    script, asked = failing(traffic, fault, 1)
    with HostileServer(script) as server:
        async with make_adapter(timeout=fault.timeouts[0], limits=fault.limits, retry=QUICK) as adapter:
            heard = await listen(adapter.stream_infer(endpoint_at(server.base_url), question))
    assert heard.text == BEGINNING  # what strikes after output is `idle`, and that begins with the output
    assert heard.error is not None
    assert fault.stream is not None
    check_error(heard.error, fault.stream, secrets)
    assert heard.error.committed
    assert not heard.error.safe_to_retry
    assert len(asked) == 1


async def outcome(
    fault: Fault,
    traffic: Traffic,
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
) -> tuple[AirframeError, int]:
    """The error of a call that is always refused, and how often it was made."""
    script, asked = failing(traffic, fault, 100)
    with HostileServer(script) as server:
        async with make_adapter(timeout=PATIENT, retry=QUICK) as adapter:
            with pytest.raises(BackendError) as raised:
                await adapter.infer(endpoint_at(server.base_url), question)
    return raised.value, len(asked)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 413, 415, 422, 303, 307, 308])
async def test_refusals_are_final(
    status: int, traffic: Traffic, make_adapter: MakeAdapter, endpoint_at: EndpointAt, question: InferenceRequest
) -> None:
    """Statuses that mean "not like this" are asked once, and reported as they are."""
    error, times = await outcome(refusing(status), traffic, make_adapter, endpoint_at, question)
    assert (error.status, times, len(error.attempts)) == (status, 1, 1)
    assert not error.safe_to_retry


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
async def test_passing_troubles_are_asked_again(
    status: int, traffic: Traffic, make_adapter: MakeAdapter, endpoint_at: EndpointAt, question: InferenceRequest
) -> None:
    """Statuses that mean "not now" are asked again as often as the policy says, with every attempt in the error."""
    error, times = await outcome(refusing(status), traffic, make_adapter, endpoint_at, question)
    assert (error.status, times, len(error.attempts)) == (status, 3, 3)
    assert error.safe_to_retry


@pytest.mark.parametrize("headers", [{"retry-after": "0.02"}, {"retry-after-ms": "20"}])
async def test_a_wait_that_is_asked_for_is_kept(
    headers: Mapping[str, str],
    traffic: Traffic,
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
) -> None:
    """Retries wait at least as long as the backend asks for."""
    error, times = await outcome(refusing(429, headers), traffic, make_adapter, endpoint_at, question)
    assert times == 3
    assert error.retry_after == 0.02
    assert all(attempt.waited >= 0.02 for attempt in error.attempts[1:])


@pytest.mark.parametrize(
    "hint", ["61", "315360000", "inf", "9" * 5000, "Fri, 20 Nov 2999 14:00:00 GMT"], ids=lambda hint: hint[:10]
)
async def test_a_wait_that_is_too_long_is_not_slept(
    hint: str, traffic: Traffic, make_adapter: MakeAdapter, endpoint_at: EndpointAt, question: InferenceRequest
) -> None:
    """A wait above the cap ends the call at once; the error says how long the backend wants."""
    error, times = await outcome(refusing(429, {"retry-after": hint}), traffic, make_adapter, endpoint_at, question)
    assert times == 1
    assert error.retry_after is not None
    assert error.retry_after >= 61


@pytest.mark.parametrize("hint", ["-5", "0", "nan", "soon", "", "Fri, 20 Nov 1999 14:00:00 GMT"])
async def test_a_wait_that_means_nothing_is_no_wait(
    hint: str, traffic: Traffic, make_adapter: MakeAdapter, endpoint_at: EndpointAt, question: InferenceRequest
) -> None:
    """Hints that are past, negative or garbage leave the pause to the policy."""
    error, times = await outcome(refusing(429, {"retry-after": hint}), traffic, make_adapter, endpoint_at, question)
    assert times == 3
    assert error.retry_after is None
    assert all(attempt.waited <= 0.002 for attempt in error.attempts)


async def test_a_redirect_takes_nothing_elsewhere(
    traffic: Traffic, make_adapter: MakeAdapter, endpoint_at: EndpointAt, question: InferenceRequest
) -> None:
    """The target of a redirect is never called: neither key nor prompt leaves the configured origin."""
    with HostileServer(Connection.stall) as elsewhere:
        fault = refusing(307, {"location": elsewhere.base_url})
        error, times = await outcome(fault, traffic, make_adapter, endpoint_at, question)
        assert elsewhere.connections == 0
    assert (error.category, error.status, times) == (ErrorCategory.UNKNOWN, 307, 1)


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
async def test_one_key_for_all_attempts_of_a_call(
    streamed: bool, traffic: Traffic, make_adapter: MakeAdapter, endpoint_at: EndpointAt, question: InferenceRequest
) -> None:
    """Where an endpoint names a header for it, all attempts of a call carry one key, and the next call another."""
    script, _ = failing(traffic, FAULTS_BY_NAME["reset_without_a_byte"], 2)
    with HostileServer(script) as server:
        endpoint = endpoint_at(server.base_url, idempotency_header="Idempotency-Key")
        async with make_adapter(timeout=PATIENT, retry=QUICK) as adapter:
            for _ in range(2):
                if streamed:
                    assert (await listen(adapter.stream_infer(endpoint, question))).text == TEXT
                else:
                    await adapter.infer(endpoint, question)
        real = [request for request in server.requests if traffic.preliminary(request) is None]
        others = [request for request in server.requests if request not in real]
    first, second, third, next_call = (request.headers["idempotency-key"] for request in real)
    assert first == second == third != next_call
    # A question before the real one is another request, which must not be answered with its answer.
    assert {first, next_call}.isdisjoint(request.headers.get("idempotency-key") for request in others)


async def test_no_key_unless_asked_for(
    traffic: Traffic, make_adapter: MakeAdapter, endpoint_at: EndpointAt, question: InferenceRequest, by_answer: Script
) -> None:
    """No provider is sent a header that it does not document."""
    with HostileServer(by_answer) as server:
        async with make_adapter(timeout=PATIENT, retry=QUICK) as adapter:
            await adapter.infer(endpoint_at(server.base_url), question)
    assert not any("idempotency" in name for request in server.requests for name in request.headers)
