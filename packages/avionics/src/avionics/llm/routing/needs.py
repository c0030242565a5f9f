"""What decides whether a deployment can serve a call: what the request needs, and how and for whom it comes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from airframe.types import AudioPart, FilePart, ImagePart, InferenceRequest, JSONSchemaFormat, Part, ToolResultPart
from avionics.llm.requests import estimate_prompt_tokens

__all__ = ["Circumstances", "Needs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a request asks of a model besides an answer.

    `input_tokens` is our estimate of the texts; `output_tokens` the most that may be said, None where that is open.
    """

    vision: bool = False
    audio: bool = False
    files: bool = False
    tools: bool = False
    structured_output: bool = False
    input_tokens: int = 0
    output_tokens: int | None = None

    @classmethod
    def of(cls, request: InferenceRequest) -> Self:
        """What this request needs. Pure."""
        contents = (message.content for message in request.messages)
        kinds = {kind for content in contents if not isinstance(content, str) for kind in _kinds(content)}
        return cls(
            vision=ImagePart in kinds,
            audio=AudioPart in kinds,
            files=FilePart in kinds,
            tools=bool(request.tools),
            structured_output=isinstance(request.response_format, JSONSchemaFormat),
            input_tokens=estimate_prompt_tokens(request),
            output_tokens=request.max_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """For whom and when a call is made.

    Attributes:
        agent_name: None is the default agent.
        tenant: on whose behalf; None is nobody's.
        tags: labels of the call, for the conditions of deployments.
        now: the time, with a time zone.
        affinity: what calls have in common that should be answered at the same place: a session, or the beginning of
            their prompts. None has nothing in common with any.
    """

    agent_name: str | None = None
    tenant: str | None = None
    tags: frozenset[str] = frozenset()
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    affinity: str | None = None


def _kinds(parts: Iterable[Part]) -> Iterable[type[Part]]:
    for part in parts:
        if isinstance(part, ToolResultPart) and not isinstance(part.content, str):
            yield from _kinds(part.content)
        yield type(part)
