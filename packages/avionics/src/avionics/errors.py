"""Everything that avionics raises, as one tree.

    AvionicsError
    ├── ConfigurationError                   settings that cannot work; nothing was sent
    │   ├── MissingKeyError                  a provider without the key that it needs
    │   ├── MissingPackageError              a provider without the package that it needs
    │   ├── ConfigurationValidationError     all that is wrong with them at once, as a list
    │   └── UnsupportedProviderError         a provider that nobody registered
    └── LLMError                             a call that gave no whole answer; carries what is known of it
        ├── APICallError                     a backend was called, and it failed
        │   ├── LLMConnectionError  LLMTimeoutError  LLMServerError  LLMRateLimitError
        │   └── LLMAuthenticationError  LLMBillingError  LLMContentFilterError  ModelNotFoundError
        ├── LLMInvalidRequestError           the request cannot be answered as it is
        │   └── RequestTransformationError   it cannot be put into the form that the model takes; nothing was sent
        ├── LLMContextLengthError  UnsupportedOperationError
        ├── OutputValidationError            an answer came, and is not what was asked for
        ├── QuotaExceededError               the resource callback said no; nothing was sent
        │   └── BudgetExceededError          a budget of the settings has too little left for the call
        ├── RateLimitExceededError           a rate of the settings, or one that the provider named; nothing was sent
        ├── LimitsUnavailableError           limits cannot be counted, and the settings refuse to go without
        ├── NoDeploymentError                nobody can be asked, or not now; nothing was sent
        └── AllAttemptsFailedError           every deployment failed; holds each one's error

`ERROR_CLASSES` maps airframe's categories to classes. Airframe's error is always the `__cause__`. All errors pickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from typing_extensions import override

from airframe.errors import AirframeError, ErrorCategory, InvalidRequestError

if TYPE_CHECKING:
    from airframe.types import InferenceResult
    from avionics.llm.records import AttemptFinished, UsageSource

__all__ = [
    "ERROR_CLASSES",
    "APICallError",
    "AllAttemptsFailedError",
    "AvionicsError",
    "BudgetExceededError",
    "CacheMissError",
    "ConfigurationError",
    "ConfigurationValidationError",
    "GuardrailError",
    "LLMAuthenticationError",
    "LLMBillingError",
    "LLMConnectionError",
    "LLMContentFilterError",
    "LLMContextLengthError",
    "LLMError",
    "LLMInvalidRequestError",
    "LLMRateLimitError",
    "LLMServerError",
    "LLMTimeoutError",
    "LimitsUnavailableError",
    "MiddlewareError",
    "MisfitError",
    "MissingKeyError",
    "MissingPackageError",
    "ModelNotFoundError",
    "NoDeploymentError",
    "OutputValidationError",
    "QuotaExceededError",
    "RateLimitExceededError",
    "RequestTransformationError",
    "UnsupportedOperationError",
    "UnsupportedProviderError",
    "llm_error",
]


class AvionicsError(Exception):
    """The root of the tree."""


class ConfigurationError(AvionicsError, ValueError):
    """A setting that cannot work. The message names the field, its environment variable and the remedy; never a key."""


class MissingPackageError(ConfigurationError):
    """What a provider needs is not installed. The message says how to install it."""


class MissingKeyError(ConfigurationError):
    """A provider does not have the key that it needs. The message says where to put it."""


class ConfigurationValidationError(ConfigurationError):
    """Everything that is wrong with a configuration: `problems` holds a line for each."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems

    @override
    def __str__(self) -> str:
        return "\n".join(self.problems)


class UnsupportedProviderError(ConfigurationError):
    """A provider of that name is not registered. The message lists those that are."""


class LLMError(AvionicsError):
    """A call gave no whole answer; raised itself where no subclass is more exact.

    Args:
        message: what happened, in the backend's words where it spoke.
        provider: whom the last attempt asked.
        model: what it asked for; None left it to the server.
        category: what to do about it.
        status: the HTTP status of the last attempt; also 200, when the error was inside the answer.
        code: the backend's machine code.
        retry_after: seconds for which the backend wants to be left alone; None if it gave no usable hint.
    """

    def __init__(
        self,
        message: str = "",
        *,
        provider: str | None = None,
        model: str | None = None,
        category: ErrorCategory = ErrorCategory.UNKNOWN,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.model = model
        self.category = category
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.partial: InferenceResult | None = None
        """What had been received of the answer."""
        self.attempts: Sequence[AttemptFinished] = ()
        """Every exchange of the call; empty when the error did not come through the gateway."""
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self.usage_source: UsageSource = "unknown"
        """Who counted the two: a stream that broke rarely came to report its usage, so we estimate it."""
        self.cost_usd: Decimal | None = None
        """What the call cost nevertheless; None when that is unknown."""

    @property
    def partial_text(self) -> str:
        """The text that had been received."""
        return self.partial.text if self.partial else ""


class APICallError(LLMError):
    """A backend was called, and the call failed; raised itself where nothing is known but that."""


class LLMConnectionError(APICallError):
    """The backend was not reached, or not under its own name."""


class LLMTimeoutError(APICallError, TimeoutError):
    """Time ran out."""


class LLMServerError(APICallError):
    """The backend failed, is loading or overloaded, or said something that cannot be read."""


class LLMRateLimitError(APICallError):
    """Too many requests or tokens in too short a time; see `retry_after`."""


class LLMAuthenticationError(APICallError):
    """The key is missing, wrong, or not allowed to do this."""


class LLMBillingError(APICallError):
    """The account is out of credit, or its spending limit is reached."""


class LLMInvalidRequestError(LLMError, ValueError):
    """The request cannot be answered as it is. The message names the field."""


class RequestTransformationError(LLMInvalidRequestError):
    """The request cannot be put into the form that the model takes; nothing was sent. The message names the field."""


class LLMContextLengthError(LLMError):
    """The prompt is longer than the model's window."""


class LLMContentFilterError(APICallError):
    """The prompt or the answer was blocked."""


class ModelNotFoundError(APICallError):
    """The backend does not have the model."""


class UnsupportedOperationError(LLMError):
    """The backend or the model cannot do this."""


class OutputValidationError(LLMError):
    """The answer is not of the type that was asked for. It is whole; `partial` holds it."""


class QuotaExceededError(LLMError):
    """The resource callback gave a reason against the call; nothing was sent."""


class BudgetExceededError(QuotaExceededError):
    """A budget has too little left for the call, or cannot tell because its price is not known; nothing was sent.

    Args:
        message: which budget, what is left of it, and when it is renewed.
        limit: the budget, in words.
        left: what is left of it, in USD or tokens, with what running calls have reserved taken off; None is unknown.
        renews_at: when it is renewed, in UTC; None is never.
        provider: who was to be asked.
        model: for which model.
    """

    def __init__(
        self,
        message: str = "",
        *,
        limit: str = "",
        left: Decimal | int | None = None,
        renews_at: datetime | None = None,
        provider: str | None = None,
        model: str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, model=model, category=ErrorCategory.BILLING)
        self.limit = limit
        self.left = left
        self.renews_at = renews_at


class RateLimitExceededError(LLMError):
    """A call too many, too soon: there is no room within the time that it may wait; nothing was sent.

    Args:
        message: which limit, and when there is room.
        limit: the limit, in words.
        retry_after: seconds until there may be room; None is unknown, and never for a call that is larger than the
            whole limit.
        provider: who was to be asked.
        model: for which model.
    """

    def __init__(
        self,
        message: str = "",
        *,
        limit: str = "",
        retry_after: float | None = None,
        provider: str | None = None,
        model: str | None = None,
    ) -> None:
        super().__init__(
            message, provider=provider, model=model, category=ErrorCategory.RATE_LIMIT, retry_after=retry_after
        )
        self.limit = limit


class LimitsUnavailableError(LLMError):
    """What counts the limits cannot be used, and `limits.on_store_failure` is `refuse`; nothing was sent."""


class CacheMissError(LLMError):
    """The call may only be answered from the response cache, and that holds no answer; nothing was sent."""


class GuardrailError(LLMError):
    """A guardrail objects to what was asked, or to the answer. `guardrail` is its name, `side` what it objects to."""

    def __init__(
        self, message: str = "", *, guardrail: str = "", side: Literal["request", "answer"] = "request"
    ) -> None:
        super().__init__(message)
        self.guardrail = guardrail
        self.side: Literal["request", "answer"] = side


class NoDeploymentError(LLMError):
    """Nobody could be asked; nothing was sent. The message names the reason against each deployment.

    `category` is `overloaded` when all of them have to cool down: then `retry_after` says for how long.
    """


class MiddlewareError(LLMError):
    """A middleware failed, and is not one that may be skipped. The message names it; `__cause__` is what it raised."""


class AllAttemptsFailedError(LLMError):
    """Every provider failed. `causes` holds the error of each, in order; the other fields are those of the last one."""

    def __init__(self, message: str = "", *, causes: Sequence[AvionicsError] = ()) -> None:
        called = [cause for cause in causes if isinstance(cause, LLMError)]
        last = called[-1] if called else LLMError()
        super().__init__(
            message or f"all {len(causes)} providers failed: " + "; ".join(_line(cause) for cause in causes),
            provider=last.provider,
            model=last.model,
            category=last.category,
            status=last.status,
            code=last.code,
            retry_after=last.retry_after,
        )
        self.causes = tuple(causes)
        self.__cause__ = last.__cause__
        self.partial = last.partial


class MisfitError(InvalidRequestError):
    """Airframe's error for a request that does not fit a model; callers get it as a `RequestTransformationError`."""


ERROR_CLASSES: Mapping[ErrorCategory, type[LLMError]] = MappingProxyType(
    {
        ErrorCategory.AUTH: LLMAuthenticationError,
        ErrorCategory.PERMISSION: LLMAuthenticationError,
        ErrorCategory.BILLING: LLMBillingError,
        ErrorCategory.RATE_LIMIT: LLMRateLimitError,
        ErrorCategory.OVERLOADED: LLMServerError,
        ErrorCategory.LOADING: LLMServerError,
        ErrorCategory.CONTEXT_LENGTH: LLMContextLengthError,
        ErrorCategory.CONTENT_FILTER: LLMContentFilterError,
        ErrorCategory.NOT_FOUND: ModelNotFoundError,
        ErrorCategory.UNSUPPORTED: UnsupportedOperationError,
        ErrorCategory.INVALID_REQUEST: LLMInvalidRequestError,
        ErrorCategory.CONFLICT: LLMServerError,
        ErrorCategory.TIMEOUT: LLMTimeoutError,
        ErrorCategory.SERVER: LLMServerError,
        ErrorCategory.CONNECTION: LLMConnectionError,
        ErrorCategory.TLS: LLMConnectionError,
        ErrorCategory.PROTOCOL: LLMServerError,
        ErrorCategory.CANCELLED: LLMError,
        ErrorCategory.UNKNOWN: APICallError,
    }
)
"""The class in which an error of each category is raised."""


def llm_error(error: AirframeError, *, provider: str, model: str | None) -> LLMError:
    """The error of ours for one of airframe's, which becomes its `__cause__`."""
    misfit = isinstance(error, MisfitError) and error.category is ErrorCategory.INVALID_REQUEST
    ours = (RequestTransformationError if misfit else ERROR_CLASSES[error.category])(
        str(error),
        provider=provider,
        model=model,
        category=error.category,
        status=error.status,
        code=error.code,
        retry_after=error.retry_after,
    )
    ours.partial = error.partial
    ours.__cause__ = error
    return ours


def _line(cause: AvionicsError) -> str:
    if isinstance(cause, LLMError):
        return f"{cause.provider}: {cause.category}: {cause}"
    return f"not configured: {cause}"
