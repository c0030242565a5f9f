"""An answer as JSON and back, without loss: every field of `InferenceResult`, whatever the backend put into it.

Fields are taken from the type itself, so one that is added to it later is kept too. Sequences come back as tuples, but
the ones inside a backend's own values as lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from types import MappingProxyType
from typing import Any, cast

from airframe.errors import ErrorCategory
from airframe.types import (
    Annotation,
    Attempt,
    FinishReason,
    InferenceResult,
    InferenceWarning,
    JSONObject,
    JSONValue,
    RateLimit,
    Usage,
)
from avionics.llm.message_json import message_from_json, message_to_json

__all__ = ["result_from_json", "result_to_json"]

_RECORDS: Mapping[str, type[Usage | RateLimit]] = MappingProxyType({"usage": Usage, "rate_limit": RateLimit})
_SEQUENCES: Mapping[str, type[Annotation | InferenceWarning | Attempt]] = MappingProxyType(
    {"annotations": Annotation, "warnings": InferenceWarning, "attempts": Attempt}
)
_WORDS: Mapping[str, type[Decimal | FinishReason | ErrorCategory]] = MappingProxyType(
    {"reported_cost": Decimal, "finish_reason": FinishReason, "category": ErrorCategory}
)
"""Values that JSON has as texts."""


def result_to_json(result: InferenceResult) -> JSONObject:
    """The answer as a JSON object."""
    document = _fields(result)
    document["content"] = message_to_json(result.message)["content"]
    for name in _RECORDS:
        if document[name] is not None:
            document[name] = _fields(document[name])
    for name in _SEQUENCES:
        document[name] = [_fields(item) for item in document[name]]
    return document


def result_from_json(document: JSONObject) -> InferenceResult:
    """The answer that was made into `document`. Raises `ValueError`, `TypeError` or `LookupError` for what is none."""
    values: dict[str, Any] = dict(document)
    content = cast("Sequence[JSONValue]", values["content"])
    values["content"] = message_from_json({"role": "assistant", "content": content}).content
    for name, record in _RECORDS.items():
        if values[name] is not None:
            values[name] = record(**values[name])
    for name, item_type in _SEQUENCES.items():
        values[name] = tuple(item_type(**_with_words(item)) for item in values[name])
    return InferenceResult(**_with_words(values))


def _fields(record: object) -> dict[str, Any]:
    values = {item.name: cast("object", getattr(record, item.name)) for item in fields(cast("Any", record))}
    return {name: str(value) if name in _WORDS and value is not None else value for name, value in values.items()}


def _with_words(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _WORDS[name](value) if name in _WORDS and value is not None else value for name, value in values.items()
    }
