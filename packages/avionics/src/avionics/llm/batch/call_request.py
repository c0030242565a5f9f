"""What one of many calls asks, in the forms in which it may be given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast

from airframe.errors import ErrorCategory
from avionics.errors import LLMInvalidRequestError
from avionics.llm.call_options import CallOptions

__all__ = ["CallRequest", "Request", "call_request"]

_OPTIONS = CallOptions.__required_keys__ | CallOptions.__optional_keys__


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """One of many calls. None, and an option that is left out, takes what holds for all of them.

    Attributes:
        prompt: as for `LLMGateway.complete`.
        system: likewise.
        agent_name: likewise.
        id: a name of the caller's own, which comes back with the result.
        options: see `CallOptions`.
    """

    prompt: str | None = None
    system: str | None = None
    agent_name: str | None = None
    id: str | None = None
    options: CallOptions = field(default_factory=CallOptions)

    def over(self, usual: CallRequest) -> CallRequest:
        """The same request, with what `usual` states where this one is silent."""
        return replace(
            self,
            system=usual.system if self.system is None else self.system,
            agent_name=usual.agent_name if self.agent_name is None else self.agent_name,
            options=cast("CallOptions", {**usual.options, **self.options}),
        )


Request: TypeAlias = str | CallRequest | Mapping[str, object]
"""A prompt, or what stands for more: the mapping has the fields of `CallRequest` and of `CallOptions`, all in one."""


def call_request(given: object) -> CallRequest:
    """The request in its one form. Raises `LLMInvalidRequestError` that names the field."""
    match given:
        case CallRequest():
            return given
        case str():
            return CallRequest(prompt=given)
        case Mapping():
            return _from_mapping(cast("Mapping[str, Any]", given))
        case _:
            raise _refused(f"a request must be a prompt, a mapping or a CallRequest, got {type(given).__name__}")


def _from_mapping(given: Mapping[str, Any]) -> CallRequest:
    fields = {name: given[name] for name in ("prompt", "system", "agent_name", "id") if name in given}
    options = {name: value for name, value in given.items() if name not in fields}
    if unknown := sorted(map(str, options.keys() - _OPTIONS)):
        raise _refused(f"a request has unknown fields: {', '.join(unknown)}; see CallOptions for those that there are")
    return CallRequest(**fields, options=cast("CallOptions", options))


def _refused(message: str) -> LLMInvalidRequestError:
    return LLMInvalidRequestError(message, category=ErrorCategory.INVALID_REQUEST)
