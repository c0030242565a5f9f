"""Adapters: one for each kind of backend."""

from typing import TYPE_CHECKING

from airframe._lazy_names import loader

if TYPE_CHECKING:
    from airframe.adapters.adapter import Adapter
    from airframe.adapters.anthropic import AnthropicAdapter
    from airframe.adapters.azure import AzureOpenAIAdapter
    from airframe.adapters.http_adapter import HttpAdapter
    from airframe.adapters.llama_cpp import LlamaCppAdapter
    from airframe.adapters.llama_cpp_python import LlamaCppPythonAdapter
    from airframe.adapters.llama_server import LlamaServerAdapter
    from airframe.adapters.lm_studio import LMStudioAdapter
    from airframe.adapters.mlx import MLXAdapter
    from airframe.adapters.ollama import OllamaAdapter
    from airframe.adapters.openai_chat import OpenAIChatAdapter, OpenAICompatibleAdapter
    from airframe.adapters.openai_responses import OpenAIResponsesAdapter
    from airframe.adapters.openrouter import OpenRouterAdapter
    from airframe.adapters.provider_preferences import ProviderPreferences
else:
    __getattr__ = loader(
        __name__,
        {
            "airframe.adapters.adapter": ("Adapter",),
            "airframe.adapters.anthropic": ("AnthropicAdapter",),
            "airframe.adapters.azure": ("AzureOpenAIAdapter",),
            "airframe.adapters.http_adapter": ("HttpAdapter",),
            "airframe.adapters.llama_cpp": ("LlamaCppAdapter",),
            "airframe.adapters.llama_cpp_python": ("LlamaCppPythonAdapter",),
            "airframe.adapters.llama_server": ("LlamaServerAdapter",),
            "airframe.adapters.lm_studio": ("LMStudioAdapter",),
            "airframe.adapters.mlx": ("MLXAdapter",),
            "airframe.adapters.ollama": ("OllamaAdapter",),
            "airframe.adapters.openai_chat": ("OpenAIChatAdapter", "OpenAICompatibleAdapter"),
            "airframe.adapters.openai_responses": ("OpenAIResponsesAdapter",),
            "airframe.adapters.openrouter": ("OpenRouterAdapter",),
            "airframe.adapters.provider_preferences": ("ProviderPreferences",),
        },
    )

__all__ = [
    "Adapter",
    "AnthropicAdapter",
    "AzureOpenAIAdapter",
    "HttpAdapter",
    "LMStudioAdapter",
    "LlamaCppAdapter",
    "LlamaCppPythonAdapter",
    "LlamaServerAdapter",
    "MLXAdapter",
    "OllamaAdapter",
    "OpenAIChatAdapter",
    "OpenAICompatibleAdapter",
    "OpenAIResponsesAdapter",
    "OpenRouterAdapter",
    "ProviderPreferences",
]


def __dir__() -> list[str]:
    return sorted(__all__)
