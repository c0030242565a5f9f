"""Wire formats, without any I/O: bytes and values in, bytes and values out."""

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
