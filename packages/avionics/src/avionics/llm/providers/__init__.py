"""The providers that avionics brings, one file for each."""

from typing import TYPE_CHECKING

from avionics._lazy_names import loader

if TYPE_CHECKING:
    from avionics.llm.providers.anthropic import AnthropicProvider
    from avionics.llm.providers.azure import AzureAIFoundryProvider
    from avionics.llm.providers.gpt_oss import LocalGPTOSSProvider
    from avionics.llm.providers.llama_cpp import LlamaCppProvider
    from avionics.llm.providers.llama_server import LlamaServerProvider
    from avionics.llm.providers.lm_studio import LMStudioProvider
    from avionics.llm.providers.mock import MockProvider
    from avionics.llm.providers.ollama import OllamaProvider
    from avionics.llm.providers.openai import OpenAIProvider
    from avionics.llm.providers.openai_compatible import OpenAICompatibleProvider
    from avionics.llm.providers.openrouter import OpenRouterProvider
else:
    __getattr__ = loader(
        __name__,
        {
            "avionics.llm.providers.anthropic": ("AnthropicProvider",),
            "avionics.llm.providers.azure": ("AzureAIFoundryProvider",),
            "avionics.llm.providers.gpt_oss": ("LocalGPTOSSProvider",),
            "avionics.llm.providers.llama_cpp": ("LlamaCppProvider",),
            "avionics.llm.providers.llama_server": ("LlamaServerProvider",),
            "avionics.llm.providers.lm_studio": ("LMStudioProvider",),
            "avionics.llm.providers.mock": ("MockProvider",),
            "avionics.llm.providers.ollama": ("OllamaProvider",),
            "avionics.llm.providers.openai": ("OpenAIProvider",),
            "avionics.llm.providers.openai_compatible": ("OpenAICompatibleProvider",),
            "avionics.llm.providers.openrouter": ("OpenRouterProvider",),
        },
    )

__all__ = [
    "AnthropicProvider",
    "AzureAIFoundryProvider",
    "LMStudioProvider",
    "LlamaCppProvider",
    "LlamaServerProvider",
    "LocalGPTOSSProvider",
    "MockProvider",
    "OllamaProvider",
    "OpenAICompatibleProvider",
    "OpenAIProvider",
    "OpenRouterProvider",
]


def __dir__() -> list[str]:
    return sorted(__all__)
