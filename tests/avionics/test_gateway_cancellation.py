"""Calls that are cancelled, at whatever moment: nothing is left behind, and the next call finds all as it should be."""

from __future__ import annotations

from decimal import Decimal
from itertools import repeat
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from typing_extensions import override

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.testing.virtual_time import VIRTUAL_BACKENDS, LoopClock, virtual_backend
from airframe.types import InferenceRequest, InferenceResult, Usage
from avionics.errors import LLMError
from avionics.llm.middleware import CallContext, Middleware
from avionics.settings import PriceRow, Settings
from avionics.testing import ScriptedGateway

pytestmark = pytest.mark.anyio

USAGE = Usage(input_tokens=10, output_tokens=3)
PRICES = [
    PriceRow(provider=name, input_per_million=Decimal(10), output_per_million=Decimal(10)) for name in ("a", "b", "c")
]
MOST_STEPS = 40
WELL = Answer(chunks=["x", "y", "z"], delay=1, pause=1, usage=USAGE)
SLOW = Answer(chunks=["x", "y", "z"], delay=3, pause=1, usage=USAGE)
BREAKS = Failure(ErrorCategory.CONNECTION, chunks=["x"], delay=1, pause=1)
FAILS = Failure(ErrorCategory.SERVER, delay=1)


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, object]:
    """Event loops on which time jumps."""
    return virtual_backend(request.param)


class Slow(Middleware):
    """Takes its time before and after."""

    @override
    async def before_invoke(self, call: CallContext) -> InferenceRequest | None:
        await checkpoint()
        return None

    @override
    async def after_invoke(self, call: CallContext, result: InferenceResult) -> InferenceResult | None:
        await checkpoint()
        return None


CASES: dict[str, tuple[dict[str, Step], dict[str, Any]]] = {
    "an answer": ({"a": WELL, "b": WELL}, {}),
    "a fallback": ({"a": FAILS, "b": WELL}, {}),
    "held back": ({"a": BREAKS, "b": WELL}, {"stream": {"buffer_events": 2}}),
    "continued": ({"a": BREAKS, "b": WELL}, {"stream": {"continue_broken": True}}),
    "a hedge": ({"a": SLOW, "b": WELL}, {"hedge": {"after": 1}}),
    "both at once": ({"a": Answer(text="x", delay=2), "b": Answer(text="x", delay=1)}, {"hedge": {"after": 1}}),
    "both fail": ({"a": Failure(ErrorCategory.SERVER, delay=2), "b": FAILS}, {"hedge": {"after": 1}}),
}


def gateway_of(case: str) -> ScriptedGateway:
    """One place for each thing that can be taken: what is not given back is missed by the next call."""
    scripts, policy = CASES[case]
    settings = Settings(
        agents={"default": {"route": "r"}},
        providers={name: {"kind": "mock"} for name in scripts},
        routing={
            "routes": {"r": {"deployments": [{"provider": name} for name in scripts], **policy}},
            "health": {"failures": 1000},
            "concurrency": {"adaptive": True, "start": 1, "most": 1, "queue_timeout": 20},
        },
        limits={
            "rates": [{"concurrency": 1, "max_wait": 20}, {"provider": "*", "concurrency": 1, "max_wait": 20}],
            "budgets": [{"usd": 100, "per": "total"}],
        },
        cache={"backend": "memory", "all": True},
    )
    named: dict[str, Any] = {name: repeat(step) for name, step in scripts.items()}
    gateway = ScriptedGateway(settings=settings, clock=LoopClock(), prices=PRICES, middleware=[Slow()], **named)
    for provider in gateway.scripted.values():
        provider.continues_answers = True
    return gateway


async def ask(gateway: ScriptedGateway, *, streamed: bool) -> None:
    """One call, whatever comes of it."""
    try:
        if not streamed:
            await gateway.complete("Why?", max_tokens=10)
            return
        async with gateway.complete_stream("Why?", max_tokens=10) as stream:
            async for _ in stream:
                pass
    except LLMError:
        pass


def check_nothing_is_left(gateway: ScriptedGateway, *, calls: int) -> None:
    recorder = gateway.recorder
    assert len(recorder.started) == len(recorder.finished) == len({each.call_id for each in recorder.started})
    assert len(recorder.finished) <= calls
    assert all(each.in_flight == 0 for each in gateway.get_stats().deployments.values())
    assert {name: provider.script.open_streams for name, provider in gateway.scripted.items()} == {"a": 0, "b": 0}


async def _cancel_later(scope: anyio.CancelScope, second: float, steps: int) -> None:
    await anyio.sleep(second)
    for _ in range(steps):
        await checkpoint()
    scope.cancel()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("case", CASES)
async def test_a_call_may_be_cancelled_at_any_step(case: str, *, streamed: bool) -> None:
    """After so many steps, at each second: at most one end, no place taken, nothing held, no stream open."""
    for second in range(6):
        for steps in range(MOST_STEPS):
            gateway = gateway_of(case)
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_cancel_later, scope, second, steps)
                    await ask(gateway, streamed=streamed)
                    tasks.cancel_scope.cancel()
            check_nothing_is_left(gateway, calls=1)
            cut_off = scope.cancelled_caught
            await ask(gateway, streamed=streamed)
            check_nothing_is_left(gateway, calls=2)
            assert all(state.reserved == 0 for state in gateway.limits()), gateway.limits()
            if not cut_off:
                break
