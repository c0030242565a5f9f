"""How servers that speak OpenAI's chat completions differ, as data.

A new compatible server is a new `ChatDialect`, not a new branch in the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import cast

from airframe.errors import ErrorCategory
from airframe.protocols.backend_error import ErrorTable, Phrase
from airframe.protocols.reading import JSONDict
from airframe.types.messages import CacheHint

__all__ = ["COMPATIBLE", "LLAMA_SERVER", "OPENAI", "CacheMark", "ChatDialect"]

_C = ErrorCategory

_COMMON_FIELDS = {
    name: name
    for name in (
        "temperature",
        "top_p",
        "presence_penalty",
        "frequency_penalty",
        "seed",
        "logprobs",
        "top_logprobs",
        "parallel_tool_calls",
        "user",
    )
}

# developers.openai.com error codes, and recorded answers (read 2026-11-20).
OPENAI_CODES: Mapping[str, ErrorCategory] = MappingProxyType(
    {
        "invalid_api_key": _C.AUTH,
        "authentication_error": _C.AUTH,
        "unsupported_country_region_territory": _C.PERMISSION,
        "permission_error": _C.PERMISSION,
        "insufficient_quota": _C.BILLING,
        "credit_balance_exhausted": _C.BILLING,
        "billing_hard_limit_reached": _C.BILLING,
        "billing_not_active": _C.BILLING,
        "rate_limit_exceeded": _C.RATE_LIMIT,
        "slow_down": _C.RATE_LIMIT,
        "server_is_overloaded": _C.OVERLOADED,
        "overloaded_error": _C.OVERLOADED,
        "context_length_exceeded": _C.CONTEXT_LENGTH,
        "string_above_max_length": _C.CONTEXT_LENGTH,
        "content_filter": _C.CONTENT_FILTER,
        "content_policy_violation": _C.CONTENT_FILTER,
        "moderation_blocked": _C.CONTENT_FILTER,
        "invalid_prompt": _C.CONTENT_FILTER,
        "bio_policy": _C.CONTENT_FILTER,
        "misalignment_policy_violation": _C.CONTENT_FILTER,
        "image_content_policy_violation": _C.CONTENT_FILTER,
        "model_not_found": _C.NOT_FOUND,
        "not_found": _C.NOT_FOUND,
        "not_found_error": _C.NOT_FOUND,
        "unsupported_parameter": _C.UNSUPPORTED,
        "unsupported_value": _C.UNSUPPORTED,
        "unknown_parameter": _C.UNSUPPORTED,
        "invalid_function_parameters": _C.INVALID_REQUEST,
        "missing_required_parameter": _C.INVALID_REQUEST,
        "invalid_type": _C.INVALID_REQUEST,
        "empty_string": _C.INVALID_REQUEST,
        "integer_below_min_value": _C.INVALID_REQUEST,
        "server_error": _C.SERVER,
        "vector_store_timeout": _C.SERVER,
    }
)

OPENAI_ERRORS = ErrorTable(
    codes=OPENAI_CODES,
    phrases=(
        Phrase("request too large for", _C.CONTEXT_LENGTH, "OpenAI 429, recorded: never succeeds on retry"),
        Phrase(
            "function tools with reasoning_effort are not supported",
            _C.UNSUPPORTED,
            "OpenAI 400 without a code",
            statuses=frozenset({400}),
        ),
        Phrase("not supported with this model", _C.UNSUPPORTED, "OpenAI 400 without a code, recorded"),
        Phrase("is not supported in this model", _C.UNSUPPORTED, "OpenAI 404 for tools, recorded"),
    ),
)

_BAD_REQUEST = frozenset({400})

# What servers that only resemble OpenAI say in words; each phrase with the server it was recorded from.
COMPATIBLE_ERRORS = ErrorTable(
    codes=MappingProxyType(
        {
            **OPENAI_CODES,
            "invalid_model": _C.NOT_FOUND,  # Mistral 400
            "tool_use_failed": _C.SERVER,  # Groq 400, also inside streams: the model's mistake, and another try may do
        }
    ),
    phrases=(
        *OPENAI_ERRORS.phrases,
        Phrase("maximum context length is", _C.CONTEXT_LENGTH, "vLLM, OpenRouter 400"),
        Phrase("does not fit in context length", _C.CONTEXT_LENGTH, "LM Studio 0.4.21"),
        Phrase("cannot truncate prompt with n_keep", _C.CONTEXT_LENGTH, "LM Studio"),
        Phrase("greater than the context length (n_keep", _C.CONTEXT_LENGTH, "LM Studio"),
        Phrase("context size has been exceeded", _C.CONTEXT_LENGTH, "LM Studio, llama-server"),
        Phrase("exceeds the available context size", _C.CONTEXT_LENGTH, "llama-server behind LiteLLM, 400"),
        Phrase("unexpected endpoint or method", _C.UNSUPPORTED, "LM Studio, 200 on unknown paths"),
        Phrase("does not support", _C.UNSUPPORTED, "Ollama, DeepSeek 400", statuses=_BAD_REQUEST),
        Phrase("is not a multimodal model", _C.UNSUPPORTED, "vLLM 400"),
        Phrase("image input is not supported", _C.UNSUPPORTED, "llama-server behind LiteLLM, 500"),
        Phrase("incorrect api key", _C.AUTH, "xAI 400", statuses=_BAD_REQUEST),
        Phrase("model not found", _C.NOT_FOUND, "xAI 400", statuses=_BAD_REQUEST),
        Phrase("invalid model name", _C.NOT_FOUND, "LiteLLM 400", statuses=_BAD_REQUEST),
        Phrase("server is pinned to", _C.NOT_FOUND, "transformers serve 400", statuses=_BAD_REQUEST),
        Phrase("invalid json schema in format", _C.INVALID_REQUEST, "Ollama 500"),
        Phrase("validation error", _C.INVALID_REQUEST, "llama-cpp-python's server, 500", statuses=frozenset({500})),
    ),
)

# llama.cpp 0c1e570, recorded 2026-11-20.
LLAMA_ERRORS = ErrorTable(
    codes=MappingProxyType(
        {
            "exceed_context_size_error": _C.CONTEXT_LENGTH,
            "unavailable_error": _C.OVERLOADED,
            "authentication_error": _C.AUTH,
            "permission_error": _C.PERMISSION,
            "not_found_error": _C.NOT_FOUND,
            "not_supported_error": _C.UNSUPPORTED,
            "invalid_request_error": _C.INVALID_REQUEST,
            "server_error": _C.SERVER,
        }
    ),
    phrases=(
        Phrase("loading model", _C.LOADING, "503 while the model is read"),
        Phrase("context size has been exceeded", _C.CONTEXT_LENGTH, "500, and inside streams"),
        Phrase("parse_error", _C.INVALID_REQUEST, "500 for a body that is no JSON"),
        Phrase("cannot use both json_schema and grammar", _C.INVALID_REQUEST, "500"),
        Phrase("image input is not supported", _C.UNSUPPORTED, "500 without a multimodal projector"),
        Phrase("requires --jinja", _C.UNSUPPORTED, "500 for tools"),
        Phrase("model limit reached", _C.OVERLOADED, "router, 500"),
        Phrase("' not found", _C.NOT_FOUND, "router, 400 for an unknown model", statuses=frozenset({400})),
    ),
)


@dataclass(frozen=True, slots=True)
class CacheMark:
    """How a part of a message is marked as the end of a prefix that is worth caching.

    `name` and `value` are the field that the part gets; its `ttl` is stated where `ttls` knows the time.
    """

    name: str
    value: Mapping[str, str]
    ttls: frozenset[str]

    def put(self, message: JSONDict, hint: CacheHint, *, text_type: str = "text") -> bool:
        """Mark the last part of `message`; False when it has none. A plain text becomes a part of `text_type`."""
        content = message.get("content")
        if not content:
            return False
        parts = (
            [JSONDict(type=text_type, text=content)] if isinstance(content, str) else cast("list[JSONDict]", content)
        )
        value = {**self.value, "ttl": hint} if hint in self.ttls else dict(self.value)
        message["content"] = [*parts[:-1], parts[-1] | {self.name: value}]
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatDialect:
    """One server's way of speaking chat completions.

    Attributes:
        name: notes whose reasoning it is, and stands in warnings.
        fields: fields of `InferenceRequest` that go into the body as they are -> their names there.
        max_tokens: the body's name for the longest answer.
        developer_role: whether the role `developer` is known; else it becomes `system`.
        reasoning_field: under which an assistant's reasoning is sent back; None where it is not wanted.
        reasoning_details: whether reasoning is asked for by an object `reasoning`, and comes as `reasoning_details`,
            which go back unchanged.
        thinking_switch: whether `chat_template_kwargs.enable_thinking` turns reasoning on and off.
        effort_in_template: whether the reasoning effort goes to the chat template too, and not into the body.
        ignored: fields that the server takes and does not heed: `tool_choice`, `response_format`.
        named_tool_choice: whether one tool can be demanded by its name; else it is the only one offered, and required.
        json_object: whether `response_format` may be `json_object`; else JSON is asked for by the schema of any object.
        cut_calls_are_calls: whether an answer that was cut inside a call's arguments still finishes as `tool_calls`.
        spoken_answers: whether what the model said aloud goes back by its id; else its transcript does.
        cache_mark: how the end of a prefix worth caching is marked; None where the server decides by itself.
        errors: its error codes and phrases.
    """

    name: str
    fields: Mapping[str, str]
    max_tokens: str = "max_tokens"
    developer_role: bool = False
    reasoning_field: str | None = None
    reasoning_details: bool = False
    thinking_switch: bool = False
    effort_in_template: bool = False
    ignored: frozenset[str] = frozenset()
    named_tool_choice: bool = True
    json_object: bool = True
    cut_calls_are_calls: bool = False
    spoken_answers: bool = False
    cache_mark: CacheMark | None = None
    errors: ErrorTable = field(default=COMPATIBLE_ERRORS, repr=False)


OPENAI = ChatDialect(
    name="openai",
    fields=_COMMON_FIELDS
    | {name: name for name in ("verbosity", "service_tier", "prompt_cache_key", "metadata", "store")},
    max_tokens="max_completion_tokens",
    developer_role=True,
    spoken_answers=True,
    errors=OPENAI_ERRORS,
)

COMPATIBLE = ChatDialect(
    name="openai_compatible",
    fields=_COMMON_FIELDS | {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repetition_penalty"},
)

LLAMA_SERVER = ChatDialect(
    name="llama_server",
    fields=_COMMON_FIELDS | {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repeat_penalty"},
    reasoning_field="reasoning_content",
    thinking_switch=True,
    named_tool_choice=False,  # it takes the name, and lets the model choose (recorded)
    errors=LLAMA_ERRORS,
)
