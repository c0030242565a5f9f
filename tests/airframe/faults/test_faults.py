"""Every fault, done to every backend, streamed and not: one true outcome, in time and in bounds."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from airframe.adapters import HttpAdapter
from airframe.endpoints import EndpointSpec
from airframe.errors import AirframeError
from airframe.testing.hostile import Fault, HostileServer, Traffic
from airframe.testing.hostile.promises import Heard, check_answer, check_error, check_outcome, listen, struck_too_soon
from airframe.types import InferenceRequest, InferenceResult

pytestmark = pytest.mark.anyio


async def test_stream(
    stream_fault: Fault,
    traffic: Traffic,
    make_adapter: Callable[..., HttpAdapter],
    endpoint_at: Callable[..., EndpointSpec],
    question: InferenceRequest,
    secrets: tuple[str, ...],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A streamed call comes out as the table says, lets go of its connection, and tells nobody the key."""
    fault, expected = stream_fault, stream_fault.stream
    assert expected is not None
    caplog.set_level(logging.DEBUG)
    heard = Heard([], None)
    for timeouts in fault.timeouts:
        with HostileServer(fault.script(traffic)) as server:
            async with make_adapter(timeout=timeouts, limits=fault.limits, max_retries=0) as adapter:
                heard = await listen(adapter.stream_infer(endpoint_at(server.base_url), question))
                await server.until(busy=0)
            await server.until(open_connections=0)
        if not struck_too_soon(heard.error, expected):
            break
    check_outcome(heard, expected, secrets)
    # httpcore, at this level, logs the headers that a server sends; all else keeps silent about secrets.
    logged = [record.getMessage() for record in caplog.records if not record.name.startswith("httpcore")]
    assert not any(secret in line for line in logged for secret in secrets)


async def test_whole_answer(
    whole_fault: Fault,
    traffic: Traffic,
    make_adapter: Callable[..., HttpAdapter],
    endpoint_at: Callable[..., EndpointSpec],
    question: InferenceRequest,
    secrets: tuple[str, ...],
) -> None:
    """A call that waits for the whole answer comes out as the table says, and lets go of its connection."""
    fault, expected = whole_fault, whole_fault.whole
    assert expected is not None
    outcome: InferenceResult | AirframeError | None = None
    for timeouts in fault.timeouts:
        with HostileServer(fault.script(traffic)) as server:
            async with make_adapter(timeout=timeouts, limits=fault.limits, max_retries=0) as adapter:
                outcome = await answer_or_error(adapter, endpoint_at(server.base_url), question)
                await server.until(busy=0)
            await server.until(open_connections=0)
        if isinstance(outcome, InferenceResult) or not struck_too_soon(outcome, expected):
            break
    if isinstance(outcome, InferenceResult):
        check_answer(outcome, expected)
    else:
        assert outcome is not None
        check_error(outcome, expected, secrets)
        assert not outcome.committed


async def answer_or_error(
    adapter: HttpAdapter, endpoint: EndpointSpec, question: InferenceRequest
) -> InferenceResult | AirframeError:
    """What comes of a call that waits for the whole answer."""
    try:
        return await adapter.infer(endpoint, question)
    except AirframeError as error:
        return error
