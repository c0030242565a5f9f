"""How services that speak OpenAI's Responses differ, as data. A new one is a new `ResponsesDialect`, not a branch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from airframe.errors import ErrorCategory
from airframe.protocols.backend_error import ErrorTable, Phrase
from airframe.protocols.chat_dialect import COMPATIBLE_ERRORS, OPENAI_CODES, OPENAI_ERRORS, CacheMark

__all__ = ["COMPATIBLE_RESPONSES", "OPENAI_RESPONSES", "ResponsesDialect"]

_C = ErrorCategory

# `response.error.code` in openai 3.51.0 beyond what chat completions know (read 2026-11-20).
RESPONSES_CODES: Mapping[str, ErrorCategory] = MappingProxyType(
    {
        **OPENAI_CODES,
        "data_residency_mismatch": _C.PERMISSION,
        "exceed_context_size_error": _C.CONTEXT_LENGTH,  # llama-server, which is asked in either dialect
        "unsupported_image_media_type": _C.UNSUPPORTED,
        "invalid_image_mode": _C.UNSUPPORTED,
        **dict.fromkeys(
            (
                "empty_image_file",
                "failed_to_download_image",
                "image_file_not_found",
                "image_file_too_large",
                "image_parse_error",
                "image_too_large",
                "image_too_small",
                "invalid_base64_image",
                "invalid_image",
                "invalid_image_format",
                "invalid_image_url",
            ),
            _C.INVALID_REQUEST,
        ),
    }
)

RESPONSES_ERRORS = ErrorTable(
    codes=RESPONSES_CODES,
    phrases=(
        *OPENAI_ERRORS.phrases,
        Phrase("items are not persisted", _C.INVALID_REQUEST, "OpenAI 404: a reasoning item that was not stored"),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesDialect:
    """One service's way of speaking Responses.

    Attributes:
        name: notes whose reasoning and whose tools' items these are, which go back to nobody else.
        fields: fields of `InferenceRequest` that go into the body as they are -> their names there.
        includes: type of a hosted tool -> what to ask for, so that its results come with the answer.
        cache_mark: how the end of a prefix worth caching is marked.
        tells_limit: whether an answer that reached its longest length says so. llama-server calls it `completed`.
        errors: its error codes and phrases.
    """

    name: str
    fields: Mapping[str, str]
    includes: Mapping[str, str] = field(default_factory=dict[str, str])
    cache_mark: CacheMark | None = None
    tells_limit: bool = True
    errors: ErrorTable = field(default=RESPONSES_ERRORS, repr=False)


_COMMON_FIELDS = {
    name: name
    for name in ("temperature", "top_p", "top_logprobs", "parallel_tool_calls", "previous_response_id", "store")
}

OPENAI_RESPONSES = ResponsesDialect(
    name="openai_responses",
    fields=_COMMON_FIELDS | {name: name for name in ("metadata", "prompt_cache_key", "service_tier", "user")},
    includes={"file_search": "file_search_call.results"},
    cache_mark=CacheMark("prompt_cache_breakpoint", {"mode": "explicit"}, frozenset({"30m", "12h"})),
)

COMPATIBLE_RESPONSES = ResponsesDialect(
    name="compatible_responses",
    fields=_COMMON_FIELDS
    | {name: name for name in ("frequency_penalty", "metadata", "presence_penalty", "top_k", "user")},
    tells_limit=False,
    errors=ErrorTable(codes=RESPONSES_CODES, phrases=COMPATIBLE_ERRORS.phrases),
)
"""LM Studio, vLLM, llama-server and others. What they do not know, they ignore."""
