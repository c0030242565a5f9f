"""Adapters: one for each kind of backend."""

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
from airframe.adapters.openrouter import OpenRouterAdapter, ProviderPreferences

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
