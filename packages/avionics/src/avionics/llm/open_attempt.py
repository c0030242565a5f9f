"""One attempt while it lasts: a deployment is asked, over as many exchanges as airframe needs. Nothing is sent here.

Several may be open at once, when a call is hedged. Each closes exactly once, whichever way it ends and however often it
is told so.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from urllib.parse import urlsplit

from airframe.cancellation import attempts_of
from airframe.errors import AirframeError, ErrorCategory
from airframe.stream import InferenceStream
from airframe.types import Attempt, InferenceRequest, InferenceResult, RateLimit, Usage
from avionics.errors import LLMError, llm_error
from avionics.llm.cost_calculator import Terms
from avionics.llm.ledger import Ledger
from avionics.llm.provider import LLMProvider
from avionics.llm.records import AttemptFinished, AttemptReason
from avionics.llm.spending import total_cost, total_usage
from avionics.llm.usage_estimate import Consumption, broken_consumption, may_be_billed, whole_consumption

__all__ = ["AttemptEnd", "OpenAttempt", "server_of"]

_NANOSECONDS = 1_000_000_000

_MOST_GAPS = 64
"""As many show how evenly an answer flows, and cost nobody anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd:
    """How an attempt ended, for those who keep count of deployments.

    `record` is that of the last exchange; `usage` and `cost_usd` are of all of them. `retry_after` is for how many
    seconds the backend wants to be left alone; `rate_limit` is what it said of the account's limits.
    """

    record: AttemptFinished
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    retry_after: float | None = None
    rate_limit: RateLimit | None = None


class OpenAttempt:
    """Asks `provider` for `request`, as `deployment`; its exchanges go into the ledger when it closes.

    `when_closed` is told once, when the attempt is over.
    """

    def __init__(
        self,
        provider: LLMProvider,
        request: InferenceRequest,
        ledger: Ledger,
        *,
        deployment: str,
        reason: AttemptReason,
        streamed: bool,
        when_closed: Callable[[AttemptEnd], None],
    ) -> None:
        self.provider = provider
        self.request = request
        self.deployment = deployment
        self.stream: InferenceStream | None = None
        """The stream that is read, when there is one."""
        self._ledger = ledger
        self._reason: AttemptReason = reason
        self._streamed = streamed
        self._when_closed = when_closed
        self._arrivals = array("d")
        self._started, self._started_at = time.perf_counter(), time.time()
        self._open = True

    @property
    def pieces(self) -> int:
        """Pieces of the answer that have come, whatever they held."""
        return len(self._arrivals)

    def piece_came(self) -> None:
        """A piece of the answer is there."""
        self._arrivals.append(time.perf_counter())

    def succeed(self, result: InferenceResult) -> None:
        """The attempt ends with an answer."""
        self._close(result.attempts, result)

    def fail(self, error: AirframeError) -> LLMError:
        """The attempt ends with an error; gives ours."""
        if error.partial is None and self.stream is not None:
            error.partial = self.stream.partial
        self._close(error.attempts, error.partial, error)
        return llm_error(error, provider=self.provider.name, model=self.request.model)

    def leave(self, category: ErrorCategory, error: BaseException | None = None) -> InferenceResult | None:
        """The attempt ends from outside, and its exchange with it; gives what had come of the answer."""
        partial = self.stream.partial if self.stream else None
        if self.stream is not None:
            self.stream.abandon()
        if self._open:
            self._close(self._until_now(category, error, partial), partial)
        return partial

    def _until_now(
        self, category: ErrorCategory, error: BaseException | None, partial: InferenceResult | None
    ) -> Sequence[Attempt]:
        """The exchanges until then, of which the last one was under way."""
        told = (attempts_of(error) if error else ()) or (partial.attempts if partial else ())
        if not told:
            return (self._own_account(category, error),)
        *past, last = told
        if last.category is None or last.category is category:
            last = replace(last, category=category, duration=max(last.duration, time.time() - last.started_at))
        return (*past, last)

    def _close(
        self, exchanges: Sequence[Attempt], answer: InferenceResult | None, error: AirframeError | None = None
    ) -> None:
        """Write down every exchange: airframe's retries, and the one that decided."""
        if not self._open:
            return
        self._open = False
        *retried, last = exchanges or (self._own_account(error.category if error else None, error),)
        records: list[AttemptFinished] = []
        for exchange in retried:
            sent = may_be_billed(exchange.category, exchange.status, None)
            records.append(self._note(exchange, broken_consumption(self.request, None, pieces=0, sent=sent)))
        if error is not None:
            last = replace(last, category=error.category, error=str(error))
        if whole := error is None and last.category is None:
            consumption = whole_consumption(answer or InferenceResult())
        else:
            sent = may_be_billed(last.category, last.status, error.phase if error else None)
            consumption = broken_consumption(self.request, answer, pieces=self.pieces, sent=sent)
        record = self._note(last, consumption, answer or InferenceResult(), error)
        records.append(record)
        if self._streamed:
            self.provider.record(error or (answer if whole else None))
        end = AttemptEnd(
            record=record,
            usage=total_usage(records),
            cost_usd=total_cost(records),
            retry_after=error.retry_after if error else None,
            rate_limit=answer.rate_limit if answer else None,
        )
        self._when_closed(end)

    def _note(
        self,
        exchange: Attempt,
        consumption: Consumption,
        answer: InferenceResult | None = None,
        error: AirframeError | None = None,
    ) -> AttemptFinished:
        """Write down one exchange, with what it used and cost. Only the last one has an answer, or a part of one."""
        address, port = server_of(self.provider)
        tier = (answer.service_tier or self.request.service_tier) if answer else None
        cost = self._ledger.price(
            self.provider.name,
            (answer.model if answer else None, self.request.model),
            consumption,
            reported=answer.reported_cost if answer else None,
            terms=Terms(
                kind=self.provider.kind,
                server_address=address,
                at=datetime.fromtimestamp(exchange.started_at, UTC),
                service_tier=tier,
                seconds=exchange.duration,
            ),
        )
        record = AttemptFinished(
            number=self._ledger.next_number,
            reason=self._reason,
            provider=self.provider.name,
            kind=self.provider.kind,
            deployment=self.deployment,
            model=self.request.model,
            server_address=address,
            server_port=port,
            started_at_ns=int(exchange.started_at * _NANOSECONDS),
            duration=exchange.duration,
            time_to_first_event=exchange.time_to_first_event,
            category=exchange.category,
            status=exchange.status,
            error=exchange.error,
            error_code=error.code if error else None,
            request_id=exchange.request_id,
            response_model=answer.model if answer else None,
            response_id=answer.response_id if answer else None,
            finish_reason=answer.finish_reason if answer else None,
            usage=consumption.usage,
            usage_source=consumption.source,
            cost_usd=cost.usd,
            cost_low_usd=cost.low_usd,
            cost_high_usd=cost.high_usd,
            cost_source=cost.source,
            price_version=cost.price_version,
            service_tier=tier,
            chunk_gaps=_gaps(self._arrivals) if answer else (),
        )
        self._reason = "retry"
        self._ledger.note(record)
        return record

    def _own_account(self, category: ErrorCategory | None, error: BaseException | None) -> Attempt:
        """The exchange as seen from here, where nobody nearer could write it down."""
        return Attempt(
            number=1,
            started_at=self._started_at,
            duration=time.perf_counter() - self._started,
            time_to_first_event=self._arrivals[0] - self._started if self._arrivals else None,
            category=category,
            error=None if error is None else str(error) or type(error).__name__,
        )


def server_of(provider: LLMProvider) -> tuple[str | None, int | None]:
    """Host and port of a provider's endpoint."""
    return _server_at(provider.endpoint.base_url)


@lru_cache(maxsize=256)
def _server_at(base_url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(base_url)
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _gaps(arrivals: array[float]) -> tuple[float, ...]:
    """Seconds from one to the next; of many an even sample."""
    step = math.ceil(len(arrivals) / _MOST_GAPS) or 1
    return tuple(arrivals[later] - arrivals[later - 1] for later in range(1, len(arrivals), step))
