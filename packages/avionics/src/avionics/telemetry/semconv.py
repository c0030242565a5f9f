"""Every name that telemetry uses: the one file that spells a `gen_ai.` name.

The GenAI conventions have the status *Development*. This is their profile `classic`: version 1.41.0 of 2026-04-28,
which today's collectors and dashboards read
(https://github.com/open-telemetry/semantic-conventions/tree/v1.41.0/docs/gen-ai).

`error.type`, `server.*` and `http.*` are stable. The cost attributes are proposed, not decided
(open-telemetry/semantic-conventions-genai, pull request 443, August 2026). What begins with `avionics.` is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from airframe.types import FinishReason

__all__ = [
    "AGENT_NAME",
    "ATTEMPT_NUMBER",
    "ATTEMPT_REASON",
    "BACKEND",
    "CALL_ID",
    "CALL_OUTCOME",
    "CANCELLED",
    "CHAT",
    "COST",
    "DURATION_BUCKETS",
    "ERROR_TYPE",
    "FINISH_REASONS",
    "HTTP_RESPONSE_STATUS_CODE",
    "OPERATION_DURATION",
    "OPERATION_NAME",
    "OUTPUT_TYPE",
    "PROVIDER_NAME",
    "REQUEST_FREQUENCY_PENALTY",
    "REQUEST_MAX_TOKENS",
    "REQUEST_MODEL",
    "REQUEST_PRESENCE_PENALTY",
    "REQUEST_REASONING_LEVEL",
    "REQUEST_SEED",
    "REQUEST_STOP_SEQUENCES",
    "REQUEST_STREAM",
    "REQUEST_TEMPERATURE",
    "REQUEST_TOP_K",
    "REQUEST_TOP_P",
    "RESPONSE_FINISH_REASONS",
    "RESPONSE_ID",
    "RESPONSE_MODEL",
    "RESPONSE_TIME_TO_FIRST_CHUNK",
    "SCHEMA_URL",
    "SERVER_ADDRESS",
    "SERVER_PORT",
    "TIME_TO_FIRST_CHUNK",
    "TOKEN_BUCKETS",
    "TOKEN_TYPE",
    "TOKEN_USAGE",
    "UNFINISHED",
    "USAGE_AUDIO_INPUT_TOKENS",
    "USAGE_AUDIO_OUTPUT_TOKENS",
    "USAGE_CACHE_CREATION_TOKENS",
    "USAGE_CACHE_READ_TOKENS",
    "USAGE_CACHE_WRITE_TOKENS",
    "USAGE_COST_AMOUNT",
    "USAGE_COST_CURRENCY",
    "USAGE_COST_SOURCE",
    "USAGE_INPUT_TOKENS",
    "USAGE_OUTPUT_TOKENS",
    "USAGE_REASONING_TOKENS",
    "USAGE_SOURCE",
    "USD",
    "provider_name",
]

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.0"

# Span attributes: what was asked for.
OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
AGENT_NAME: Final = "gen_ai.agent.name"
OUTPUT_TYPE: Final = "gen_ai.output.type"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_TOP_K: Final = "gen_ai.request.top_k"
REQUEST_FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
REQUEST_PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_REASONING_LEVEL: Final = "gen_ai.request.reasoning.level"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

# Span attributes: what came back.
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_CREATION_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
USAGE_CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
"""The newer word for cache creation. Both are set, so every consumer finds its own."""
USAGE_REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
USAGE_AUDIO_INPUT_TOKENS: Final = "gen_ai.usage.audio.input_tokens"
USAGE_AUDIO_OUTPUT_TOKENS: Final = "gen_ai.usage.audio.output_tokens"
USAGE_COST_AMOUNT: Final = "gen_ai.usage.cost.amount"
USAGE_COST_CURRENCY: Final = "gen_ai.usage.cost.currency"
USAGE_COST_SOURCE: Final = "gen_ai.usage.cost.source"
ERROR_TYPE: Final = "error.type"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"

# Span attributes of our own.
CALL_ID: Final = "avionics.call.id"
CALL_OUTCOME: Final = "avionics.call.outcome"
BACKEND: Final = "avionics.backend"
"""The provider by the name that the settings give it; `PROVIDER_NAME` is the name that the conventions give it."""
ATTEMPT_NUMBER: Final = "avionics.attempt.number"
ATTEMPT_REASON: Final = "avionics.attempt.reason"
USAGE_SOURCE: Final = "avionics.usage.source"
"""Who counted: `reported` by the backend, or `estimated` by us; then only the cost is on the span, not the tokens."""

# Metrics, their one attribute of their own, and the bucket boundaries that the conventions advise.
OPERATION_DURATION: Final = "gen_ai.client.operation.duration"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
TOKEN_USAGE: Final = "gen_ai.client.token.usage"
COST: Final = "avionics.cost"
TOKEN_TYPE: Final = "gen_ai.token.type"
DURATION_BUCKETS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKEN_BUCKETS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)

# Values.
CHAT: Final = "chat"
CANCELLED: Final = "cancelled"
USD: Final = "USD"
UNFINISHED: Final = "error"
"""The finish reason of an answer whose end never came."""

FINISH_REASONS: Final[Mapping[FinishReason, str]] = MappingProxyType(
    {reason: reason.value for reason in FinishReason}
    | {FinishReason.TOOL_CALLS: "tool_call", FinishReason.CANCELLED: UNFINISHED}
)

_PROVIDER_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "azure": "azure.ai.openai",
        "bedrock": "aws.bedrock",
        "gemini": "gcp.gemini",
        "llamaserver": "llama_cpp",
        "llama_server": "llama_cpp",
        "lm_studio": "lmstudio",
        "mistral": "mistral_ai",
        "moonshot": "moonshot_ai",
        "vertex": "gcp.vertex_ai",
        "xai": "x_ai",
    }
)


def provider_name(provider: str) -> str:
    """The conventions' name for one of our providers; a provider they do not know keeps its own name."""
    return _PROVIDER_NAMES.get(provider, provider.lower())
