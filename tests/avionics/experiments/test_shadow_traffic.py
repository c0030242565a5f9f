"""Copies of calls that nobody waits for: they never delay a call, cost it nothing, and end with the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import anyio
import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.testing.virtual_time import VIRTUAL_BACKENDS, LoopClock, virtual_backend
from airframe.types import Usage
from avionics.errors import LLMError
from avionics.llm.middleware import RedactPII
from avionics.settings import PriceRow, Settings
from avionics.testing import ScriptedGateway

pytestmark = pytest.mark.anyio

USAGE = Usage(input_tokens=1000, output_tokens=100)
PRICES = [PriceRow(provider="openai", input_per_million=Decimal(2), output_per_million=Decimal(10))]
COST = Decimal("0.003")
NEVER = 10.0**9


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, object]:
    """Event loops on which time jumps."""
    return virtual_backend(request.param)


def shadowed(
    real: Sequence[Step],
    copied: Sequence[Step],
    *,
    middleware: Sequence[Any] = (),
    cache: Any = None,
    **shadow: Any,
) -> ScriptedGateway:
    """A gateway whose calls all go to llamaserver, and are copied to openai."""
    variants = [{"name": "control"}, {"name": "other", "weight": 0, "provider": "openai", "temperature": 0.5}]
    settings = Settings(
        llm_provider="llamaserver",
        experiments={"e": {"variants": variants, "shadow": {"to": "other", "share": 1, **shadow}}},
        cache=cache or {},
    )
    return ScriptedGateway(
        settings=settings, clock=LoopClock(), prices=PRICES, middleware=middleware, llamaserver=real, openai=copied
    )


async def settled(gateway: ScriptedGateway) -> None:
    """Until no copy is under way: virtual time passes when everybody waits."""
    await anyio.sleep(3600)
    assert gateway.shadow_stats()["e"].under_way == 0


async def test_the_caller_does_not_wait_for_a_copy_that_never_ends() -> None:
    """It has its answer at the same moment as without; closing cancels the copy when its time is over."""
    gateway = shadowed([Answer(text="a", delay=2)], [Answer(text="late", delay=NEVER)], timeout=NEVER, patience=7)
    began = anyio.current_time()
    assert (await gateway.complete("Why?")).text == "a"
    assert anyio.current_time() - began == 2
    assert gateway.shadow_stats()["e"].under_way == 1
    await gateway.aclose()
    assert anyio.current_time() - began == 9
    assert gateway.shadow_stats()["e"].under_way == 0
    real, copy = gateway.recorder.finished
    assert (real.outcome, copy.outcome) == ("success", "cancelled")


async def test_a_copy_is_a_call_of_its_variant_in_the_records() -> None:
    """Marked as one, of the same session, with the variant's provider and parameters; statistics do not count it."""
    gateway = shadowed([Answer(text="a", usage=USAGE)], [Answer(text="b", usage=USAGE)])
    async with gateway:
        await gateway.complete("Why?", session_id="s", agent_name="planner")
        await settled(gateway)
    real, copy = gateway.recorder.started
    assert (real.variant, copy.variant) == ("e/control", "e/shadow:other")
    assert (copy.session_id, copy.agent_name, copy.provider) == ("s", "planner", "openai")
    assert [gateway.asked(name)[0].temperature for name in ("llamaserver", "openai")] == [None, 0.5]
    stats = gateway.get_stats()
    assert (stats.calls, stats.cost_usd, set(stats.deployments)) == (1, Decimal(0), {"llamaserver"})
    assert gateway.shadow_stats()["e"].answered == 1
    assert gateway.recorder.finished[1].cost_usd == COST


async def test_a_stream_is_copied_when_it_was_read() -> None:
    """And one that its reader left is not copied at all."""
    gateway = shadowed([Answer(text="a b c"), Answer(text="a b c")], [Answer(text="b")])
    async with gateway:
        async with gateway.complete_stream("Why?") as stream:
            async for chunk in stream:
                assert gateway.shadow_stats()["e"].under_way == int(chunk.is_final)
        await settled(gateway)
        async with gateway.complete_stream("Why?") as stream:
            await anext(stream)
    assert [one.outcome for one in gateway.recorder.finished] == ["success", "success", "abandoned"]


async def test_what_becomes_of_a_copy_reaches_nobody() -> None:
    """A deployment at which copies failed, however many, is asked by real calls at once."""
    down = Failure(ErrorCategory.SERVER)
    gateway = shadowed([*[Answer(text="a")] * 9, down], [*[down] * 9, Answer(text="b"), down], concurrency=9)
    async with gateway:
        for _ in range(9):
            await gateway.complete("Why?")
        await settled(gateway)
        assert gateway.shadow_stats()["e"].failed == 9
        assert set(gateway.get_stats().deployments) == {"llamaserver"}
        began = anyio.current_time()
        assert (await gateway.complete("Why?", session_id="s")).provider == "openai"
        assert anyio.current_time() == began
        await settled(gateway)
    assert gateway.shadow_stats()["e"].failed == 10


async def test_a_call_that_fails_is_copied_too() -> None:
    """Otherwise copies would be of the easier calls only."""
    gateway = shadowed([Failure(ErrorCategory.INVALID_REQUEST)], [Answer(text="b")])
    async with gateway:
        with pytest.raises(LLMError):
            await gateway.complete("Why?")
        await settled(gateway)
    assert [one.variant for one in gateway.recorder.started] == ["e/control", "e/shadow:other"]


async def test_no_more_copies_at_a_time_than_may_be() -> None:
    """What comes while as many are under way is not copied, and counted; afterwards there is room again."""
    gateway = shadowed([Answer(text="a")] * 6, [Answer(text="b", delay=100)] * 3, concurrency=2, timeout=1000)
    async with gateway:
        for _ in range(5):
            await gateway.complete("Why?")
        assert gateway.shadow_stats()["e"].under_way == 2
        assert gateway.shadow_stats()["e"].crowded_out == 3
        await settled(gateway)
        await gateway.complete("Why?")
        await settled(gateway)
    assert gateway.shadow_stats()["e"].answered == 3


async def test_copies_keep_to_their_budget() -> None:
    """However many come at once, what they cost is never more; real calls have budgets of their own."""
    prompt = "word " * 800  # reserves its tokens and 100 of the answer
    gateway = shadowed(
        [Answer(text="a")] * 30, [Answer(text="b", delay=1, usage=USAGE)] * 30, usd="0.02", concurrency=9
    )
    async with anyio.create_task_group() as callers:
        for _ in range(30):
            callers.start_soon(partial(gateway.complete, prompt, max_tokens=100))
    await settled(gateway)
    await gateway.aclose()
    spent = sum((one.cost_usd or 0 for one in gateway.recorder.finished if one.provider == "openai"), Decimal(0))
    stats = gateway.shadow_stats()["e"]
    assert 0 < spent <= Decimal("0.02")
    assert stats.answered * COST == spent
    assert stats.answered + stats.refused + stats.crowded_out == 30
    assert gateway.get_stats().successes == 30


async def test_what_the_response_cache_answered_is_not_copied() -> None:
    """The same question was copied when it was first asked."""
    gateway = shadowed([Answer(text="a")], [Answer(text="b")], cache={"backend": "memory"})
    async with gateway:
        for _ in range(3):
            assert (await gateway.complete("Why?", cache="use")).text == "a"
            await settled(gateway)
    assert [one.variant for one in gateway.recorder.started] == [
        "e/control",
        "e/shadow:other",
        "e/control",
        "e/control",
    ]


async def test_a_copy_has_no_more_in_it_than_was_sent() -> None:
    """What middleware took out of the request is not in the copy."""
    gateway = shadowed([Answer(text="a")], [Answer(text="b")], middleware=[RedactPII()])
    async with gateway:
        await gateway.complete("Write to jane@example.com")
        await settled(gateway)
    (copied,) = gateway.asked("openai")
    assert "jane@example.com" not in str(copied.messages)
