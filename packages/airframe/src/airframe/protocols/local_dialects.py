"""Chat completions as local servers speak them: LM Studio, and `mlx_lm.server`."""

from __future__ import annotations

from types import MappingProxyType

from airframe.errors import ErrorCategory
from airframe.protocols.backend_error import ErrorTable, Phrase
from airframe.protocols.chat_dialect import COMPATIBLE_ERRORS, ChatDialect

__all__ = ["LM_STUDIO", "MLX"]

_C = ErrorCategory

_LM_STUDIO_ERRORS = ErrorTable(
    codes=COMPATIBLE_ERRORS.codes,
    phrases=(
        *COMPATIBLE_ERRORS.phrases,
        Phrase("failed to load model", _C.NOT_FOUND, "400 when loading on demand fails"),
        Phrase("no models loaded", _C.NOT_FOUND, "400 or 404"),
        Phrase("the model has crashed", _C.SERVER, "also inside a 200"),
        Phrase("trying to keep the first", _C.CONTEXT_LENGTH, "400, older versions"),
    ),
)

LM_STUDIO = ChatDialect(
    name="lm_studio",
    fields={
        name: name
        for name in (
            "temperature",
            "top_p",
            "top_k",
            "presence_penalty",
            "frequency_penalty",
            "repeat_penalty",
            "seed",
        )
    },
    named_tool_choice=False,
    json_object=False,
    errors=_LM_STUDIO_ERRORS,
)
"""LM Studio's `/v1`. Sources: lmstudio-ai/docs c6854fb, lmstudio-bug-tracker 116 to 2339 (read 2026-11-20)."""

_MLX_ERRORS = ErrorTable(
    codes=MappingProxyType({}),
    phrases=(
        Phrase("content type is supported", _C.UNSUPPORTED, "404 for an image", statuses=frozenset({404})),
        Phrase("empty conversation", _C.INVALID_REQUEST, "404 without messages", statuses=frozenset({404})),
    ),
)

MLX = ChatDialect(
    name="mlx",
    fields={
        name: name
        for name in (
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "presence_penalty",
            "frequency_penalty",
            "seed",
            "logprobs",
            "top_logprobs",
        )
    }
    | {"repeat_penalty": "repetition_penalty"},
    reasoning_field="reasoning_content",
    thinking_switch=True,
    effort_in_template=True,
    ignored=frozenset({"tool_choice", "response_format"}),
    errors=_MLX_ERRORS,
)
"""`mlx_lm.server`. Messages go to the model's chat template as they are, and templates read `reasoning_content`.
Source: `server.py` of mlx-lm 0.32.2, and its recorded answers (read 2026-11-20)."""
