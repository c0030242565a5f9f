"""What users of avionics test with: a gateway that answers from scripts, at prices of the test, and remembers all.

    usage = Usage(input_tokens=1000, output_tokens=10)
    gateway = ScriptedGateway(
        prices=[PriceRow(provider="openai", input_per_million=2, output_per_million=8)],
        llamaserver=[Failure(ErrorCategory.CONNECTION)],
        openai=[Answer(text="Hello", usage=usage)],
    )
    async with gateway:
        assert (await gateway.complete("Hi")).cost_usd == Decimal("0.00208")
    assert gateway.recorder.end.outcome == "success"

Everything but the backends is real: fallback, budgets, records. `Answer` and `Failure` are those of `airframe.testing`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType

from typing_extensions import override

from airframe.testing import Step
from airframe.testing.clock import Timer
from airframe.types import InferenceRequest
from avionics.llm.cost_calculator import CostCalculator
from avionics.llm.gateway import LLMGateway
from avionics.llm.limits import Limiter
from avionics.llm.middleware import Middleware
from avionics.llm.prices import PriceTable
from avionics.llm.providers import MockProvider
from avionics.llm.quota import ResourceCallback
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted
from avionics.settings import PriceRow, Settings

__all__ = ["RecordingObserver", "ScriptedGateway", "ScriptedQuota"]


class ScriptedQuota:
    """A resource callback that gives the reasons of its script, one at each question, and then none any more.

    The gateway asks before a call, and tells after it: `ScriptedQuota([None, "too much"])` lets the call be made and
    objects to what it used.
    """

    def __init__(self, reasons: Iterable[str | None] = ()) -> None:
        self._reasons = iter(reasons)
        self.asked: list[tuple[int, int]] = []
        """Tokens in and out, in order."""

    def __call__(self, tokens_in: int, tokens_out: int) -> str | None:
        self.asked.append((tokens_in, tokens_out))
        return next(self._reasons, None)


@dataclass
class RecordingObserver:
    """Keeps every record, in the order in which they came."""

    started: list[CallStarted] = field(default_factory=list[CallStarted])
    attempts: list[AttemptFinished] = field(default_factory=list[AttemptFinished])
    finished: list[CallFinished] = field(default_factory=list[CallFinished])

    @property
    def end(self) -> CallFinished:
        """The end of the one call that there was. Raises `AssertionError` when there was none, or more, or a gap."""
        assert (len(self.started), len(self.finished)) == (1, 1), "there was not exactly one call"
        (end,) = self.finished
        assert end.attempts == tuple(self.attempts), "the end does not list the attempts that were told"
        return end

    def call_started(self, call: CallStarted, /) -> RecordingObserver:
        """Keeps the beginning."""
        self.started.append(call)
        return self

    def attempt_finished(self, attempt: AttemptFinished, /) -> None:
        """Keeps the attempt."""
        self.attempts.append(attempt)

    def call_finished(self, end: CallFinished, /) -> None:
        """Keeps the end."""
        self.finished.append(end)


class ScriptedGateway(LLMGateway):
    """A gateway whose providers answer from scripts. Leaving its context fails when steps are left.

    Args:
        settings: routes, limits and whatever else the test is about; None is only that the first provider comes first.
        model: the default model of every provider.
        clock: on which the delays of scripts pass, cooldowns and limits as well; by default delays take no time.
        prices: rows that win over the real prices, and cannot change when vendors change theirs.
        quota: asked before each call, and told after it.
        middleware: stands around each call, outermost first.
        scripts: the script of each provider, under its name; the first one is asked first, the others are fallbacks.
    """

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        model: str = "gpt-4.1-mini",
        clock: Timer | None = None,
        prices: Sequence[PriceRow] = (),
        quota: ResourceCallback | None = None,
        middleware: Sequence[Middleware] = (),
        **scripts: Iterable[Step],
    ) -> None:
        self.scripted = {
            name: MockProvider(script, name=name, default_model=model, clock=clock) for name, script in scripts.items()
        }
        """The providers by name."""
        self.recorder = RecordingObserver()
        first, *others = scripts
        settings = settings or Settings(llm_provider=first)
        super().__init__(
            settings,
            others,
            observers=[self.recorder],
            providers=self.scripted,
            resource_callback=quota,
            middleware=middleware,
            cost_calculator=CostCalculator(PriceTable(prices)),
            clock=time.monotonic if clock is None else lambda: clock.now,
            limiter=None if clock is None else Limiter.from_settings(settings, clock=lambda: clock.now),
        )

    @property
    def spent(self) -> Decimal | None:
        """What all attempts of all calls cost in USD; None if that of one is unknown."""
        costs = [attempt.cost_usd for attempt in self.recorder.attempts]
        known = [cost for cost in costs if cost is not None]
        return sum(known, Decimal(0)) if len(known) == len(costs) else None

    def asked(self, provider: str) -> Sequence[InferenceRequest]:
        """What a provider was asked, in order."""
        return [request for _, request in self.scripted[provider].script.calls]

    def assert_played(self) -> None:
        """Raises `AssertionError` if steps of a script are left; the message names the provider."""
        for name, provider in self.scripted.items():
            try:
                provider.script.assert_played()
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from None

    @override
    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await super().__aexit__(exc_type, exc, traceback)
        if exc is None:
            self.assert_played()
