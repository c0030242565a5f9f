"""Surgery on a recorded stream: taking it apart into events, changing what they hold, putting it together again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import TypeAlias, cast

from airframe.testing.conformance.case import ConformanceCase

__all__ = [
    "ChangeJSON",
    "change_members",
    "edit",
    "edit_document",
    "end_index",
    "frames_of",
    "pieces",
    "proof_index",
]

ChangeJSON: TypeAlias = Callable[[dict[str, object]], dict[str, object]]

_SSE_EVENT = re.compile(rb".*?\n\n|.+\Z", re.DOTALL)


def frames_of(case: ConformanceCase) -> list[bytes]:
    """The events of the stream with their framing, lines ended by LF; the last one terminated."""
    stream = case.stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n")
    if case.framing == "ndjson":
        return [line + b"\n" for line in stream.split(b"\n")]
    return _SSE_EVENT.findall(stream + b"\n\n")


def proof_index(case: ConformanceCase, frames: list[bytes]) -> int:
    """The position of the event from which on the answer is whole."""
    return _only(frames, case.end if case.proof is None else case.proof)


def end_index(case: ConformanceCase, frames: list[bytes]) -> int:
    """The position of the event that ends the stream."""
    return _only(frames, case.end)


def _only(frames: list[bytes], mark: bytes) -> int:
    position = next((index for index, frame in enumerate(frames) if mark in frame), None)
    assert position is not None, f"the stream has no event with {mark!r}"
    return position


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """`data` in pieces of `size` bytes."""
    return (data[start : start + size] for start in range(0, len(data), size))


def edit(case: ConformanceCase, frame: bytes, change: ChangeJSON) -> bytes:
    """`frame` with its JSON object changed; frames that hold none stay as they are."""
    if case.framing == "ndjson":
        return _edited(frame, change) + b"\n"
    lines = frame.rstrip(b"\n").split(b"\n")
    data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    others = [line for line in lines if not line.startswith(b"data:")]
    if not data:
        return frame
    return b"\n".join([*others, b"data: " + _edited(b"\n".join(data), change)]) + b"\n\n"


def edit_document(data: bytes, change: ChangeJSON) -> bytes:
    """A whole JSON document, changed."""
    return _edited(data, change)


def _edited(data: bytes, change: ChangeJSON) -> bytes:
    try:
        value = json.loads(data)
    except ValueError:
        return data
    if not isinstance(value, dict):
        return data
    return json.dumps(change(cast("dict[str, object]", value)), ensure_ascii=False).encode()


def change_members(names: frozenset[str], change: Callable[[object], object]) -> ChangeJSON:
    """Changes the members `names`, at whatever depth."""

    def changed(value: object) -> object:
        match value:
            case dict():
                members = cast("dict[str, object]", value)
                return {key: change(item) if key in names else changed(item) for key, item in members.items()}
            case list():
                return [changed(item) for item in cast("list[object]", value)]
            case _:
                return value

    return lambda document: cast("dict[str, object]", changed(document))
