"""What Anthropic's errors mean, and those of other servers that speak its Messages, as data.

A body is `{"type": "error", "error": {"type", "message", "details"?: {"error_code"}}, "request_id"}`. The error code is
the most exact, then the type, then the status. Sources, unless a row names its own: types of anthropic 2.10.0,
platform.claude.com "Errors", recorded answers (read 2026-11-20).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from airframe.errors import BackendError, ErrorCategory
from airframe.protocols.backend_error import ErrorBody, ErrorTable, Phrase, error_in
from airframe.protocols.chat_dialect import COMPATIBLE_ERRORS, LLAMA_ERRORS
from airframe.protocols.reading import JSONDict

__all__ = ["ANTHROPIC_ERRORS", "anthropic_error"]

_C = ErrorCategory

_TYPES: Mapping[str, ErrorCategory] = MappingProxyType(
    {
        "authentication_error": _C.AUTH,
        "permission_error": _C.PERMISSION,
        "billing_error": _C.BILLING,
        "not_found_error": _C.NOT_FOUND,
        "invalid_request_error": _C.INVALID_REQUEST,
        "request_too_large": _C.INVALID_REQUEST,
        "conflict_error": _C.CONFLICT,
        "rate_limit_error": _C.RATE_LIMIT,
        "timeout_error": _C.TIMEOUT,
        "api_error": _C.SERVER,
        "overloaded_error": _C.OVERLOADED,
    }
)

# Values of `details.error_code` that say something else than the type they come with.
_CODES: Mapping[str, ErrorCategory] = MappingProxyType(
    {
        "enforced_spend_limit_reached": _C.BILLING,  # 429 rate_limit_error
        "contract_spend_limit_reached": _C.BILLING,  # 429
        "linked_organization_spend_limit_reached": _C.BILLING,  # 402
        "linked_organization_billing_unavailable": _C.BILLING,  # 402
        "organization_on_hold": _C.BILLING,  # 400 invalid_request_error
        "user_profile_not_billable": _C.BILLING,  # 403
        "user_profile_billing_not_authorized": _C.BILLING,  # 403
        "organization_not_enrolled_in_beta": _C.PERMISSION,  # 400
        "cmek_key_disabled": _C.PERMISSION,  # 400
        "cmek_key_network_blocked": _C.PERMISSION,  # 400
        "user_profile_not_found": _C.NOT_FOUND,  # 400
        "ramp_limit_exceeded": _C.RATE_LIMIT,  # 429: too many more tokens than a moment ago
        "compaction_unavailable": _C.OVERLOADED,  # 529
    }
)

_REFUSED = frozenset({"invalid_request_error"})

ANTHROPIC_ERRORS = ErrorTable(
    codes=MappingProxyType({**LLAMA_ERRORS.codes, **_TYPES, **_CODES}),
    phrases=(
        Phrase("prompt is too long", _C.CONTEXT_LENGTH, "400, recorded", codes=_REFUSED),
        Phrase("exceed context limit", _C.CONTEXT_LENGTH, "400, 'input length and `max_tokens` exceed ...'"),
        Phrase("credit balance is too low", _C.BILLING, "400, anthropics/claude-code#66314 (2026-06-08)"),
        Phrase("usage limits", _C.BILLING, "400 for a spend limit, platform.claude.com 'Rate limits'", codes=_REFUSED),
        Phrase("spend limit", _C.BILLING, "400 and 429, platform.claude.com 'Rate limits'"),
        Phrase("content filtering policy", _C.CONTENT_FILTER, "400 and mid-stream, anthropics/claude-code#58367"),
        Phrase("extra inputs are not permitted", _C.UNSUPPORTED, "400 for a field that model or version lacks"),
        Phrase("does not support effort", _C.UNSUPPORTED, "400, recorded", codes=_REFUSED),
        Phrase("exceeds the available context size", _C.CONTEXT_LENGTH, "llama.cpp behind LiteLLM 400, recorded"),
        *COMPATIBLE_ERRORS.phrases,
        # A phrase that only counts under one status could be Anthropic's own, meaning something else.
        *(phrase for phrase in LLAMA_ERRORS.phrases if phrase.statuses is None),
    ),
)


def anthropic_error(document: JSONDict, *, status: int, headers: Mapping[str, str], raw: bytes) -> BackendError:
    """The exception for an error body, also for a bare one without `error` around it (llama-server's streams)."""
    body = error_in(document)
    code = _at(_at(document.get("error"), "details"), "error_code")
    if isinstance(code, str):
        body = ErrorBody(body.message, (code, *body.codes))
    error = ANTHROPIC_ERRORS.error(body, status=status, headers=headers, raw=raw)
    request_id = document.get("request_id")
    error.request_id = request_id if isinstance(request_id, str) else None
    return error


def _at(owner: object, key: str) -> object:
    """What stands under `key`, if `owner` is an object at all: an error's shape is the last thing to rely on."""
    return cast("JSONDict", owner).get(key) if isinstance(owner, dict) else None
