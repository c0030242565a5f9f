"""Crowds of calls in virtual time: each is served at the very moment at which a simple model says so."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

import anyio
import pytest

from airframe.testing.virtual_time import VIRTUAL_BACKENDS, virtual_backend
from avionics.errors import BudgetExceededError
from avionics.llm.limits import Demand, Limiter
from avionics.settings.calls import LimitsSettings

pytestmark = pytest.mark.anyio

NOON = 2_079_086_400.0  # 2035-11-19 12:00 UTC
SLOTS = 3
CALLS = 80

MakeDemand: TypeAlias = Callable[..., Demand]
MakeLimits: TypeAlias = Callable[..., LimitsSettings]


@pytest.fixture(params=VIRTUAL_BACKENDS, ids=str)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Event loops whose time jumps."""
    return virtual_backend(request.param)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Comes at a moment, with a priority, works for so long once it is let, and is gone if it is not let in time."""

    comes: float
    works: float
    patience: float
    priority: int


def crowd(seed: int) -> Sequence[Call]:
    luck = random.Random(seed)
    return sorted(
        (
            Call(
                comes=luck.uniform(0, 60),
                works=luck.uniform(0.5, 6),
                patience=luck.choice([luck.uniform(0, 5), 1000.0]),
                priority=luck.choice([0, 0, 0, 5]),
            )
            for _ in range(CALLS)
        ),
        key=lambda call: call.comes,
    )


def served(calls: Sequence[Call]) -> dict[int, float]:
    """When each is let, by the book: at each moment, the first of those who wait takes a free slot."""
    ends = [0.0] * SLOTS
    let: dict[int, float] = {}
    gone: set[int] = set()
    while len(let) + len(gone) < len(calls):
        left = [number for number in range(len(calls)) if number not in let and number not in gone]
        moment = max(min(ends), calls[left[0]].comes)
        waiting = [number for number in left if calls[number].comes <= moment]
        impatient = {number for number in waiting if calls[number].comes + calls[number].patience < moment}
        gone |= impatient
        if chosen := sorted(set(waiting) - impatient, key=lambda number: (-calls[number].priority, number)):
            let[chosen[0]] = moment
            ends[ends.index(min(ends))] = moment + calls[chosen[0]].works
    return let


@pytest.mark.parametrize("seed", range(8))
async def test_slots_are_given_as_the_book_says(seed: int, make_limits: MakeLimits, demand: MakeDemand) -> None:
    """To the first who waits, the moment that one is free, whoever gave up meanwhile; and all are free in the end."""
    calls = crowd(seed)
    rates = [{"concurrency": SLOTS, "max_wait": 10_000}]
    limiter = Limiter(make_limits(rates=rates), clock=lambda: NOON + anyio.current_time())
    started = anyio.current_time()
    let: dict[int, float] = {}

    async def run(number: int, call: Call) -> None:
        await anyio.sleep(call.comes)
        with anyio.move_on_after(call.patience) as patience:
            async with await limiter.reserve(demand(), priority=call.priority):
                patience.deadline = float("inf")
                let[number] = anyio.current_time() - started
                await anyio.sleep(call.works)

    async with anyio.create_task_group() as tasks:
        for number, call in enumerate(calls):
            tasks.start_soon(run, number, call)
    assert let == pytest.approx(served(calls), abs=1e-6)
    assert [(state.left, state.waiting) for state in limiter.state()] == [(SLOTS, 0)]


@pytest.mark.parametrize("seed", range(8))
async def test_no_crowd_overspends(seed: int, make_limits: MakeLimits, demand: MakeDemand) -> None:
    """Under a rate, slots and a budget at once, with calls that cost less, fail unbilled, vanish or are cancelled."""
    luck = random.Random(seed)
    limits = make_limits(
        rates=[
            {"requests_per_minute": 40, "burst": 0.3, "max_wait": 10_000},
            {"tenant": "*", "concurrency": 2, "max_wait": 10_000},
        ],
        budgets=[{"usd": 10, "per": "total"}],
    )
    limiter = Limiter(limits, clock=lambda: NOON + anyio.current_time())
    spent = Decimal(0)
    under_way = {"a": 0, "b": 0}
    left: list[Decimal | int | None] = []

    async def run(comes: float, tenant: str, fate: str, share: Decimal) -> None:
        nonlocal spent
        await anyio.sleep(comes)
        try:
            reservation = await limiter.reserve(demand(tenant=tenant))
        except BudgetExceededError as error:
            left.append(error.left)
            return
        under_way[tenant] += 1
        assert under_way[tenant] <= 2
        try:
            await anyio.sleep(float(share) * 5)
        finally:
            under_way[tenant] -= 1
            cost = Decimal("0.3") * share if fate == "ends" else Decimal("0.3")
            if fate == "fails":
                await reservation.release()
            else:
                spent += cost
            if fate in {"ends", "cancelled"}:
                await reservation.settle(input_tokens=1, output_tokens=1, cost_usd=cost)
            (state,) = (state for state in limiter.state() if state.unit == "usd")
            assert Decimal(state.spent or 0) + Decimal(state.reserved) + Decimal(state.left) == 10
            assert state.left >= 0

    async def cancelled(comes: float, tenant: str, share: Decimal) -> None:
        with anyio.move_on_after(comes + luck.uniform(0, 10)):
            await run(comes, tenant, "cancelled", share)

    async with anyio.create_task_group() as tasks:
        for _ in range(CALLS):
            comes, tenant, share = luck.uniform(0, 60), luck.choice("ab"), Decimal(luck.randrange(1, 100)) / 100
            fate = luck.choice(["ends", "ends", "fails", "vanishes", "cancelled"])
            if fate == "cancelled":
                tasks.start_soon(cancelled, comes, tenant, share)
            else:
                tasks.start_soon(run, comes, tenant, fate, share)
    assert all(each is not None and each < Decimal("0.3") for each in left)
    states = limiter.state()
    assert [(state.left, state.waiting) for state in states if state.unit == "slots"] == [(2, 0), (2, 0)]
    (budget,) = (state for state in states if state.unit == "usd")
    assert Decimal(budget.spent or 0) + Decimal(budget.reserved) == spent <= 10
