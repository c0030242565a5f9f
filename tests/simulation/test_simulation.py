"""Thousands of calls over backends that fail, slow down, limit and recover: what has to hold whatever happens.

`AVIONICS_SIMULATION_SEED` replays one seed, `AVIONICS_SIMULATION_CALLS` makes as many calls with each.
"""

from __future__ import annotations

import bisect
import logging
import os
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import repeat
from typing import Any, Literal, TypeAlias

import anyio
import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure
from airframe.testing.virtual_time import VIRTUAL_BACKENDS, LoopClock, virtual_backend
from airframe.types import InferenceRequest, Usage
from avionics.errors import AllAttemptsFailedError, LLMError, QuotaExceededError
from avionics.llm import LLMGateway
from avionics.llm.cost_calculator import CostCalculator
from avionics.llm.limits import Limiter
from avionics.llm.prices import PriceTable
from avionics.llm.providers import MockProvider
from avionics.llm.records import AttemptFinished, CallFinished, CallObservation, CallStarted
from avionics.settings import PriceRow, Settings
from avionics.settings.routing import Balancing
from avionics.testing import RecordingObserver

pytestmark = pytest.mark.anyio

Behaviour: TypeAlias = Literal["well", "slow", "failing", "limiting", "down", "breaking"]

_TROUBLES: Sequence[Behaviour] = ("slow", "failing", "limiting", "down", "breaking")
USAGE = Usage(input_tokens=20, output_tokens=4)


@dataclass
class Backend:
    """One backend, and how it behaves from which moment on. It is well after the last one."""

    name: str
    moments: Sequence[float]
    behaviours: Sequence[Behaviour]
    draw: random.Random
    looked_at: Callable[[], None] = field(default=lambda: None)
    """Called when an exchange begins."""

    def at(self, moment: float) -> Behaviour:
        """How it behaves at that moment."""
        place = bisect.bisect_right(self.moments, moment) - 1
        return self.behaviours[place] if place < len(self.behaviours) else "well"

    def well_between(self, start: float, end: float) -> bool:
        """Whether it is well all that time."""
        first, last = (max(bisect.bisect_right(self.moments, moment) - 1, 0) for moment in (start, end))
        return all(behaviour == "well" for behaviour in self.behaviours[first : last + 1])

    def provider(self) -> MockProvider:
        """It, for a gateway."""
        return MockProvider(repeat(self._answer), name=self.name, default_model="gpt-4.1-mini", clock=LoopClock())

    def _answer(self, _: InferenceRequest) -> Answer | Failure:
        self.looked_at()
        words = [f"{self.name} "] * 4
        match self.at(anyio.current_time()):
            case "well":
                return Answer(chunks=words, usage=USAGE, delay=self.draw.uniform(0.05, 0.5), pause=0.05)
            case "slow":
                return Answer(chunks=words, usage=USAGE, delay=self.draw.uniform(30, 90), pause=1)
            case "failing":
                return Failure(ErrorCategory.SERVER, delay=self.draw.uniform(0, 0.5))
            case "limiting":
                return Failure(ErrorCategory.RATE_LIMIT, retry_after=self.draw.choice([None, 0.5, 2.0]))
            case "down":
                return Failure(ErrorCategory.CONNECTION)
            case "breaking":
                return Failure(ErrorCategory.PROTOCOL, chunks=words[: self.draw.randrange(3)], pause=0.05)


def make_backend(name: str, draw: random.Random, *, until: float) -> Backend:
    """Phases of good and bad behaviour, in turn, until a moment."""
    moments, behaviours = [0.0], list[Behaviour](["well"])
    while (moment := moments[-1] + draw.uniform(5, 40)) < until:
        behaviours.append(draw.choice(_TROUBLES) if behaviours[-1] == "well" else "well")
        moments.append(moment)
    return Backend(name=name, moments=[*moments, until], behaviours=[*behaviours, "well"], draw=draw)


NAMES = ("a", "b", "c", "d")
CALLS = int(os.environ.get("AVIONICS_SIMULATION_CALLS", "150"))
SEEDS = [int(seed)] if (seed := os.environ.get("AVIONICS_SIMULATION_SEED")) else range(7)
BALANCINGS: Sequence[Balancing] = (
    "ordered", "weighted", "round_robin", "least_busy", "lowest_latency", "lowest_cost", "sticky",
)  # fmt: skip
TIMEOUT = 60.0
LONGEST_COOLDOWN = 8.0
MOST_AT_ONCE = 12
BUDGET = Decimal("0.05")
TENANTS = ("paying", "small")
PRICES = [PriceRow(provider=name, input_per_million=Decimal(20), output_per_million=Decimal(40)) for name in NAMES]


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, object]:
    """Event loops on which time jumps."""
    return virtual_backend(request.param)


@dataclass
class Made:
    """One call, as its caller saw it."""

    start: float
    end: float
    tenant: str
    error: LLMError | None = None
    texts: list[str] = field(default_factory=list[str])
    cancelled: bool = False


class Spending:
    """What was spent for each tenant."""

    def __init__(self) -> None:
        self.by_tenant: dict[str | None, Decimal] = defaultdict(Decimal)

    def call_started(self, call: CallStarted, /) -> CallObservation:
        return _SpentFor(self, call.tenant)


@dataclass
class _SpentFor:
    spending: Spending
    tenant: str | None

    def attempt_finished(self, attempt: AttemptFinished, /) -> None:
        self.spending.by_tenant[self.tenant] += attempt.cost_usd or 0

    def call_finished(self, end: CallFinished, /) -> None:
        pass


class Simulation:
    """A gateway over the backends of a seed, and what came of the calls."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.length = CALLS * 0.6
        self.backends = [make_backend(name, self.draw, until=self.length) for name in NAMES]
        self.recorder, self.spending = RecordingObserver(), Spending()
        self.made: list[Made] = []
        self.peaks: dict[str, int] = defaultdict(int)
        balancing = BALANCINGS[seed % len(BALANCINGS)]
        first, second, third, fourth = ({"provider": name} for name in NAMES)
        settings = Settings(
            agents={"default": {"route": "r"}},
            providers={name: {"kind": "mock"} for name in NAMES},
            routing={
                "routes": {"r": {"deployments": [[first, second, third], fourth], "balancing": balancing}},
                "health": {"cooldown": 1, "longest_cooldown": LONGEST_COOLDOWN},
                "concurrency": {"adaptive": seed % 2 == 1, "start": 8, "most": MOST_AT_ONCE},
            },
            limits={
                "rates": [{"provider": "*", "concurrency": MOST_AT_ONCE}],
                "budgets": [{"tenant": "small", "usd": str(BUDGET), "per": "total"}],
            },
        )
        self.gateway = LLMGateway(
            settings,
            observers=[self.recorder, self.spending],
            providers={backend.name: backend.provider() for backend in self.backends},
            cost_calculator=CostCalculator(PriceTable(PRICES)),
            logger=_silent(),
            clock=anyio.current_time,
            limiter=Limiter.from_settings(settings, clock=anyio.current_time),
        )
        for backend in self.backends:
            backend.looked_at = partial(self._note_peak, backend.name)

    async def run(self) -> None:
        """Make the calls, at random moments."""
        async with anyio.create_task_group() as tasks:
            for _ in range(CALLS):
                tasks.start_soon(self.draw.choice([self._whole, self._stream, self._stream]))
                await anyio.sleep(self.draw.expovariate(2))

    async def settle(self) -> None:
        """Now that all backends are well, nobody is left alone any more, and each is well when it is asked."""
        await anyio.sleep_until(max(self.length, anyio.current_time()) + LONGEST_COOLDOWN)
        for name in NAMES:
            response = await self.gateway.complete("Are you well?", provider=name, max_tokens=10)
            assert response.provider == name

    def _note_peak(self, name: str) -> None:
        self.peaks[name] = max(self.peaks[name], self.gateway._board.health(name).in_flight)

    async def _whole(self) -> None:
        call = self._begin()
        try:
            response = await self.gateway.complete("Why?", **self._options(call))
            call.texts.append(response.text)
        except LLMError as error:
            call.error = error
        call.end = anyio.current_time()

    async def _stream(self) -> None:
        call = self._begin()
        leaves = self.draw.random() < 0.1
        try:
            async with self.gateway.complete_stream("Why?", **self._options(call)) as stream:
                async for chunk in stream:
                    call.texts.append(chunk.text)
                    if leaves:
                        call.cancelled = True
                        break
        except LLMError as error:
            call.error = error
        call.end = anyio.current_time()

    def _begin(self) -> Made:
        call = Made(start=anyio.current_time(), end=0.0, tenant=self.draw.choice(TENANTS))
        self.made.append(call)
        return call

    def _options(self, call: Made) -> dict[str, Any]:
        session = f"session {self.draw.randrange(20)}"
        return {"timeout": TIMEOUT, "tenant": call.tenant, "session_id": session, "max_tokens": 10}


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_holds_whatever_happens(seed: int) -> None:
    """No failure that could have been survived, nothing said twice, nothing overspent, nothing left behind."""
    simulation = Simulation(seed)
    await simulation.run()
    failed = [call for call in simulation.made if call.error and not _is_over_budget(call.error)]
    for call in failed:
        assert not call.texts or _broke_after_delivery(call), (seed, call)
        assert call.texts or not _could_be_answered(simulation.backends, call), (seed, call)
    assert len(failed) < len(simulation.made) / 4, seed
    for call in simulation.made:
        assert len({text.split(" ")[0] for text in call.texts if text.strip()}) <= 1, (seed, call)
    _check_books(simulation, seed)
    assert max(simulation.peaks.values()) <= MOST_AT_ONCE, (seed, simulation.peaks)
    await simulation.settle()
    for stats in simulation.gateway.get_stats().deployments.values():
        assert (stats.breaker, stats.in_flight) == ("closed", 0), (seed, stats)
    assert all(state.reserved == 0 for state in simulation.gateway.limits()), (seed, simulation.gateway.limits())
    await simulation.gateway.aclose()


def _is_over_budget(error: LLMError) -> bool:
    """Whether the budget was spent, before the call or by attempts that failed."""
    causes = error.causes if isinstance(error, AllAttemptsFailedError) else (error,)
    return any(isinstance(cause, QuotaExceededError) for cause in causes)


def _could_be_answered(backends: Sequence[Backend], call: Made) -> bool:
    """Whether one backend was well from so early on that it was neither left alone any more, nor out of time."""
    return any(backend.well_between(call.start - LONGEST_COOLDOWN, call.end) for backend in backends)


def _broke_after_delivery(call: Made) -> bool:
    return call.error is not None and call.error.category in {ErrorCategory.PROTOCOL, ErrorCategory.TIMEOUT}


def _check_books(simulation: Simulation, seed: int) -> None:
    recorder, stats = simulation.recorder, simulation.gateway.get_stats()
    assert len(recorder.started) == len(recorder.finished), seed
    costs = [attempt.cost_usd or Decimal(0) for attempt in recorder.attempts]
    ends = [end.cost_usd or Decimal(0) for end in recorder.finished]
    assert sum(costs) == sum(ends) == stats.cost_usd, seed
    assert sum((each.spent_usd for each in stats.deployments.values()), Decimal(0)) == stats.cost_usd, seed
    assert simulation.spending.by_tenant["small"] <= BUDGET, (seed, simulation.spending.by_tenant)


def _silent() -> logging.Logger:
    """Thousands of warnings about attempts that failed as they should."""
    logger = logging.getLogger("simulation")
    logger.setLevel(logging.ERROR)
    return logger
