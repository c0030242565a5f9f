"""Which calls may be answered from the cache, and which answers are worth keeping. Pure; reasons are for people."""

from __future__ import annotations

from collections.abc import Iterator

from airframe.types import FinishReason, HostedTool, InferenceRequest, InferenceResult

__all__ = ["answer_obstacle", "request_obstacle"]

_STATEFUL_PARAMETERS = frozenset(
    {
        "background",
        "container",
        "conversation",
        "mcp_servers",
        "plugins",
        "previous_response_id",
        "store",
        "tools",
        "web_search_options",
    }
)
"""Members of a body with which a backend keeps something, goes on from it, or acts by itself."""

_WHOLE = frozenset({FinishReason.STOP, FinishReason.TOOL_CALLS})
_WHOLE_IF_WANTED = frozenset({FinishReason.LENGTH, FinishReason.CONTENT_FILTER, FinishReason.REFUSAL})


def request_obstacle(request: InferenceRequest, *, model: str | None, opted_in: bool) -> str | None:
    """Why a request cannot be answered from the cache; None when it can.

    An answer may be given again if the caller asked for the same answer each time: with temperature 0, with a seed, or
    by opting in. No backend promises it, but whoever says so cannot want another one. What the backend remembers, or
    does by itself, happens in no other place, and opting in does not change that.
    """
    return next(_lasting_obstacles(request), None) or (None if opted_in else next(_doubts(request, model), None))


def answer_obstacle(result: InferenceResult, *, opted_in: bool) -> str | None:
    """Why an answer is not kept; None when it is. One that was cut, blocked or refused is, for a call that opted in."""
    if not result.text.strip() and not result.tool_calls and result.refusal is None:
        return "the answer is empty"
    if result.hosted_tools:
        return "a tool of the backend had a part in the answer"
    reason = FinishReason.REFUSAL if result.refusal is not None else result.finish_reason
    if reason in _WHOLE or (opted_in and reason in _WHOLE_IF_WANTED):
        return None
    return f"the answer ended with {reason or 'nothing'}"


def _lasting_obstacles(request: InferenceRequest) -> Iterator[str]:
    if request.previous_response_id is not None:
        yield "previous_response_id: the request goes on from what the backend remembers"
    if request.store:
        yield "store: the backend is asked to keep the answer"
    for tool in request.tools:
        if isinstance(tool, HostedTool):
            yield f"tools: the backend runs {tool.type} itself"
    for name in sorted(_STATEFUL_PARAMETERS.intersection(request.extra_params)):
        if request.extra_params[name]:
            yield f"extra_params: {name} makes the backend remember or act"


def _doubts(request: InferenceRequest, model: str | None) -> Iterator[str]:
    if request.temperature != 0 and request.seed is None:
        yield "temperature is not 0 and no seed is given, so the next answer may well be another one"
    if model is None:
        yield "model: none is named, so nobody knows which one the answer was of"
