"""Every fault, done to every backend, streamed and not: one true outcome, in time and in bounds."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from airframe.adapters import HttpAdapter
from airframe.endpoints import EndpointSpec
from airframe.errors import AirframeError
from airframe.testing.hostile import Fault, HostileServer, Traffic
from airframe.testing.hostile.promises import check_answer, check_error, check_outcome, listen
from airframe.types import InferenceRequest

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
    with HostileServer(fault.script(traffic)) as server:
        async with make_adapter(timeout=fault.timeouts, limits=fault.limits, max_retries=0) as adapter:
            heard = await listen(adapter.stream_infer(endpoint_at(server.base_url), question))
            check_outcome(heard, expected, secrets)
            await server.until(busy=0)
        await server.until(open_connections=0)
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
    with HostileServer(fault.script(traffic)) as server:
        async with make_adapter(timeout=fault.timeouts, limits=fault.limits, max_retries=0) as adapter:
            if expected.error is None:
                check_answer(await adapter.infer(endpoint_at(server.base_url), question), expected)
            else:
                with pytest.raises(AirframeError) as raised:
                    await adapter.infer(endpoint_at(server.base_url), question)
                check_error(raised.value, expected, secrets)
                assert not raised.value.committed
            await server.until(busy=0)
        await server.until(open_connections=0)
