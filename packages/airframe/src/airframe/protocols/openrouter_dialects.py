"""OpenRouter: chat completions and Responses in front of the models of many providers."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from airframe.errors import ErrorCategory
from airframe.protocols.backend_error import ErrorTable, Phrase
from airframe.protocols.chat_dialect import COMPATIBLE_ERRORS, OPENAI, CacheMark
from airframe.protocols.responses_dialect import OPENAI_RESPONSES

__all__ = ["OPENROUTER", "OPENROUTER_RESPONSES"]

_C = ErrorCategory

# Values of `error.metadata.error_type`, which are promised to stay (OpenRouterTeam/docs c26125a, "Errors").
# Those that say no more than the status does (`invalid_request`, `unprocessable`, `unmapped`) are left to what the
# provider behind OpenRouter said, and then to the status.
_ERROR_TYPES = {
    "authentication": _C.AUTH,
    "permission_denied": _C.PERMISSION,
    "payment_required": _C.BILLING,
    "rate_limit_exceeded": _C.RATE_LIMIT,
    "provider_overloaded": _C.OVERLOADED,
    "provider_unavailable": _C.OVERLOADED,
    "timeout": _C.TIMEOUT,
    "context_length_exceeded": _C.CONTEXT_LENGTH,
    "max_tokens_exceeded": _C.CONTEXT_LENGTH,
    "token_limit_exceeded": _C.CONTEXT_LENGTH,
    "string_too_long": _C.CONTEXT_LENGTH,
    "content_policy_violation": _C.CONTENT_FILTER,
    "refusal": _C.CONTENT_FILTER,
    "not_found": _C.NOT_FOUND,
    "image_not_found": _C.NOT_FOUND,
    "server": _C.SERVER,
}

_BAD_REQUEST = frozenset({400})

_OPENROUTER_ERRORS = ErrorTable(
    codes=MappingProxyType({**COMPATIBLE_ERRORS.codes, **_ERROR_TYPES, "invalid_prompt": _C.INVALID_REQUEST}),
    phrases=(
        *COMPATIBLE_ERRORS.phrases,
        Phrase("no endpoints found that support", _C.UNSUPPORTED, "404 for tools, recorded"),
        Phrase("is not a valid model id", _C.NOT_FOUND, "400, recorded", statuses=_BAD_REQUEST),
        Phrase("content violates usage guidelines", _C.CONTENT_FILTER, "xAI behind OpenRouter, 403, recorded"),
        Phrase(
            "unsupported parameter", _C.UNSUPPORTED, "OpenAI behind OpenRouter, 400, recorded", statuses=_BAD_REQUEST
        ),
    ),
)

OPENROUTER = replace(
    OPENAI,
    name="openrouter",
    fields={
        **OPENAI.fields,
        "top_k": "top_k",
        "min_p": "min_p",
        "repeat_penalty": "repetition_penalty",
    },
    max_tokens="max_tokens",
    reasoning_field="reasoning",
    reasoning_details=True,
    cache_mark=CacheMark("cache_control", {"type": "ephemeral"}, frozenset({"5m", "1h"})),
    errors=_OPENROUTER_ERRORS,
)
"""What a model's provider does not know, OpenRouter leaves out silently, unless `require_parameters` is set."""

OPENROUTER_RESPONSES = replace(
    OPENAI_RESPONSES,
    name="openrouter_responses",
    fields={
        **OPENAI_RESPONSES.fields,
        "frequency_penalty": "frequency_penalty",
        "presence_penalty": "presence_penalty",
        "top_k": "top_k",
    },
    errors=_OPENROUTER_ERRORS,
)
