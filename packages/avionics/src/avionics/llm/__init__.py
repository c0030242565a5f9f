"""Calls to models: providers, the gateway over them, and what a call costs."""

from avionics.llm.catalog import ModelRegistry, ModelSpec
from avionics.llm.chat import Chat, ChatStream
from avionics.llm.chat_extensions import ChatExtension, TokenUsage
from avionics.llm.completion_result import CompletionResult
from avionics.llm.completion_stream import CompletionStream
from avionics.llm.conversation import Conversation, ConversationContext
from avionics.llm.cost_calculator import CostCalculator, CostMetrics, get_cost_calculator
from avionics.llm.factory import (
    ProviderFactory,
    create_agent_provider,
    create_agent_provider_with_node_awareness,
    create_llm_provider,
)
from avionics.llm.gateway import LLMGateway
from avionics.llm.llm_factory import LLMFactory
from avionics.llm.nodes import InferenceEndpointsProtocol, NodeProfile
from avionics.llm.provider import CompletionProvider, LLMProvider
from avionics.llm.providers import (
    AnthropicProvider,
    AzureAIFoundryProvider,
    LlamaCppProvider,
    LlamaServerProvider,
    LMStudioProvider,
    LocalGPTOSSProvider,
    MockProvider,
    OllamaProvider,
    OpenAICompatibleProvider,
    OpenAIProvider,
    OpenRouterProvider,
)
from avionics.llm.registry import register_provider
from avionics.llm.responses import LLMResponse, StreamingChunk
from avionics.llm.token_stream import TokenChunk, TokenStream
from avionics.settings import LLMConfig

__all__ = [
    "AnthropicProvider",
    "AzureAIFoundryProvider",
    "Chat",
    "ChatExtension",
    "ChatStream",
    "CompletionProvider",
    "CompletionResult",
    "CompletionStream",
    "Conversation",
    "ConversationContext",
    "CostCalculator",
    "CostMetrics",
    "InferenceEndpointsProtocol",
    "LLMConfig",
    "LLMFactory",
    "LLMGateway",
    "LLMProvider",
    "LLMResponse",
    "LMStudioProvider",
    "LlamaCppProvider",
    "LlamaServerProvider",
    "LocalGPTOSSProvider",
    "MockProvider",
    "ModelRegistry",
    "ModelSpec",
    "NodeProfile",
    "OllamaProvider",
    "OpenAICompatibleProvider",
    "OpenAIProvider",
    "OpenRouterProvider",
    "ProviderFactory",
    "StreamingChunk",
    "TokenChunk",
    "TokenStream",
    "TokenUsage",
    "create_agent_provider",
    "create_agent_provider_with_node_awareness",
    "create_llm_provider",
    "get_cost_calculator",
    "register_provider",
]
