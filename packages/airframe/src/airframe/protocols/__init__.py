"""Wire formats, without any I/O: bytes and values in, bytes and values out."""

from typing import TYPE_CHECKING

from airframe._lazy_names import loader

if TYPE_CHECKING:
    from airframe.protocols.anthropic_messages import AnthropicMessagesProtocol
    from airframe.protocols.azure_dialects import AZURE, AZURE_RESPONSES
    from airframe.protocols.chat_dialect import COMPATIBLE, LLAMA_SERVER, OPENAI, ChatDialect
    from airframe.protocols.llama_completion import LlamaCompletionProtocol
    from airframe.protocols.llama_cpp_python import LLAMA_CPP_PYTHON, LlamaCppPythonProtocol
    from airframe.protocols.local_dialects import LM_STUDIO, MLX
    from airframe.protocols.ollama_chat import OllamaChatProtocol
    from airframe.protocols.openai_chat import OpenAIChatProtocol
    from airframe.protocols.openai_responses import OpenAIResponsesProtocol
    from airframe.protocols.openrouter_dialects import OPENROUTER, OPENROUTER_RESPONSES
    from airframe.protocols.protocol import Protocol, StreamDecoder, WireRequest
    from airframe.protocols.responses_dialect import COMPATIBLE_RESPONSES, OPENAI_RESPONSES, ResponsesDialect
else:
    __getattr__ = loader(
        __name__,
        {
            "airframe.protocols.anthropic_messages": ("AnthropicMessagesProtocol",),
            "airframe.protocols.azure_dialects": ("AZURE", "AZURE_RESPONSES"),
            "airframe.protocols.chat_dialect": ("COMPATIBLE", "LLAMA_SERVER", "OPENAI", "ChatDialect"),
            "airframe.protocols.llama_completion": ("LlamaCompletionProtocol",),
            "airframe.protocols.llama_cpp_python": ("LLAMA_CPP_PYTHON", "LlamaCppPythonProtocol"),
            "airframe.protocols.local_dialects": ("LM_STUDIO", "MLX"),
            "airframe.protocols.ollama_chat": ("OllamaChatProtocol",),
            "airframe.protocols.openai_chat": ("OpenAIChatProtocol",),
            "airframe.protocols.openai_responses": ("OpenAIResponsesProtocol",),
            "airframe.protocols.openrouter_dialects": ("OPENROUTER", "OPENROUTER_RESPONSES"),
            "airframe.protocols.protocol": ("Protocol", "StreamDecoder", "WireRequest"),
            "airframe.protocols.responses_dialect": ("COMPATIBLE_RESPONSES", "OPENAI_RESPONSES", "ResponsesDialect"),
        },
    )

__all__ = [
    "AZURE",
    "AZURE_RESPONSES",
    "COMPATIBLE",
    "COMPATIBLE_RESPONSES",
    "LLAMA_CPP_PYTHON",
    "LLAMA_SERVER",
    "LM_STUDIO",
    "MLX",
    "OPENAI",
    "OPENAI_RESPONSES",
    "OPENROUTER",
    "OPENROUTER_RESPONSES",
    "AnthropicMessagesProtocol",
    "ChatDialect",
    "LlamaCompletionProtocol",
    "LlamaCppPythonProtocol",
    "OllamaChatProtocol",
    "OpenAIChatProtocol",
    "OpenAIResponsesProtocol",
    "Protocol",
    "ResponsesDialect",
    "StreamDecoder",
    "WireRequest",
]


def __dir__() -> list[str]:
    return sorted(__all__)
