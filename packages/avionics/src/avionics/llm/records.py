"""What an observer of the gateway is told: that a call began, how each attempt went, how the call ended.

    CallStarted ──> AttemptFinished, any number ──> CallFinished, exactly one

A call is attempts until an answer; an attempt is one exchange with one backend. `CallFinished` comes on every path: an
answer, an error, the caller's cancellation, and a stream that was left before its end. The records are plain data, so a
trace, a metric and a row of a log are all made from the same facts. None is unknown, never zero; money is USD.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from airframe.errors import ErrorCategory
from airframe.types import FinishReason, InferenceRequest, InferenceResult, Usage
from avionics.llm.cost_calculator import CostSource

__all__ = [
    "AttemptFinished",
    "AttemptReason",
    "CacheUse",
    "CallFinished",
    "CallObservation",
    "CallObserver",
    "CallStarted",
    "FeedbackObserver",
    "FlushingObserver",
    "Outcome",
    "UsageSource",
]

AttemptReason: TypeAlias = Literal["first", "retry", "failover", "fallback", "hedge", "continuation"]
"""Why an exchange took place: the call's first, the same endpoint once more, the same model at a backup endpoint,
another deployment, another one beside a slow one, or another one to finish a broken answer.
"""

CacheUse: TypeAlias = Literal["hit", "miss"]
"""Whether the response cache had the answer."""

UsageSource: TypeAlias = Literal["reported", "estimated", "unknown"]
"""Who counted the tokens: the backend, we, or nobody."""

Outcome: TypeAlias = Literal["success", "error", "cancelled", "abandoned"]
"""How a call ended; `abandoned` is a stream that its reader left before the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted:
    """A call begins at its first provider.

    `started_at_ns` is Unix time in nanoseconds. `model` is the one that is asked for; None leaves it to the server.
    `route` names the providers that may be asked, in order. `tenant` and `conversation_id` are what the caller said;
    `config_hash` is the same for calls under the same settings.
    """

    call_id: str
    started_at_ns: int
    provider: str
    model: str | None
    server_address: str | None
    server_port: int | None
    request: InferenceRequest
    agent_name: str | None
    streamed: bool
    tenant: str | None = None
    conversation_id: str | None = None
    kind: str | None = None
    """The kind of backend, as airframe names it; `provider` is a name that the settings may give to any of them."""
    route: tuple[str, ...] = ()
    config_hash: str | None = None
    variant: str | None = None
    """The variant of an experiment that the call takes part in, as `experiment/variant`."""
    session_id: str | None = None
    """The session of the caller, whose calls keep to one variant and, where that is wished, one deployment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFinished:
    """One exchange is over. `number` counts from 1 over the whole call, retries and fallbacks alike.

    `started_at_ns` is Unix time in nanoseconds; `duration` and `time_to_first_event` are seconds. `category` and
    `error` are None when the exchange succeeded.

    `cost_usd` is None when the price or the usage is unknown. Where the usage is estimated, `cost_low_usd` and
    `cost_high_usd` are the least and the most that it may have been; else all three are the same. `price_version` says
    which price list was used, so that the figure can be reckoned again.
    """

    number: int
    reason: AttemptReason
    provider: str
    model: str | None
    server_address: str | None
    server_port: int | None
    started_at_ns: int
    duration: float
    time_to_first_event: float | None = None
    category: ErrorCategory | None = None
    status: int | None = None
    error: str | None = None
    error_code: str | None = None
    request_id: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    usage_source: UsageSource = "unknown"
    cost_usd: Decimal | None = None
    cost_low_usd: Decimal | None = None
    cost_high_usd: Decimal | None = None
    cost_source: CostSource = "unknown"
    price_version: str | None = None
    kind: str | None = None
    """The kind of backend, as airframe names it."""
    service_tier: str | None = None
    """The tier by which the backend said it bills, in its own word."""
    chunk_gaps: tuple[float, ...] = ()
    """Seconds from each piece of a streamed answer to the next one; of long answers an even sample."""
    deployment: str | None = None
    """The name of the deployment that was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFinished:
    """A call is over.

    `ended_at_ns` is Unix time in nanoseconds, `time_to_first_event` is seconds from the start of the call. `result`
    is the whole answer of a success; `partial` is what had come of the answer when the call ended otherwise.
    `provider` and `model` are those of the last attempt. `usage` and `cost_usd` are sums over the attempts; None when
    they are unknown. `cost_low_usd` and `cost_high_usd` bound `cost_usd` where a part of it is estimated.
    """

    ended_at_ns: int
    outcome: Outcome
    provider: str | None = None
    model: str | None = None
    result: InferenceResult | None = None
    partial: InferenceResult | None = None
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    cost_low_usd: Decimal | None = None
    cost_high_usd: Decimal | None = None
    category: ErrorCategory | None = None
    error_code: str | None = None
    error: str | None = None
    error_class: str | None = None
    """The qualified name of the exception that the caller got."""
    time_to_first_event: float | None = None
    attempts: tuple[AttemptFinished, ...] = ()
    deployment: str | None = None
    """The name of the deployment that gave the answer, or failed last."""
    cache: CacheUse | None = None
    """None where the response cache was not asked. A hit has no attempts, and costs nothing."""
    saved_usd: Decimal | None = None
    """What the answer of a hit had cost; None is unknown."""


class CallObservation(Protocol):
    """Follows one call. Its methods return at once: they run on the path of the call."""

    def attempt_finished(self, attempt: AttemptFinished, /) -> None:
        """One exchange is over; airframe's retries are told when the endpoint is done with."""
        ...

    def call_finished(self, end: CallFinished, /) -> None:
        """The call is over; nothing follows."""
        ...


class CallObserver(Protocol):
    """Watches the calls of a gateway. One that raises is reported once and never harms a call."""

    def call_started(self, call: CallStarted, /) -> CallObservation:
        """A call begins; the observation returned is told the rest."""
        ...


@runtime_checkable
class FlushingObserver(CallObserver, Protocol):
    """An observer that works off the path of the calls. Its gateway waits for it when it is closed."""

    def flush(self) -> None:
        """Finish what was told so far; may take its time, and runs in a thread of its own."""
        ...


@runtime_checkable
class FeedbackObserver(CallObserver, Protocol):
    """An observer that also wants to know what somebody thought of an answer."""

    def record_feedback(self, call_id: str, metric: str, value: float | None, *, comment: str | None = None) -> None:
        """Note it, and return at once. The call may have ended long ago, in another process."""
        ...
