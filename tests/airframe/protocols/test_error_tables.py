"""The tables of codes and phrases: a row here for each of theirs, written by hand.

Tables of a single wire format, where a body has more to it than a code, are tested with that format: Anthropic's,
Azure's codes, OpenRouter's error types, the codes of failed responses, and the exceptions of llama-cpp-python.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest

from airframe.errors import BackendError, ErrorCategory
from airframe.protocols import (
    AZURE,
    COMPATIBLE,
    LLAMA_SERVER,
    LM_STUDIO,
    MLX,
    OPENAI,
    OPENAI_RESPONSES,
    OPENROUTER,
)
from airframe.protocols.backend_error import ErrorTable, read_error_body
from airframe.protocols.ollama_chat_request import OLLAMA_ERRORS

C = ErrorCategory

OPENAI_CODES = {
    C.AUTH: ["invalid_api_key", "authentication_error"],
    C.PERMISSION: ["unsupported_country_region_territory", "permission_error"],
    C.BILLING: ["insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached", "billing_not_active"],
    C.RATE_LIMIT: ["rate_limit_exceeded", "slow_down"],
    C.OVERLOADED: ["server_is_overloaded", "overloaded_error"],
    C.CONTEXT_LENGTH: ["context_length_exceeded", "string_above_max_length"],
    C.CONTENT_FILTER: [
        "content_filter",
        "content_policy_violation",
        "moderation_blocked",
        "invalid_prompt",
        "bio_policy",
        "misalignment_policy_violation",
        "image_content_policy_violation",
    ],
    C.NOT_FOUND: ["model_not_found", "not_found", "not_found_error"],
    C.UNSUPPORTED: ["unsupported_parameter", "unsupported_value", "unknown_parameter"],
    C.INVALID_REQUEST: [
        "invalid_function_parameters",
        "missing_required_parameter",
        "invalid_type",
        "empty_string",
        "integer_below_min_value",
    ],
    C.SERVER: ["server_error", "vector_store_timeout"],
}
COMPATIBLE_CODES = {
    **OPENAI_CODES,
    C.NOT_FOUND: [*OPENAI_CODES[C.NOT_FOUND], "invalid_model"],
    C.SERVER: [*OPENAI_CODES[C.SERVER], "tool_use_failed"],
}
LLAMA_CODES = {
    C.CONTEXT_LENGTH: ["exceed_context_size_error"],
    C.OVERLOADED: ["unavailable_error"],
    C.AUTH: ["authentication_error"],
    C.PERMISSION: ["permission_error"],
    C.NOT_FOUND: ["not_found_error"],
    C.UNSUPPORTED: ["not_supported_error"],
    C.INVALID_REQUEST: ["invalid_request_error"],
    C.SERVER: ["server_error"],
}

# (status, words, category) as servers say them. What a table takes over from another one stands there.
PHRASES: Mapping[str, tuple[ErrorTable, Sequence[tuple[int, str, ErrorCategory]]]] = {
    "openai": (
        OPENAI.errors,
        [
            (429, "Request too large for gpt-4 on tokens per min (TPM): Limit 30000.", C.CONTEXT_LENGTH),
            (400, "Function tools with reasoning_effort are not supported for gpt-5.4.", C.UNSUPPORTED),
            (400, "Web search options not supported with this model.", C.UNSUPPORTED),
            (404, "tools is not supported in this model.", C.UNSUPPORTED),
        ],
    ),
    "compatible": (
        COMPATIBLE.errors,
        [
            (400, "This model's maximum context length is 8192 tokens.", C.CONTEXT_LENGTH),
            (400, "Input does not fit in context length.", C.CONTEXT_LENGTH),
            (400, "Cannot truncate prompt with n_keep (5000) >= n_ctx (4096)", C.CONTEXT_LENGTH),
            (400, "The tokens to keep are greater than the context length (n_keep: 5000).", C.CONTEXT_LENGTH),
            (500, "Context size has been exceeded.", C.CONTEXT_LENGTH),
            (400, "request (9000 tokens) exceeds the available context size (4096 tokens)", C.CONTEXT_LENGTH),
            (200, "Unexpected endpoint or method. (GET /v1/nowhere)", C.UNSUPPORTED),
            (400, '"tiny" does not support tools', C.UNSUPPORTED),
            (400, "tiny is not a multimodal model", C.UNSUPPORTED),
            (500, "image input is not supported", C.UNSUPPORTED),
            (400, "Incorrect API key provided.", C.AUTH),
            (400, "Model not found: tiny", C.NOT_FOUND),
            (400, "Invalid model name passed in model=tiny.", C.NOT_FOUND),
            (400, "Server is pinned to 'tiny'", C.NOT_FOUND),
            (500, "invalid JSON schema in format", C.INVALID_REQUEST),
            (500, "1 validation error for the body", C.INVALID_REQUEST),
        ],
    ),
    "llama_server": (
        LLAMA_SERVER.errors,
        [
            (503, "Loading model", C.LOADING),
            (500, "Context size has been exceeded.", C.CONTEXT_LENGTH),
            (500, "[json.exception.parse_error.101] parse error at line 1", C.INVALID_REQUEST),
            (500, "Cannot use both json_schema and grammar", C.INVALID_REQUEST),
            (500, "image input is not supported - hint: you may need to provide the mmproj", C.UNSUPPORTED),
            (500, "tools param requires --jinja flag", C.UNSUPPORTED),
            (500, "model limit reached, try again later", C.OVERLOADED),
            (400, "model 'tiny' not found", C.NOT_FOUND),
        ],
    ),
    "lm_studio": (
        LM_STUDIO.errors,
        [
            (400, 'Failed to load model "tiny".', C.NOT_FOUND),
            (404, "No models loaded. Please load a model.", C.NOT_FOUND),
            (200, "The model has crashed without additional information. (Exit code: 6)", C.SERVER),
            (400, "Trying to keep the first 5000 tokens when context overflows.", C.CONTEXT_LENGTH),
        ],
    ),
    "mlx": (
        MLX.errors,
        [
            (404, "Only 'text' content type is supported.", C.UNSUPPORTED),
            (404, "Cannot use apply_chat_template with an empty conversation", C.INVALID_REQUEST),
        ],
    ),
    "ollama": (
        OLLAMA_ERRORS,
        [
            (404, "404 page not found", C.UNSUPPORTED),
            (400, '"tiny" does not support thinking', C.UNSUPPORTED),
            (400, "cannot unmarshal string into field ChatRequest.think of type bool", C.UNSUPPORTED),
            (500, 'option "num_ctx" must be of type integer', C.INVALID_REQUEST),
            (500, 'invalid format: "xml"', C.INVALID_REQUEST),
            (500, "invalid JSON schema in format", C.INVALID_REQUEST),
            (500, "an error was encountered while running the model: unexpected EOF", C.SERVER),
        ],
    ),
    "openai_responses": (
        OPENAI_RESPONSES.errors,
        [(404, "Item 'rs_1' not found. Items are not persisted when `store` is false.", C.INVALID_REQUEST)],
    ),
    "azure": (
        AZURE.errors,
        [(400, "This model's maximum context length is 131072 tokens.", C.CONTEXT_LENGTH)],
    ),
    "openrouter": (
        OPENROUTER.errors,
        [
            (404, "No endpoints found that support tool use.", C.UNSUPPORTED),
            (400, "x/tiny is not a valid model ID", C.NOT_FOUND),
            (403, "Content violates usage guidelines.", C.CONTENT_FILTER),
            (400, "Unsupported parameter: 'max_tokens'", C.UNSUPPORTED),
        ],
    ),
}
ROWS: list[tuple[ErrorTable, int, str, ErrorCategory]] = [
    (table, status, words, category) for table, rows in PHRASES.values() for status, words, category in rows
]


def error(table: ErrorTable, status: int, words: str) -> BackendError:
    raw = json.dumps({"error": {"message": words}}).encode()
    return table.error(read_error_body(raw), status=status, headers={}, raw=raw)


@pytest.mark.parametrize(
    ("table", "codes"),
    [(OPENAI.errors, OPENAI_CODES), (COMPATIBLE.errors, COMPATIBLE_CODES), (LLAMA_SERVER.errors, LLAMA_CODES)],
    ids=["openai", "compatible", "llama_server"],
)
def test_each_code_has_its_category(table: ErrorTable, codes: Mapping[ErrorCategory, Sequence[str]]) -> None:
    """Each code means what its maker says, whatever status it comes with, and the table has no other."""
    assert dict(table.codes) == {code: category for category, row in codes.items() for code in row}


def test_llama_server_is_understood_where_openai_is_expected() -> None:
    """`base_url` of OpenAI's Responses may lead to llama-server, whose code for a long prompt is its own."""
    raw = b'{"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}}'
    failure = OPENAI_RESPONSES.errors.error(read_error_body(raw), status=400, headers={}, raw=raw)
    assert failure.category is C.CONTEXT_LENGTH


@pytest.mark.parametrize(("table", "status", "words", "category"), ROWS, ids=[row[2] for row in ROWS])
def test_each_phrase_has_its_category(table: ErrorTable, status: int, words: str, category: ErrorCategory) -> None:
    """Where a code or status means several things, the words decide."""
    assert error(table, status, words).category is category


def test_there_is_a_row_for_each_phrase() -> None:
    """Each decides the category of a row, says in small letters what is compared, and where it was seen."""
    decided = {next(phrase for phrase in table.phrases if phrase.text in words.lower()) for table, _, words, _ in ROWS}
    for table, _ in PHRASES.values():
        assert set(table.phrases) <= decided
        assert all(phrase.text == phrase.text.lower() and phrase.source for phrase in table.phrases)


ELSEWHERE = {
    "openai": ["Function tools with reasoning_effort are not supported."],
    "compatible": [
        "tiny does not support tools",
        "Incorrect API key",
        "Model not found",
        "Invalid model name",
        "Server is pinned to 'tiny'",
        "1 validation error",
    ],
    "llama_server": ["model 'tiny' not found"],
    "mlx": ["Only 'text' content type is supported.", "empty conversation"],
    "ollama": ["404 page not found"],
    "openrouter": ["x/tiny is not a valid model ID", "Unsupported parameter: 'max_tokens'"],
}


@pytest.mark.parametrize(("name", "words"), [(name, words) for name in ELSEWHERE for words in ELSEWHERE[name]])
def test_some_words_count_under_one_status_alone(name: str, words: str) -> None:
    """Under another status they may mean something else."""
    assert error(PHRASES[name][0], 418, words).category is C.UNKNOWN
