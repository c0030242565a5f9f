"""llama.cpp's server, on one's own hardware."""

from __future__ import annotations

from types import MappingProxyType
from typing import Self

from typing_extensions import override

from avionics.llm.provider import LLMProvider
from avionics.settings import Settings
from avionics.settings.providers import LlamaServerSettings

__all__ = ["LlamaServerProvider"]

_NATIVE_OPTIONS = MappingProxyType({"top_k": 40, "repeat_penalty": 1.1})


class LlamaServerProvider(LLMProvider):
    """A llama.cpp server. With the native API, `generate` also takes `top_k` and `repeat_penalty`."""

    name = "llamaserver"
    kind = "llama_server"
    continues_answers = True

    @override
    @classmethod
    def from_settings(cls, settings: Settings, name: str | None = None, agent_name: str | None = None) -> Self:
        provider = super().from_settings(settings, name, agent_name)
        described = settings.provider(provider.name)
        if isinstance(described, LlamaServerSettings) and described.options.api_type == "native":
            provider.default_options = MappingProxyType({**cls.default_options, **_NATIVE_OPTIONS})
        return provider
