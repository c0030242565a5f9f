"""Scripts as files, in YAML or JSON, so that one script serves tests in any language.

    models: [tiny]                            # what the backend offers; optional
    repeats: false                            # begin again after the last step
    steps:
      - The sky is blue.                      # the same as {text: The sky is blue.}
      - chunks: ["The sky ", "is blue."]
        reasoning: They ask about the sky.
        usage: {input_tokens: 9, output_tokens: 5}
        delay: 2                              # seconds, on the player's clock
      - tool_calls: [{name: get_weather, arguments: {city: Oslo}}]
      - fail: overloaded                      # a category of errors
        retry_after: 3
        times: 2                              # this step twice
      - text: You will not hear this to its end.
        faults: [{cut_after: {bytes: 40}}, split_utf8]

The other members are the fields of `Answer` and `Failure`. YAML needs pyyaml, which the extra `testing` brings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NotRequired, TypeAlias, TypedDict, TypeVar, cast

from airframe.errors import ErrorCategory
from airframe.testing.document import Document, read_document
from airframe.testing.mutators import MUTATORS, Mutator, chained
from airframe.testing.steps import Answer, Failure
from airframe.types import FinishReason, ToolCall, Usage

__all__ = ["ScriptFileError", "ScriptMembers", "read_script"]

T = TypeVar("T")

Reader: TypeAlias = Callable[[Document], Any]


class ScriptFileError(ValueError):
    """A script file that cannot be played. The message names file, line and field, and says what belongs there."""


class ScriptMembers(TypedDict):
    """What a file says of a script: the fields of `Script`."""

    steps: Sequence[Answer | Failure]
    models: NotRequired[Sequence[str]]
    repeats: NotRequired[bool]
    name: str


def read_script(path: Path) -> ScriptMembers:
    """Read a script. Raises `ScriptFileError`."""
    document = read_document(path, ScriptFileError)
    members = _members(document, {"steps": _steps, "models": _texts, "repeats": _flag})
    if "steps" not in members:
        raise document.error("steps is missing; give the list of what is answered, call by call")
    return cast("ScriptMembers", {**members, "name": path.name})


def _steps(document: Document) -> Sequence[Answer | Failure]:
    return [step for item in _items(document) for step in _step(item)]


def _step(document: Document) -> Sequence[Answer | Failure]:
    if isinstance(document.value, str):
        return [Answer(text=document.value)]
    fails = "fail" in _object(document)
    members = _members(document, _FAILURE if fails else _ANSWER)
    times = members.pop("times", 1)
    try:
        step = Failure(members.pop("fail"), **members) if fails else Answer(**members)
    except (TypeError, ValueError) as error:
        raise document.error(str(error)) from None
    return [step] * times


def _members(document: Document, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """The members of an object, each read by its reader."""
    members: dict[str, Any] = {}
    for name, member in _object(document).items():
        if name not in readers:
            raise member.error(f"{name} is no field here; known are {', '.join(sorted(readers))}")
        members[name] = readers[name](member)
    return members


def _object(document: Document) -> Mapping[str, Document]:
    if not isinstance(document.value, dict):
        raise document.error(f"must be an object with named members, got {document.kind}")
    return document.members()


def _items(document: Document) -> Sequence[Document]:
    if not isinstance(document.value, list):
        raise document.error(f"must be a list, got {document.kind}")
    return document.items()


def _text(document: Document) -> str:
    if not isinstance(document.value, str):
        raise document.error(f"must be a text, got {document.kind}; put it in quotation marks")
    return document.value


def _texts(document: Document) -> Sequence[str]:
    return [_text(item) for item in _items(document)]


def _text_or_texts(document: Document) -> str | Sequence[str]:
    return _text(document) if isinstance(document.value, str) else _texts(document)


def _flag(document: Document) -> bool:
    if not isinstance(document.value, bool):
        raise document.error(f"must be true or false, got {document.kind}")
    return document.value


def _count(document: Document) -> int:
    value = document.value
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise document.error(f"must be a whole number of 0 or more, got {document.shown}")
    return value


def _times(document: Document) -> int:
    times = _count(document)
    if times < 1:
        raise document.error("must be 1 or more, got 0; leave the step out instead")
    return times


def _seconds(document: Document) -> float:
    value = document.value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise document.error(f"must be 0 or more seconds, got {document.shown}")
    return float(value)


def _amount(document: Document) -> Decimal:
    try:
        amount = Decimal(str(document.value))
    except InvalidOperation:
        raise document.error(f"must be an amount in USD, got {document.shown}") from None
    if isinstance(document.value, bool) or not amount.is_finite() or amount < 0:
        raise document.error(f"must be an amount in USD, got {document.shown}")
    return amount


def _one_of(kind: Callable[[str], T], names: Sequence[str]) -> Callable[[Document], T]:
    def read(document: Document) -> T:
        try:
            return kind(_text(document))
        except ValueError:
            raise document.error(f"must be one of {', '.join(names)}, got {document.shown}") from None

    return read


def _usage(document: Document) -> Usage:
    return Usage(**_members(document, dict.fromkeys(_USAGE, _count)))


def _tool_calls(document: Document) -> Sequence[ToolCall]:
    return [_tool_call(item, number) for number, item in enumerate(_items(document), start=1)]


def _tool_call(document: Document, number: int) -> ToolCall:
    members = _members(document, {"name": _text, "id": _text, "arguments": _arguments})
    if not members.get("name"):
        raise document.error("name is missing; give the name of the tool")
    members.setdefault("id", f"call_{number}")
    return ToolCall(**members)


def _arguments(document: Document) -> str:
    """JSON as the model writes it: an object, or a text for what is not valid."""
    if isinstance(document.value, str):
        return document.value
    _object(document)
    return json.dumps(document.value, ensure_ascii=False, separators=(",", ":"))


def _faults(document: Document) -> Mutator:
    return chained([_fault(item) for item in _items(document)])


def _fault(document: Document) -> Mutator:
    """A name, or an object of one name with its options."""
    if isinstance(document.value, str):
        name, options = document.value, dict[str, Any]()
    else:
        members = _object(document)
        if len(members) != 1:
            raise document.error("must be the name of a fault, or an object of one name with its options")
        name, member = next(iter(members.items()))
        options = {key: option.value for key, option in _object(member).items()}
    if name not in MUTATORS:
        raise document.error(f"must be one of {', '.join(MUTATORS)}, got {name!r}")
    try:
        return MUTATORS[name](**options)
    except (TypeError, ValueError, KeyError) as error:
        raise document.error(f"{name} cannot be made of these options: {error}") from None


_USAGE = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
)

_SAID: Mapping[str, Reader] = {
    "chunks": _texts,
    "reasoning": _text_or_texts,
    "usage": _usage,
    "delay": _seconds,
    "pause": _seconds,
    "times": _times,
}

_ANSWER: Mapping[str, Reader] = {
    **_SAID,
    "text": _text,
    "tool_calls": _tool_calls,
    "finish_reason": _one_of(FinishReason, list(FinishReason)),
    "model": _text,
    "response_id": _text,
    "request_id": _text,
    "reported_cost": _amount,
    "faults": _faults,
}

_FAILURE: Mapping[str, Reader] = {
    **_SAID,
    "fail": _one_of(ErrorCategory, list(ErrorCategory)),
    "message": _text,
    "status": _count,
    "code": _text,
    "retry_after": _seconds,
}
