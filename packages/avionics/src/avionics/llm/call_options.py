"""What a caller may say of a call beside the prompt: one list for all methods of the gateway that make calls."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast

from airframe.errors import InvalidRequestError
from airframe.types import InferenceRequest, Message
from avionics.llm.cache import CacheMode
from avionics.llm.call import Caller
from avionics.llm.requests import RequestOptions, conversation

__all__ = ["CallOptions", "caller_of", "request_of"]


class CallOptions(RequestOptions, total=False):
    """The fields of `InferenceRequest` that a call may set, and how it is made.

    Attributes:
        messages: what was said before the prompt.
        model: a route of `routing.routes`; or an alias or a model, for the first provider of the agent's route. Who is
            asked after it is asked for its own.
        provider: ask only this one, and its backup endpoints.
        tenant: on whose behalf; for limits, conditions of routes, and the records.
        conversation_id: of which conversation the call is a part; goes into the records.
        session_id: of which session; its calls keep to one variant of an experiment, and to one deployment where the
            route is `sticky`.
        tags: for conditions of routes.
        timeout: seconds for the whole call, retries and fallbacks included; None is the route's.
        priority: who waits for a place is let in before those with a smaller number.
        cache: what the response cache is used for.
        cache_ttl: for how many seconds the answer may be given again; None is what the settings say.
    """

    messages: Sequence[Message]
    model: str | None
    provider: str | None
    tenant: str | None
    conversation_id: str | None
    session_id: str | None
    tags: Collection[str]
    timeout: float | None
    priority: int
    cache: CacheMode
    cache_ttl: float | None


def caller_of(agent_name: str | None, options: CallOptions) -> Caller:
    """For whom the call is made."""
    tags: object = options.get("tags", ())
    if isinstance(tags, str):
        raise InvalidRequestError("tags must be a collection of texts, got str; wrap it in a list")
    return Caller(
        agent_name=agent_name,
        tenant=options.get("tenant"),
        conversation_id=options.get("conversation_id"),
        session_id=options.get("session_id"),
        tags=frozenset(cast("Collection[str]", tags)),
    )


def request_of(prompt: str | None, system: str | None, options: CallOptions, *, model: str | None) -> InferenceRequest:
    """What is asked. Raises `InvalidRequestError` that names the field."""
    timeout = options.get("timeout")
    if timeout is not None and not timeout > 0:
        raise InvalidRequestError(f"timeout must be a positive number of seconds, got {timeout}")
    asked = {name: value for name, value in options.items() if name in RequestOptions.__annotations__}
    return InferenceRequest(
        messages=conversation(prompt, system, options.get("messages", ())),
        model=model,
        **cast("RequestOptions", asked),
    )
