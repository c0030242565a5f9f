"""Azure OpenAI: chat completions and Responses as OpenAI has them, with Azure's own errors."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from airframe.errors import ErrorCategory
from airframe.protocols.backend_error import ErrorTable, Phrase
from airframe.protocols.chat_dialect import OPENAI
from airframe.protocols.responses_dialect import OPENAI_RESPONSES, RESPONSES_ERRORS

__all__ = ["AZURE", "AZURE_RESPONSES"]

_C = ErrorCategory

# learn.microsoft.com on quotas and content filters, and recorded answers (read 2026-11-20).
_AZURE_ERRORS = ErrorTable(
    codes=MappingProxyType(
        {
            **RESPONSES_ERRORS.codes,
            "401": _C.AUTH,
            "Unauthorized": _C.AUTH,
            "PermissionDenied": _C.PERMISSION,
            "404": _C.NOT_FOUND,
            "DeploymentNotFound": _C.NOT_FOUND,
            "ResourceNotFound": _C.NOT_FOUND,
            "OperationNotSupported": _C.UNSUPPORTED,
            "ResponsibleAIPolicyViolation": _C.CONTENT_FILTER,
            "429": _C.RATE_LIMIT,
            "RateLimitReached": _C.RATE_LIMIT,
            "TooManyRequests": _C.RATE_LIMIT,
            "NoCapacity": _C.OVERLOADED,
            "ServiceUnavailable": _C.SERVER,
            "InternalServerError": _C.SERVER,
        }
    ),
    phrases=(
        *RESPONSES_ERRORS.phrases,
        Phrase("maximum context length is", _C.CONTEXT_LENGTH, "models of other makers on Azure, 400"),
    ),
)

AZURE = replace(OPENAI, name="azure", errors=_AZURE_ERRORS)
"""Chat completions. Azure also serves models of other makers there, which take fewer fields."""

AZURE_RESPONSES = replace(OPENAI_RESPONSES, name="azure_responses", errors=_AZURE_ERRORS)
