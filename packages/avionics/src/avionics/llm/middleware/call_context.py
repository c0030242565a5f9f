"""One call, as middleware sees it."""

from __future__ import annotations

from dataclasses import dataclass, field

from airframe.types import InferenceRequest

__all__ = ["CallContext"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """What is asked, and for whom.

    Attributes:
        request: as this middleware got it; the outer ones may have changed it.
        call_id: the same in all records of the call.
        agent_name: for whom the call is made.
        tenant: on whose behalf.
        conversation_id: what it belongs to.
        streamed: whether the answer comes in pieces.
        state: what middleware wants to remember between before and after. It is one for all of a call; a middleware
            that uses itself as the key is in nobody's way.
    """

    request: InferenceRequest
    call_id: str
    agent_name: str | None = None
    tenant: str | None = None
    conversation_id: str | None = None
    streamed: bool = False
    state: dict[object, object] = field(default_factory=dict[object, object], repr=False)
