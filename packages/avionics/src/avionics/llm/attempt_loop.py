"""One provider after the other until one answers: the loop that whole and streamed answers share."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from airframe.errors import AirframeError
from airframe.types import InferenceRequest
from avionics.errors import AvionicsError, ConfigurationError
from avionics.llm.call import Call
from avionics.llm.fallback import falls_back
from avionics.llm.provider import LLMProvider

__all__ = ["Ask", "first_answer"]

AnswerT_co = TypeVar("AnswerT_co", covariant=True)


class Ask(Protocol[AnswerT_co]):
    """Asks one provider. Raises `AirframeError`, and may do so only as long as nothing was delivered to the caller.

    `last` says that nobody else can be asked, so that an empty answer is better than none.
    """

    def __call__(self, provider: LLMProvider, request: InferenceRequest, *, last: bool) -> Awaitable[AnswerT_co]: ...


async def first_answer(
    call: Call, providers: Sequence[Callable[[], LLMProvider]], ask: Ask[AnswerT_co], logger: logging.Logger
) -> AnswerT_co:
    """What `ask` gets from the first provider that answers.

    `providers` are opened when their turn comes; the `ConfigurationError` of one is its failure. Raises the failure, or
    `AllAttemptsFailedError` when there are several.
    """
    failures: list[AvionicsError] = []
    for position, provider in enumerate(providers, 1):
        try:
            request = call.begin(provider())
            return await ask(call.provider, request, last=position == len(providers))
        except ConfigurationError as error:
            failures.append(error)
        except AirframeError as error:
            failures.append(call.attempt_failed(error))
            if not falls_back(error.category):
                break
        except BaseException as error:
            call.abort(error)
            raise
        if position < len(providers):
            logger.warning(
                "call %s: attempt at provider %d of %d failed, asking the next one: %s",
                call.id,
                position,
                len(providers),
                type(failures[-1]).__name__,
            )
    raise call.fail(failures)
