"""Every name that telemetry uses: the one file that spells a `gen_ai.` name.

The GenAI conventions have the status *Development*. There are two profiles of them in the field:

- `classic`: version 1.41.0 of 2026-04-28, which today's collectors and dashboards read
  (https://github.com/open-telemetry/semantic-conventions/tree/v1.41.0/docs/gen-ai);
- `latest`: the repository that they moved to, as of autumn 2026
  (https://github.com/open-telemetry/semantic-conventions-genai). Spans are nearly the same, metrics are not.

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
    "CACHE_RESULT",
    "CACHE_SAVED",
    "CALL_ID",
    "CALL_OUTCOME",
    "CANCELLED",
    "CHAT",
    "CONVERSATION_ID",
    "COST",
    "DEPLOYMENT",
    "DETAILS_EVENT",
    "DURATION_BUCKETS",
    "ERROR_TYPE",
    "EXCEPTION_EVENT",
    "EXCEPTION_MESSAGE",
    "EXCEPTION_TYPE",
    "FINISH_REASONS",
    "HTTP_RESPONSE_STATUS_CODE",
    "INFERENCE_DURATION",
    "INFERENCE_INPUT_TOKENS",
    "INFERENCE_OUTPUT_TOKENS",
    "INFERENCE_TIME_PER_OUTPUT_CHUNK",
    "INFERENCE_TIME_TO_FIRST_CHUNK",
    "INPUT_MESSAGES",
    "OPENAI_REQUEST_SERVICE_TIER",
    "OPENAI_RESPONSE_SERVICE_TIER",
    "OPERATION_DURATION",
    "OPERATION_NAME",
    "OUTPUT_MESSAGES",
    "OUTPUT_TYPE",
    "PROVIDER_NAME",
    "REQUEST_FREQUENCY_PENALTY",
    "REQUEST_MAX_TOKENS",
    "REQUEST_MODEL",
    "REQUEST_PRESENCE_PENALTY",
    "REQUEST_PREVIOUS_RESPONSE_ID",
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
    "ROUTE",
    "SCHEMA_URL",
    "SERVER_ADDRESS",
    "SERVER_PORT",
    "SESSION_ID",
    "SPAN_EXCEPTION_EVENT",
    "SYSTEM_INSTRUCTIONS",
    "TENANT",
    "TIME_PER_OUTPUT_CHUNK",
    "TIME_TO_FIRST_CHUNK",
    "TOKEN_BUCKETS",
    "TOKEN_MODALITY",
    "TOKEN_TYPE",
    "TOKEN_USAGE",
    "TOOL_DEFINITIONS",
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
    "USED_CACHE_READ_TOKENS",
    "USED_CACHE_WRITE_TOKENS",
    "USED_INPUT_TOKENS",
    "USED_OUTPUT_TOKENS",
    "USED_REASONING_TOKENS",
    "VARIANT",
    "provider_name",
]

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.0"
"""That of `classic`; `latest` has none yet."""

# Span attributes: what was asked for.
OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
AGENT_NAME: Final = "gen_ai.agent.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
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
REQUEST_PREVIOUS_RESPONSE_ID: Final = "gen_ai.request.previous_response.id"
OPENAI_REQUEST_SERVICE_TIER: Final = "openai.request.service_tier"
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
"""The newer word for cache creation. `classic` sets both, so every consumer finds its own."""
USAGE_REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
USAGE_AUDIO_INPUT_TOKENS: Final = "gen_ai.usage.audio.input_tokens"
USAGE_AUDIO_OUTPUT_TOKENS: Final = "gen_ai.usage.audio.output_tokens"
USAGE_COST_AMOUNT: Final = "gen_ai.usage.cost.amount"
USAGE_COST_CURRENCY: Final = "gen_ai.usage.cost.currency"
USAGE_COST_SOURCE: Final = "gen_ai.usage.cost.source"
ERROR_TYPE: Final = "error.type"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
OPENAI_RESPONSE_SERVICE_TIER: Final = "openai.response.service_tier"

# What was said: on spans as JSON, on events as it is. Only where somebody asked for it.
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"

# Events, and what an exception is told with.
DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"
EXCEPTION_EVENT: Final = "gen_ai.client.operation.exception"
SPAN_EXCEPTION_EVENT: Final = "exception"
"""The older way: an event of the span (`classic`)."""
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"

# Span attributes of our own.
CALL_ID: Final = "avionics.call.id"
CALL_OUTCOME: Final = "avionics.call.outcome"
TENANT: Final = "avionics.tenant"
ROUTE: Final = "avionics.route"
"""The providers that might be asked, in order."""
SESSION_ID: Final = "avionics.session.id"
VARIANT: Final = "avionics.experiment.variant"
"""As `experiment/variant`."""
DEPLOYMENT: Final = "avionics.deployment"
CACHE_RESULT: Final = "avionics.cache.result"
"""Of our response cache: `hit` or `miss`."""
CACHE_SAVED: Final = "avionics.cache.saved"
"""What the answer of a hit had cost, in USD."""
BACKEND: Final = "avionics.backend"
"""The provider by the name that the settings give it; `PROVIDER_NAME` is the name that the conventions give it."""
ATTEMPT_NUMBER: Final = "avionics.attempt.number"
ATTEMPT_REASON: Final = "avionics.attempt.reason"
USAGE_SOURCE: Final = "avionics.usage.source"
"""Who counted: `reported` by the backend, or `estimated` by us; then only the cost is on the span, not the tokens."""

# Metrics of `classic`, and their one attribute of their own.
OPERATION_DURATION: Final = "gen_ai.client.operation.duration"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
TIME_PER_OUTPUT_CHUNK: Final = "gen_ai.client.operation.time_per_output_chunk"
TOKEN_USAGE: Final = "gen_ai.client.token.usage"
TOKEN_TYPE: Final = "gen_ai.token.type"

# Metrics of `latest`, and their one attribute of their own.
INFERENCE_DURATION: Final = "gen_ai.client.inference.duration"
INFERENCE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.inference.time_to_first_chunk"
INFERENCE_TIME_PER_OUTPUT_CHUNK: Final = "gen_ai.client.inference.time_per_output_chunk"
INFERENCE_INPUT_TOKENS: Final = "gen_ai.client.inference.operation.input_tokens"
INFERENCE_OUTPUT_TOKENS: Final = "gen_ai.client.inference.operation.output_tokens"
USED_INPUT_TOKENS: Final = "gen_ai.client.inference.usage.input_tokens"
USED_OUTPUT_TOKENS: Final = "gen_ai.client.inference.usage.output_tokens"
USED_CACHE_READ_TOKENS: Final = "gen_ai.client.inference.usage.cache_read.input_tokens"
USED_CACHE_WRITE_TOKENS: Final = "gen_ai.client.inference.usage.cache_write.input_tokens"
USED_REASONING_TOKENS: Final = "gen_ai.client.inference.usage.reasoning.output_tokens"
TOKEN_MODALITY: Final = "gen_ai.token.modality"

# A metric of our own, and the bucket boundaries that the conventions advise.
COST: Final = "avionics.cost"
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
        "anthropic": "anthropic",
        "azure": "azure.ai.openai",
        "bedrock": "aws.bedrock",
        "gemini": "gcp.gemini",
        "llama_cpp": "llama_cpp",
        "llama_cpp_python": "llama_cpp",
        "llama_server": "llama_cpp",
        "llamaserver": "llama_cpp",
        "lm_studio": "lmstudio",
        "mistral": "mistral_ai",
        "moonshot": "moonshot_ai",
        "ollama": "ollama",
        "openai": "openai",
        "openai_responses": "openai",
        "openrouter": "openrouter",
        "vertex": "gcp.vertex_ai",
        "xai": "x_ai",
    }
)


def provider_name(provider: str, kind: str | None = None) -> str:
    """The conventions' name for a provider, or for its kind of backend; one that they do not know keeps its own."""
    return _PROVIDER_NAMES.get(provider) or _PROVIDER_NAMES.get(kind or "") or provider.lower()
