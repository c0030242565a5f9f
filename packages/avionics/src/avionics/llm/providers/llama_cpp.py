"""llama.cpp in this process."""

from __future__ import annotations

from typing_extensions import override

from avionics.errors import ConfigurationError
from avionics.llm.construction import missing_setting
from avionics.llm.provider import LLMProvider
from avionics.settings.providers import LlamaCppSettings, ProviderSettings

__all__ = ["LlamaCppProvider"]


class LlamaCppProvider(LLMProvider):
    """A model in this process, from its GGUF file. It is loaded by the first call, and unloaded by `close`."""

    name = "llamacpp"
    kind = "llama_cpp"
    continues_answers = True

    @override
    @classmethod
    def base_url(cls, name: str, described: ProviderSettings) -> str:
        """The file, as a URL."""
        path = described.model_path if isinstance(described, LlamaCppSettings) else None
        if path is None:
            raise ConfigurationError(missing_setting(name, "model_path", "the GGUF file of a model"))
        return path.expanduser().resolve().as_uri()
