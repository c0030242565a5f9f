"""Calls to models: providers, the gateway over them, and what a call costs."""

from typing import TYPE_CHECKING

from avionics._lazy_names import loader

if TYPE_CHECKING:
    from avionics.llm.batch import BatchProgress, BatchResult, CallMap, CallRequest
    from avionics.llm.call_options import CallOptions
    from avionics.llm.catalog import ModelRegistry, ModelSpec
    from avionics.llm.chat import Chat, ChatStream
    from avionics.llm.chat_extensions import ChatExtension, TokenUsage
    from avionics.llm.completion_result import CompletionResult
    from avionics.llm.completion_stream import CompletionStream
    from avionics.llm.conversation import Conversation, ConversationContext
    from avionics.llm.cost_calculator import CostCalculator, CostMetrics, get_cost_calculator
    from avionics.llm.explanation import Explanation
    from avionics.llm.factory import (
        ProviderFactory,
        create_agent_provider,
        create_agent_provider_with_node_awareness,
        create_llm_provider,
    )
    from avionics.llm.gateway import LLMGateway
    from avionics.llm.limits import Limiter
    from avionics.llm.llm_factory import LLMFactory
    from avionics.llm.middleware import Middleware
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
    from avionics.llm.stats import GatewayStats
    from avionics.llm.token_stream import TokenChunk, TokenStream
    from avionics.settings import LLMConfig
else:
    __getattr__ = loader(
        __name__,
        {
            "avionics.llm.batch": ("BatchProgress", "BatchResult", "CallMap", "CallRequest"),
            "avionics.llm.call_options": ("CallOptions",),
            "avionics.llm.catalog": ("ModelRegistry", "ModelSpec"),
            "avionics.llm.chat": ("Chat", "ChatStream"),
            "avionics.llm.chat_extensions": ("ChatExtension", "TokenUsage"),
            "avionics.llm.completion_result": ("CompletionResult",),
            "avionics.llm.completion_stream": ("CompletionStream",),
            "avionics.llm.conversation": ("Conversation", "ConversationContext"),
            "avionics.llm.cost_calculator": ("CostCalculator", "CostMetrics", "get_cost_calculator"),
            "avionics.llm.explanation": ("Explanation",),
            "avionics.llm.factory": (
                "ProviderFactory",
                "create_agent_provider",
                "create_agent_provider_with_node_awareness",
                "create_llm_provider",
            ),
            "avionics.llm.gateway": ("LLMGateway",),
            "avionics.llm.limits": ("Limiter",),
            "avionics.llm.llm_factory": ("LLMFactory",),
            "avionics.llm.middleware": ("Middleware",),
            "avionics.llm.nodes": ("InferenceEndpointsProtocol", "NodeProfile"),
            "avionics.llm.provider": ("CompletionProvider", "LLMProvider"),
            "avionics.llm.providers": (
                "AnthropicProvider",
                "AzureAIFoundryProvider",
                "LlamaCppProvider",
                "LlamaServerProvider",
                "LMStudioProvider",
                "LocalGPTOSSProvider",
                "MockProvider",
                "OllamaProvider",
                "OpenAICompatibleProvider",
                "OpenAIProvider",
                "OpenRouterProvider",
            ),
            "avionics.llm.registry": ("register_provider",),
            "avionics.llm.responses": ("LLMResponse", "StreamingChunk"),
            "avionics.llm.stats": ("GatewayStats",),
            "avionics.llm.token_stream": ("TokenChunk", "TokenStream"),
            "avionics.settings": ("LLMConfig",),
        },
    )

__all__ = [
    "AnthropicProvider",
    "AzureAIFoundryProvider",
    "BatchProgress",
    "BatchResult",
    "CallMap",
    "CallOptions",
    "CallRequest",
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
    "Explanation",
    "GatewayStats",
    "InferenceEndpointsProtocol",
    "LLMConfig",
    "LLMFactory",
    "LLMGateway",
    "LLMProvider",
    "LLMResponse",
    "LMStudioProvider",
    "Limiter",
    "LlamaCppProvider",
    "LlamaServerProvider",
    "LocalGPTOSSProvider",
    "Middleware",
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


def __dir__() -> list[str]:
    return sorted(__all__)
