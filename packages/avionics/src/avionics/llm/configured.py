"""A request with what the settings say where the caller said nothing. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airframe.types import InferenceRequest, Message, ReasoningOptions
from avionics.settings import LLMConfig

__all__ = ["configured", "configured_for"]

_SAMPLING = (
    "temperature",
    "max_tokens",
    "top_p",
    "top_k",
    "min_p",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
)


def configured(request: InferenceRequest, config: LLMConfig) -> InferenceRequest:
    """`request` with the fields that it leaves open taken from `config`."""
    return configured_for(request, config, request.model)


def configured_for(request: InferenceRequest, config: LLMConfig, model: str | None) -> InferenceRequest:
    """The same, to `model`; None leaves the choice to the server."""
    changes: dict[str, Any] = {
        name: value
        for name in _SAMPLING
        if (value := getattr(config, name)) is not None and getattr(request, name) is None
    }
    if model != request.model:
        changes["model"] = model
    if config.stop and not request.stop:
        changes["stop"] = config.stop
    if config.reasoning and request.reasoning is None:
        changes["reasoning"] = ReasoningOptions(**config.reasoning.model_dump())
    if config.system and not any(message.role in {"system", "developer"} for message in request.messages):
        changes["messages"] = [Message("system", config.system), *request.messages]
    return replace(request, **changes) if changes else request
