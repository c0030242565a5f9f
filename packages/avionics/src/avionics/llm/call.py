"""The books of one call: its attempts, what they used and cost, and what observers are told of it. Nothing is sent
here.

    begin ─> succeed                       an answer
    begin ─> attempt_failed ─> begin ...   another provider is asked
                            └> fail        nobody is left
    begin ─> abort | abandon               the caller cancelled, or left a stream

A call is told of once it begins, and its end exactly once, whichever way it comes and however often.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from urllib.parse import urlsplit

from airframe.cancellation import attempts_of
from airframe.errors import AirframeError, ErrorCategory
from airframe.stream import InferenceStream
from airframe.types import Attempt, InferenceRequest, InferenceResult, Usage
from avionics.errors import AllAttemptsFailedError, AvionicsError, LLMError, llm_error
from avionics.llm.call_id import new_call_id
from avionics.llm.completion_result import tokens_used
from avionics.llm.cost_calculator import CostCalculator
from avionics.llm.observation import FaultLog
from avionics.llm.provider import LLMProvider
from avionics.llm.records import (
    AttemptFinished,
    AttemptReason,
    CallFinished,
    CallObservation,
    CallObserver,
    CallStarted,
    Outcome,
)
from avionics.llm.responses import LLMResponse
from avionics.llm.spending import Cost, attempt_cost, cost_range, terms_of, total_cost, total_usage, usage_source
from avionics.llm.usage_estimate import Consumption, broken_consumption, may_be_billed, whole_consumption

__all__ = ["Call", "Caller"]

_NANOSECONDS = 1_000_000_000

_MOST_GAPS = 64
"""As many show how evenly an answer flows, and cost nobody anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """For whom a call is made, in the caller's own words."""

    agent_name: str | None = None
    tenant: str | None = None
    conversation_id: str | None = None


class Call:
    """One call through the gateway, from its first attempt to its end."""

    def __init__(
        self,
        request: InferenceRequest,
        *,
        caller: Caller,
        route: tuple[str, ...] = (),
        config_hash: str | None = None,
        streamed: bool,
        observer: CallObserver,
        prices: CostCalculator,
        faults: FaultLog,
    ) -> None:
        self.id = new_call_id()
        self.request = request
        self.agent_name = caller.agent_name
        self.stream: InferenceStream | None = None
        """The stream of the present attempt, when there is one."""
        self._arrivals = array("d")
        self._caller = caller
        self._route = route
        self._config_hash = config_hash
        self._streamed = streamed
        self._observer = observer
        self._prices = prices
        self._faults = faults
        self._observation: CallObservation | None = None
        self._finished = False
        self._provider: LLMProvider | None = None
        self._attempts: list[AttemptFinished] = []
        self._started = self._attempt_started = time.perf_counter()
        self._attempt_started_at = time.time()
        self._attempt_open = self._asked_before = False
        self._first_event: float | None = None

    @property
    def provider(self) -> LLMProvider:
        """Whom the present attempt asks."""
        assert self._provider is not None, "the call has not begun"
        return self._provider

    @property
    def pieces(self) -> int:
        """Pieces of the present attempt's answer that have come, whatever they held."""
        return len(self._arrivals)

    def piece_came(self) -> None:
        """A piece of the present attempt's answer is there."""
        self._arrivals.append(time.perf_counter())

    def begin(self, provider: LLMProvider) -> InferenceRequest:
        """An attempt begins; gives the request for `provider`.

        The model that the caller named is the first provider's, and its backups'. Another one is asked for its own: it
        would not know the name.
        """
        if self._provider is None:
            model = self.request.model or provider.default_model
        elif self._provider.name == provider.name:
            model = provider.endpoint.model or self.request.model
        else:
            model = provider.default_model
        if model != self.request.model:
            self.request = replace(self.request, model=model)
        self._provider, self.stream, self._arrivals, self._asked_before = provider, None, array("d"), False
        self._attempt_started, self._attempt_started_at = time.perf_counter(), time.time()
        self._attempt_open = True
        if self._observation is None:
            self._start(provider)
        return self.request

    def first_event(self) -> None:
        """The first piece reaches the caller."""
        if self._first_event is None:
            self._first_event = time.perf_counter() - self._started

    def succeed(self, result: InferenceResult) -> LLMResponse:
        """The call ends with an answer."""
        self._close_attempt(result.attempts, result)
        self._finish("success", result=result)
        return self._response(result)

    def attempt_failed(self, error: AirframeError) -> LLMError:
        """An attempt ends with an error; gives ours."""
        self._close_attempt(error.attempts, error.partial, error)
        return llm_error(error, provider=self.provider.name, model=self.request.model)

    def fail(self, failures: Sequence[AvionicsError]) -> AvionicsError:
        """The call ends with these errors, one for each provider; gives the one to raise."""
        error = failures[0] if len(failures) == 1 else AllAttemptsFailedError(causes=failures)
        if isinstance(error, LLMError):
            usage = total_usage(self._attempts) or Usage()
            error.prompt_tokens, error.completion_tokens = usage.input_tokens, usage.output_tokens
            error.usage_source = usage_source(self._attempts)
            error.cost_usd = total_cost(self._attempts)
            error.attempts = tuple(self._attempts)
        self._finish("error", error=error)
        return error

    def abort(self, error: BaseException) -> None:
        """The call ends because the caller is cancelled, or because of a fault that is no backend's."""
        self._leave("error" if isinstance(error, Exception) else "cancelled", error)

    def abandon(self) -> None:
        """The call ends because the caller does not want the rest."""
        self._leave("abandoned", None)

    def _start(self, provider: LLMProvider) -> None:
        address, port = _server(provider)
        self._observation = self._observer.call_started(
            CallStarted(
                call_id=self.id,
                started_at_ns=time.time_ns(),
                provider=provider.name,
                model=self.request.model,
                server_address=address,
                server_port=port,
                request=self.request,
                agent_name=self._caller.agent_name,
                streamed=self._streamed,
                tenant=self._caller.tenant,
                conversation_id=self._caller.conversation_id,
                kind=provider.kind,
                route=self._route,
                config_hash=self._config_hash,
            )
        )

    def _leave(self, outcome: Outcome, error: BaseException | None) -> None:
        if self._finished:
            return
        partial = self.stream.partial if self.stream else None
        category = ErrorCategory.UNKNOWN if outcome == "error" else ErrorCategory.CANCELLED
        self._close_attempt(self._until_now(category, error, partial), partial)
        self._finish(outcome, partial=partial, error=error, category=category)

    def _until_now(
        self, category: ErrorCategory, error: BaseException | None, partial: InferenceResult | None
    ) -> Sequence[Attempt]:
        """The exchanges of an attempt that ended from outside, of which the last one was under way."""
        told = (attempts_of(error) if error else ()) or (partial.attempts if partial else ())
        if not told:
            return (self._own_account(category, error),)
        *past, last = told
        if last.category is None or last.category is category:
            last = replace(last, category=category, duration=max(last.duration, time.time() - last.started_at))
        return (*past, last)

    def _close_attempt(
        self, exchanges: Sequence[Attempt], answer: InferenceResult | None, error: AirframeError | None = None
    ) -> None:
        """Write down every exchange with the present provider: airframe's retries, and the one that decided."""
        if not self._attempt_open:
            return
        self._attempt_open = False
        *retried, last = exchanges or (self._own_account(error.category if error else None, error),)
        for exchange in retried:
            sent = may_be_billed(exchange.category, exchange.status, None)
            self._note(
                self._priced(self._record(exchange), broken_consumption(self.request, None, pieces=0, sent=sent))
            )
        whole = error is None and last.category is None
        if error is not None:
            last = replace(last, category=error.category, error=str(error))
        sent = may_be_billed(last.category, last.status, error.phase if error else None)
        answer = answer or InferenceResult()
        consumption = (
            whole_consumption(answer)
            if whole
            else broken_consumption(self.request, answer, pieces=self.pieces, sent=sent)
        )
        record = replace(
            self._record(last),
            error_code=error.code if error else None,
            response_model=answer.model,
            response_id=answer.response_id,
            finish_reason=answer.finish_reason,
            service_tier=answer.service_tier or self.request.service_tier,
            chunk_gaps=_gaps(self._arrivals),
        )
        self._note(self._priced(record, consumption, answer.reported_cost))
        if self._streamed:
            self.provider.record(error or (answer if whole else None))

    def _record(self, exchange: Attempt) -> AttemptFinished:
        address, port = _server(self.provider)
        return AttemptFinished(
            number=len(self._attempts) + 1,
            reason=self._reason(),
            provider=self.provider.name,
            kind=self.provider.kind,
            model=self.request.model,
            server_address=address,
            server_port=port,
            started_at_ns=int(exchange.started_at * _NANOSECONDS),
            duration=exchange.duration,
            time_to_first_event=exchange.time_to_first_event,
            category=exchange.category,
            status=exchange.status,
            error=exchange.error,
            request_id=exchange.request_id,
        )

    def _priced(
        self, attempt: AttemptFinished, consumption: Consumption, reported: Decimal | None = None
    ) -> AttemptFinished:
        """The record with what was used and what it cost."""
        cost = self._faults.contained(
            "cost_calculator",
            lambda: attempt_cost(
                self._prices,
                attempt.provider,
                (attempt.response_model, attempt.model),
                consumption,
                reported=reported,
                terms=terms_of(attempt),
            ),
        )
        cost = cost or Cost()
        return replace(
            attempt,
            usage=consumption.usage,
            usage_source=consumption.source,
            cost_usd=cost.usd,
            cost_low_usd=cost.low_usd,
            cost_high_usd=cost.high_usd,
            cost_source=cost.source,
            price_version=cost.price_version,
        )

    def _reason(self) -> AttemptReason:
        if not self._attempts:
            return "first"
        return "retry" if self._asked_before else "fallback"

    def _own_account(self, category: ErrorCategory | None, error: BaseException | None) -> Attempt:
        """The exchange as seen from here, where nobody nearer could write it down."""
        return Attempt(
            number=1,
            started_at=self._attempt_started_at,
            duration=time.perf_counter() - self._attempt_started,
            time_to_first_event=self._arrivals[0] - self._attempt_started if self._arrivals else None,
            category=category,
            error=None if error is None else str(error) or type(error).__name__,
        )

    def _note(self, attempt: AttemptFinished) -> None:
        self._attempts.append(attempt)
        self._asked_before = True
        if self._observation is not None:
            self._observation.attempt_finished(attempt)

    def _finish(
        self,
        outcome: Outcome,
        *,
        result: InferenceResult | None = None,
        partial: InferenceResult | None = None,
        error: BaseException | None = None,
        category: ErrorCategory | None = None,
    ) -> None:
        if self._finished or self._observation is None:
            return
        self._finished = True
        failure = error if isinstance(error, LLMError) else None
        last = self._attempts[-1] if self._attempts else None
        low, high = cost_range(self._attempts)
        self._observation.call_finished(
            CallFinished(
                ended_at_ns=time.time_ns(),
                outcome=outcome,
                provider=self.provider.name,
                model=(result.model if result else None) or self.request.model,
                result=result,
                partial=failure.partial if failure else partial,
                usage=total_usage(self._attempts),
                cost_usd=total_cost(self._attempts),
                cost_low_usd=low,
                cost_high_usd=high,
                category=category or (failure.category if failure else last.category if last else None),
                error_code=failure.code if failure else None,
                error=None if error is None else str(error) or type(error).__name__,
                error_class=None if error is None else f"{type(error).__module__}.{type(error).__qualname__}",
                time_to_first_event=self._first_event,
                attempts=tuple(self._attempts),
            )
        )

    def _response(self, result: InferenceResult) -> LLMResponse:
        usage = total_usage(self._attempts) or Usage()
        low, high = cost_range(self._attempts)
        return LLMResponse(
            text=result.text,
            tool_calls=result.tool_calls,
            tokens_used=tokens_used(usage),
            prompt_tokens=usage.input_tokens,
            completion_tokens=usage.output_tokens,
            latency_ms=(time.perf_counter() - self._started) * 1000,
            provider=self.provider.name,
            model=result.model or self.request.model,
            cost_usd=total_cost(self._attempts),
            timestamp=time.time(),
            metadata={
                "call_id": self.id,
                "agent_name": self.agent_name,
                "finish_reason": result.finish_reason,
                "usage_source": usage_source(self._attempts),
                "cost_low_usd": low,
                "cost_high_usd": high,
                "warnings": result.warnings,
                "attempts": tuple(self._attempts),
                "result": result,
            },
            streamed=self._streamed,
        )


def _server(provider: LLMProvider) -> tuple[str | None, int | None]:
    parts = urlsplit(provider.endpoint.base_url)
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _gaps(arrivals: array[float]) -> tuple[float, ...]:
    """Seconds from one to the next; of many an even sample."""
    step = math.ceil(len(arrivals) / _MOST_GAPS) or 1
    return tuple(arrivals[later] - arrivals[later - 1] for later in range(1, len(arrivals), step))
