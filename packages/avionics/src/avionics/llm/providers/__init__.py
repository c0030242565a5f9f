"""The providers that avionics brings, one file for each."""

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
