"""The books of one call: that it began, its attempts, and its end. Nothing is sent here.

    begin ─> succeed                           an answer
    begin ─> attempt fails ─> begin ...        another deployment is asked
                           └> fail             nobody is left
    begin ─> abort | abandon                   the caller cancelled, or left a stream
    hit                                        the response cache had the answer

A call is told of once it begins, and its end exactly once, whichever way it comes and however often.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from airframe.errors import ErrorCategory
from airframe.types import InferenceRequest, InferenceResult, Usage
from avionics.errors import AllAttemptsFailedError, AvionicsError, LLMError
from avionics.llm.cache import CachedAnswer
from avionics.llm.call_id import new_call_id
from avionics.llm.completion_result import tokens_used
from avionics.llm.cost_calculator import CostCalculator
from avionics.llm.ledger import Ledger
from avionics.llm.observation import FaultLog
from avionics.llm.open_attempt import AttemptEnd, OpenAttempt, server_of
from avionics.llm.provider import LLMProvider
from avionics.llm.records import AttemptReason, CacheUse, CallFinished, CallObserver, CallStarted, Outcome
from avionics.llm.responses import LLMResponse

__all__ = ["Call", "Caller"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """For whom a call is made, in the caller's own words."""

    agent_name: str | None = None
    tenant: str | None = None
    conversation_id: str | None = None
    session_id: str | None = None
    tags: frozenset[str] = frozenset()


class Call:
    """One call through the gateway, from its first attempt to its end."""

    def __init__(
        self,
        request: InferenceRequest,
        *,
        caller: Caller,
        route: tuple[str, ...] = (),
        config_hash: str | None = None,
        variant: str | None = None,
        streamed: bool,
        observer: CallObserver,
        prices: CostCalculator,
        faults: FaultLog,
        id: str | None = None,
    ) -> None:
        self.id = id or new_call_id()
        self.request = request
        self.caller = caller
        self.variant = variant
        """As `experiment/variant`; None outside of experiments."""
        self.cache: CacheUse | None = None
        """What the response cache had to say, if it was asked."""
        self.ledger = Ledger(prices, faults)
        self.when_over: list[Callable[[Outcome], None]] = []
        """Told once, when a call that began is over, after its observers."""
        self._route = route
        self._config_hash = config_hash
        self._streamed = streamed
        self._observer = observer
        self._prices = prices
        self._faults = faults
        self._attempts: list[OpenAttempt] = []
        self._finished = False
        self._started = time.perf_counter()
        self._first_event: float | None = None

    def begin(
        self,
        provider: LLMProvider,
        request: InferenceRequest,
        *,
        deployment: str,
        reason: AttemptReason,
        when_closed: Callable[[AttemptEnd], None],
    ) -> OpenAttempt:
        """An attempt begins; the first one is the beginning of the call. `when_closed` is told of its end, once."""
        attempt = OpenAttempt(
            provider,
            request,
            self.ledger,
            deployment=deployment,
            reason=reason,
            streamed=self._streamed,
            when_closed=when_closed,
        )
        self._attempts.append(attempt)
        if self.ledger.observation is None:
            self._start(provider, request)
        return attempt

    @property
    def is_over(self) -> bool:
        """Whether its end was told."""
        return self._finished

    def first_event(self) -> None:
        """The first piece reaches the caller."""
        if self._first_event is None:
            self._first_event = time.perf_counter() - self._started

    def succeed(self, attempt: OpenAttempt, result: InferenceResult, **metadata: object) -> LLMResponse:
        """The call ends with the answer of an attempt."""
        attempt.succeed(result)
        self._finish("success", last=attempt, result=result)
        return self._response(
            result,
            attempt.provider.name,
            result.model or attempt.request.model,
            deployment=attempt.deployment,
            **metadata,
        )

    def open_kept(self, provider: LLMProvider) -> None:
        """The call begins with what was kept of the answers of `provider`."""
        self.cache = "hit"
        if self.ledger.observation is None:
            self._start(provider, self.request)

    def hit(self, kept: CachedAnswer, *, deployment: str) -> LLMResponse:
        """The call ends with an answer that was kept: nobody is asked, and nothing is paid."""
        result, saved = kept.replayed_result, kept.cost_usd
        self._finish("success", provider=kept.provider, deployment=deployment, result=result, saved_usd=saved)
        return self._response(
            result, kept.provider, kept.model or self.request.model, deployment=deployment, saved_usd=saved
        )

    def given(self, result: InferenceResult, by: str) -> LLMResponse:
        """The answer of somebody who is no backend, for a call that asked nobody. It is on no record."""
        return self._response(result, by, result.model)

    def again(self) -> Call:
        """Another call like this one, with books of its own."""
        return Call(
            self.request,
            caller=self.caller,
            route=self._route,
            config_hash=self._config_hash,
            variant=self.variant,
            streamed=self._streamed,
            observer=self._observer,
            prices=self._prices,
            faults=self._faults,
        )

    def fail(self, failures: Sequence[AvionicsError]) -> AvionicsError:
        """The call ends with these errors, one for each deployment that was asked; gives the one to raise."""
        error = failures[0] if len(failures) == 1 else AllAttemptsFailedError(causes=failures)
        if isinstance(error, LLMError):
            usage = self.ledger.usage() or Usage()
            error.prompt_tokens, error.completion_tokens = usage.input_tokens, usage.output_tokens
            error.usage_source = self.ledger.usage_source()
            error.cost_usd = self.ledger.cost()
            error.attempts = self.ledger.entries
        self._finish("error", last=self._last, error=error)
        return error

    def abort(self, error: BaseException) -> None:
        """The call ends because the caller is cancelled, or because of a fault that is no backend's."""
        self._leave("error" if isinstance(error, Exception) else "cancelled", error)

    def abandon(self) -> None:
        """The call ends because the caller does not want the rest."""
        self._leave("abandoned", None)

    @property
    def _last(self) -> OpenAttempt | None:
        return self._attempts[-1] if self._attempts else None

    def _start(self, provider: LLMProvider, request: InferenceRequest) -> None:
        address, port = server_of(provider)
        self.ledger.observation = self._observer.call_started(
            CallStarted(
                call_id=self.id,
                started_at_ns=time.time_ns(),
                provider=provider.name,
                model=request.model,
                server_address=address,
                server_port=port,
                request=request,
                agent_name=self.caller.agent_name,
                streamed=self._streamed,
                tenant=self.caller.tenant,
                conversation_id=self.caller.conversation_id,
                session_id=self.caller.session_id,
                kind=provider.kind,
                route=self._route,
                config_hash=self._config_hash,
                variant=self.variant,
            )
        )

    def _leave(self, outcome: Outcome, error: BaseException | None) -> None:
        if self._finished:
            return
        category = ErrorCategory.UNKNOWN if outcome == "error" else ErrorCategory.CANCELLED
        partial: InferenceResult | None = None
        for attempt in self._attempts:
            partial = attempt.leave(category, error) or partial
        self._finish(outcome, last=self._last, partial=partial, error=error, category=category)

    def _finish(
        self,
        outcome: Outcome,
        *,
        last: OpenAttempt | None = None,
        provider: str | None = None,
        deployment: str | None = None,
        result: InferenceResult | None = None,
        partial: InferenceResult | None = None,
        error: BaseException | None = None,
        category: ErrorCategory | None = None,
        saved_usd: Decimal | None = None,
    ) -> None:
        observation, entries = self.ledger.observation, self.ledger.entries
        if self._finished or observation is None:
            return
        self._finished = True
        failure = error if isinstance(error, LLMError) else None
        low, high = self._cost_range()
        observation.call_finished(
            CallFinished(
                ended_at_ns=time.time_ns(),
                outcome=outcome,
                provider=last.provider.name if last else provider,
                deployment=last.deployment if last else deployment,
                model=(result.model if result else None) or (last or self).request.model,
                result=result,
                partial=failure.partial if failure else partial,
                usage=self.ledger.usage(),
                cost_usd=self._cost(),
                cost_low_usd=low,
                cost_high_usd=high,
                category=category or (failure.category if failure else entries[-1].category if entries else None),
                error_code=failure.code if failure else None,
                error=None if error is None else str(error) or type(error).__name__,
                error_class=None if error is None else f"{type(error).__module__}.{type(error).__qualname__}",
                time_to_first_event=self._first_event,
                attempts=entries,
                cache=self.cache,
                saved_usd=saved_usd,
            )
        )
        for tell in self.when_over:
            tell(outcome)

    def _cost(self) -> Decimal | None:
        """What was paid. Who asked nobody has paid nothing."""
        return self.ledger.cost() if self._attempts else Decimal(0)

    def _cost_range(self) -> tuple[Decimal | None, Decimal | None]:
        return self.ledger.cost_range() if self._attempts else (Decimal(0), Decimal(0))

    def _response(self, result: InferenceResult, provider: str, model: str | None, **metadata: object) -> LLMResponse:
        usage = self.ledger.usage() or Usage()
        low, high = self._cost_range()
        return LLMResponse(
            text=result.text,
            tool_calls=result.tool_calls,
            tokens_used=tokens_used(usage),
            prompt_tokens=usage.input_tokens,
            completion_tokens=usage.output_tokens,
            latency_ms=(time.perf_counter() - self._started) * 1000,
            provider=provider,
            model=model,
            cost_usd=self._cost(),
            timestamp=time.time(),
            metadata={
                "call_id": self.id,
                "agent_name": self.caller.agent_name,
                "finish_reason": result.finish_reason,
                "usage_source": self.ledger.usage_source(),
                "cost_low_usd": low,
                "cost_high_usd": high,
                "warnings": result.warnings,
                "attempts": self.ledger.entries,
                "result": result,
                "cache": self.cache,
                **metadata,
            },
            streamed=self._streamed,
        )
