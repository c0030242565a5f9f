"""OpenAI, by chat completions or by Responses."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import override

from airframe.endpoints import BackendKind
from avionics.llm.provider import LLMProvider
from avionics.settings.providers import OpenAISettings, ProviderSettings

__all__ = ["OpenAIProvider"]


class OpenAIProvider(LLMProvider):
    """OpenAI, or who stands at its `base_url`. `options.api_type` chooses between its two wire formats."""

    name = "openai"
    kind = "openai"

    @override
    @classmethod
    def dialect(cls, described: ProviderSettings) -> tuple[str, Mapping[str, object]]:
        """Each format has an adapter of its own."""
        responses = isinstance(described, OpenAISettings) and described.options.api_type == "responses"
        return BackendKind.OPENAI_RESPONSES if responses else BackendKind.OPENAI, {}
