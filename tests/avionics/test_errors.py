"""Avionics has one tree of errors, which keeps what airframe said."""

from __future__ import annotations

import pickle
from decimal import Decimal

import pytest

from airframe.errors import BackendError, ErrorCategory
from airframe.types import InferenceResult, TextPart
from avionics.errors import (
    ERROR_CLASSES,
    AllAttemptsFailedError,
    APICallError,
    AvionicsError,
    ConfigurationError,
    ConfigurationValidationError,
    LLMAuthenticationError,
    LLMContextLengthError,
    LLMError,
    LLMRateLimitError,
    LLMServerError,
    ModelNotFoundError,
    llm_error,
)


@pytest.mark.parametrize("category", ErrorCategory)
def test_every_category_has_a_class(category: ErrorCategory) -> None:
    """No category of airframe is without a class, and the class keeps the category."""
    error = llm_error(BackendError("no", category=category), provider="openai", model=None)
    assert type(error) is ERROR_CLASSES[category]
    assert error.category is category


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        (ErrorCategory.RATE_LIMIT, LLMRateLimitError),
        (ErrorCategory.PERMISSION, LLMAuthenticationError),
        (ErrorCategory.CONTEXT_LENGTH, LLMContextLengthError),
        (ErrorCategory.NOT_FOUND, ModelNotFoundError),
        (ErrorCategory.PROTOCOL, LLMServerError),
    ],
)
def test_the_class_says_what_to_do(category: ErrorCategory, expected: type[LLMError]) -> None:
    """A caller can catch by class what the category means."""
    assert isinstance(llm_error(BackendError("no", category=category), provider="openai", model=None), expected)


def test_airframes_facts_and_error_are_kept() -> None:
    """Status, code, waiting time and partial answer come through, and the cause is airframe's own error."""
    cause = BackendError("slow down", category=ErrorCategory.RATE_LIMIT, status=429, code="rpm", retry_after=7.5)
    cause.partial = InferenceResult(content=[TextPart("The sky")])
    error = llm_error(cause, provider="openai", model="small")
    assert (error.provider, error.model, error.status, error.code, error.retry_after) == (
        "openai",
        "small",
        429,
        "rpm",
        7.5,
    )
    assert error.partial_text == "The sky"
    assert error.__cause__ is cause


def test_when_everything_failed_the_message_lists_every_cause() -> None:
    """One line of log is enough to see who failed and why."""
    refused = LLMError("refused", provider="llamaserver", category=ErrorCategory.CONNECTION)
    limited = LLMRateLimitError("too fast", provider="openai", category=ErrorCategory.RATE_LIMIT, retry_after=3.0)
    error = AllAttemptsFailedError(causes=[refused, limited, ConfigurationError("mock has no key")])
    assert str(error) == (
        "all 3 providers failed: llamaserver: connection: refused; openai: rate_limit: too fast; "
        "not configured: mock has no key"
    )
    assert error.causes[:2] == (refused, limited)
    assert (error.provider, error.category, error.retry_after) == ("openai", ErrorCategory.RATE_LIMIT, 3.0)


def test_errors_pickle_with_all_they_carry() -> None:
    """An error crosses a process boundary whole."""
    first = LLMServerError("cut", provider="openai", category=ErrorCategory.PROTOCOL)
    first.partial, first.cost_usd = InferenceResult(content=[TextPart("The sky")]), Decimal("0.001")
    first.prompt_tokens, first.completion_tokens, first.usage_source = 3, 2, "estimated"
    loaded = pickle.loads(pickle.dumps(AllAttemptsFailedError(causes=[first, ConfigurationError("no key")])))
    assert isinstance(loaded, AllAttemptsFailedError)
    (one, two) = loaded.causes
    assert isinstance(one, LLMServerError)
    assert (one.partial_text, one.cost_usd, one.completion_tokens) == ("The sky", Decimal("0.001"), 2)
    assert isinstance(two, ConfigurationError)


def test_one_root_catches_everything() -> None:
    """Whoever catches `AvionicsError` misses nothing of ours."""
    assert issubclass(LLMError, AvionicsError)
    assert issubclass(ConfigurationError, AvionicsError)


def test_several_problems_are_one_error_that_lists_them() -> None:
    """A line for each, and the list survives pickling."""
    error = pickle.loads(pickle.dumps(ConfigurationValidationError("a is wrong", "b is missing")))
    assert isinstance(error, ConfigurationValidationError)
    assert (error.problems, str(error)) == (("a is wrong", "b is missing"), "a is wrong\nb is missing")


@pytest.mark.parametrize("category", [ErrorCategory.CONNECTION, ErrorCategory.RATE_LIMIT, ErrorCategory.UNKNOWN])
def test_a_call_that_failed_is_caught_by_one_name(category: ErrorCategory) -> None:
    """Whatever went wrong with a backend that was called is an `APICallError`; a request that cannot be sent is not."""
    assert issubclass(ERROR_CLASSES[category], APICallError)
    assert not issubclass(ERROR_CLASSES[ErrorCategory.INVALID_REQUEST], APICallError)
