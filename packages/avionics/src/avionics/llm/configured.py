"""A request with what the settings say where the caller said nothing. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airframe.types import InferenceRequest, Message, ReasoningOptions
from avionics.settings import LLMConfig

__all__ = ["configured"]

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
    stated = {name: getattr(config, name) for name in _SAMPLING if getattr(request, name) is None}
    changes: dict[str, Any] = {name: value for name, value in stated.items() if value is not None}
    if config.stop and not request.stop:
        changes["stop"] = config.stop
    if config.reasoning and request.reasoning is None:
        changes["reasoning"] = ReasoningOptions(**config.reasoning.model_dump())
    if config.system and not any(message.role in {"system", "developer"} for message in request.messages):
        changes["messages"] = [Message("system", config.system), *request.messages]
    return replace(request, **changes) if changes else request
