"""Reading what a backend sent: JSON whose shape nobody guarantees, and numbers that nobody checked.

Here the untyped ends. What is missing or null is None; what has the wrong type is a `MalformedAnswerError` that names
the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeAlias, cast

from pydantic_core import from_json

from airframe.errors import MalformedAnswerError, Phase
from airframe.types.json_value import JSONObject
from airframe.types.result import Annotation, InferenceWarning, Usage

__all__ = [
    "JSONDict",
    "array_in",
    "excerpt",
    "object_in",
    "objects_in",
    "parse_object",
    "parse_objects",
    "read_annotation",
    "read_cost",
    "read_count",
    "read_tier",
    "read_usage",
    "text_in",
    "whole_number_in",
]

JSONDict: TypeAlias = dict[str, object]

EXCERPT_CHARACTERS = 200
HIGHEST_COST = 1e6  # in USD, for one answer
LARGEST_COUNT = 10**12  # a token count above this is a fault of the server, and must not reach a ledger


def excerpt(data: bytes) -> str:
    """The beginning of `data` for an error message."""
    text = data[: 4 * EXCERPT_CHARACTERS].decode("utf-8", "replace").strip()
    return text[:EXCERPT_CHARACTERS] + ("…" if len(text) > EXCERPT_CHARACTERS else "")


def parse_object(data: bytes) -> JSONDict:
    """A JSON object. pydantic-core's parser refuses values more than 200 deep, and integers beyond 4,300 digits.

    Raises `MalformedAnswerError` with the beginning of what came instead.
    """
    value = _parse(data)
    if not isinstance(value, dict):
        raise _malformed(f"the backend sent {type(value).__name__} where an object belongs: {excerpt(data)!r}", data)
    return cast("JSONDict", value)


def parse_objects(data: bytes) -> list[JSONDict]:
    """A JSON array of objects. Raises `MalformedAnswerError`."""
    value = _parse(data)
    if not isinstance(value, list):
        raise _malformed(f"the backend sent {type(value).__name__} where an array belongs: {excerpt(data)!r}", data)
    return objects_in({"answer": cast("list[object]", value)}, "answer")


def text_in(owner: Mapping[str, object], key: str) -> str | None:
    """The text under `key`."""
    value = owner.get(key)
    if value is None or isinstance(value, str):
        return value
    raise _wrong_type(key, "a text", value)


def object_in(owner: Mapping[str, object], key: str) -> JSONDict | None:
    """The object under `key`."""
    value = owner.get(key)
    if value is None or isinstance(value, dict):
        return cast("JSONDict | None", value)
    raise _wrong_type(key, "an object", value)


def array_in(owner: Mapping[str, object], key: str) -> list[object]:
    """The array under `key`; empty when there is none."""
    value = owner.get(key)
    if value is None:
        return []
    if isinstance(value, list):
        return cast("list[object]", value)
    raise _wrong_type(key, "an array", value)


def objects_in(owner: Mapping[str, object], key: str) -> list[JSONDict]:
    """The objects in the array under `key`; nulls in it are passed over."""
    found: list[JSONDict] = []
    for item in array_in(owner, key):
        if isinstance(item, dict):
            found.append(cast("JSONDict", item))
        elif item is not None:
            raise _wrong_type(f"{key}[]", "an object", item)
    return found


def whole_number_in(owner: Mapping[str, object], key: str) -> int | None:
    """The integer under `key`; anything else counts as not given, for what is no more than a hint."""
    value = owner.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_count(owner: Mapping[str, object] | None, key: str, warnings: list[InferenceWarning]) -> int | None:
    """A number of tokens. What cannot be one is unknown, with a warning: a wrong number must never be billed."""
    value = owner.get(key) if owner else None
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_COUNT:
        warnings.append(
            InferenceWarning(f"usage.{key}", f"not a number of tokens, taken as unknown: {str(value)[:40]!r}")
        )
        return None
    return value


def read_usage(
    raw: JSONDict, warnings: list[InferenceWarning], *, prompt: str = "prompt_tokens", answer: str = "completion_tokens"
) -> Usage:
    """Usage in OpenAI's shape, as chat completions and the many servers that follow it send it.

    `prompt` and `answer` are the names of the two counts; their details stand under the same names with `_details`.
    Some servers count reasoning outside the answer (xAI, recorded): then total = prompt + answer + reasoning.
    """
    into = object_in(raw, f"{prompt}_details")
    out_of = object_in(raw, f"{answer}_details")
    input_tokens = read_count(raw, prompt, warnings)
    output_tokens = read_count(raw, answer, warnings)
    total = read_count(raw, "total_tokens", warnings)
    reasoning = read_count(out_of, "reasoning_tokens", warnings)
    if (
        input_tokens is not None
        and output_tokens is not None
        and reasoning
        and total == input_tokens + output_tokens + reasoning
    ):
        output_tokens += reasoning
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=total,
        cache_read_tokens=read_count(into, "cached_tokens", warnings),
        cache_write_tokens=read_count(into, "cache_write_tokens", warnings),
        reasoning_tokens=reasoning,
        input_audio_tokens=read_count(into, "audio_tokens", warnings),
        output_audio_tokens=read_count(out_of, "audio_tokens", warnings),
        raw=cast("JSONObject", raw),
    )


def read_cost(usage: Mapping[str, object] | None) -> Decimal | None:
    """OpenRouter's `usage.cost`, in USD; None where there is none that can be one."""
    cost = usage.get("cost") if usage else None
    if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not 0 <= cost < HIGHEST_COST:
        return None
    return Decimal(str(cost))


def read_tier(*owners: Mapping[str, object] | None) -> str | None:
    """`service_tier` of the first that has one: the answer itself, or (Anthropic, Groq) its usage."""
    tiers = [owner.get("service_tier") for owner in owners if owner]
    return next((tier for tier in tiers if isinstance(tier, str) and tier), None)


def read_annotation(raw: JSONDict) -> Annotation:
    """A citation: flat in OpenAI's Responses, under its kind's name in chat completions."""
    kind = text_in(raw, "type") or "unknown"
    detail = object_in(raw, kind) or raw
    return Annotation(
        kind=kind,
        url=text_in(detail, "url"),
        title=text_in(detail, "title") or text_in(detail, "filename"),
        start=whole_number_in(detail, "start_index"),
        end=whole_number_in(detail, "end_index"),
        raw=cast("JSONObject", raw),
    )


def _parse(data: bytes) -> object:
    try:
        return from_json(data)
    except ValueError as error:
        raise _malformed(f"the backend sent no valid JSON ({error}): {excerpt(data)!r}", data) from None


def _wrong_type(key: str, expected: str, value: object) -> MalformedAnswerError:
    return MalformedAnswerError(
        f"the backend sent {key} as {type(value).__name__}, not as {expected}", phase=Phase.CONTENT
    )


def _malformed(message: str, data: bytes) -> MalformedAnswerError:
    return MalformedAnswerError(message, phase=Phase.CONTENT, body=excerpt(data))
