"""Whether a deployment can serve a call at all. Pure; what is unknown of a model is no reason against it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from avionics.llm.catalog.model_spec import ModelSpec
from avionics.llm.routing.deployment import Conditions, Deployment
from avionics.llm.routing.needs import Circumstances, Needs

__all__ = ["why_not"]

_SURELY = 1.5
"""By how much our estimate has to pass the window before a deployment is passed over: below, the backend decides, which
counts. The catalog refuses requests from the same size on."""


def why_not(deployment: Deployment, needs: Needs, circumstances: Circumstances, spec: ModelSpec | None) -> str | None:
    """In words, the first reason for which the deployment is not asked; None when there is none."""
    reasons = (*_unmet(deployment.when, needs, circumstances), *(_lacks(spec, needs) if spec else ()))
    return next(iter(reasons), None)


def _unmet(when: Conditions, needs: Needs, circumstances: Circumstances) -> Iterator[str]:
    if missing := when.tags - circumstances.tags:
        yield f"it is for calls with the tag {_listed(missing)}"
    if when.tenants and circumstances.tenant not in when.tenants:
        yield f"it is for the tenants {_listed(when.tenants)}"
    if when.between and not _is_between(when, circumstances.now):
        start, end = when.between
        yield f"it is asked between {start:%H:%M} and {end:%H:%M} {when.timezone}"
    if when.min_input_tokens is not None and needs.input_tokens < when.min_input_tokens:
        yield f"it is for prompts of at least {when.min_input_tokens} tokens, and this is about {needs.input_tokens}"
    if when.max_input_tokens is not None and needs.input_tokens > when.max_input_tokens:
        yield f"it is for prompts of at most {when.max_input_tokens} tokens, and this is about {needs.input_tokens}"


def _lacks(spec: ModelSpec, needs: Needs) -> Iterator[str]:
    if spec.operation != "chat":
        yield f"{spec.name} answers no chat"
    if needs.vision and spec.supports("vision") is False:
        yield f"{spec.name} does not read images"
    if needs.audio and spec.supports("audio") is False:
        yield f"{spec.name} does not read sound"
    if needs.files and spec.input_modalities is not None and "file" not in spec.input_modalities:
        yield f"{spec.name} does not read files"
    if needs.tools and spec.supports("tools") is False:
        yield f"{spec.name} cannot call tools"
    if needs.structured_output and spec.supports("structured_output") is False:
        yield f"{spec.name} cannot be held to a JSON schema"
    if spec.context_window is not None and needs.input_tokens > spec.context_window * _SURELY:
        yield f"the prompt is about {needs.input_tokens} tokens, and {spec.name} has a window of {spec.context_window}"


def _is_between(when: Conditions, now: datetime) -> bool:
    assert when.between is not None
    start, end = when.between
    zone = UTC if when.timezone == "UTC" else ZoneInfo(when.timezone)  # UTC is known without a database
    there = now.astimezone(zone).time()
    return start <= there < end if start <= end else there >= start or there < end


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
