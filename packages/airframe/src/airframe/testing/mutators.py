"""Faults that happen to a good answer: named, composable, and the same for the same seed.

    broken = cut_after(events=3) | split_utf8()
    Cassette.replay("weather.cassette", faults=broken)

They act on bytes, on frames and on the members of JSON objects that many wire formats have, so they work for every wire
format. What is wrong with HTTP itself, `airframe.testing.hostile` does, which has a socket to do it to.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate
from random import Random
from types import MappingProxyType
from typing import Literal, TypeAlias, cast

from airframe.errors import Phase
from airframe.testing.reply import Breakdown, Chunk, End, Event, Reply

__all__ = [
    "MUTATORS",
    "Mutator",
    "RetryAfterStyle",
    "chained",
    "cut_after",
    "drop_end_marker",
    "drop_tool_index",
    "duplicate_tool_index",
    "garbage_json",
    "inject_error_event",
    "rate_limited",
    "reset_after",
    "slow_first_byte",
    "split_anywhere",
    "split_every",
    "split_utf8",
    "stall_after",
    "unavailable",
]

Change: TypeAlias = Callable[[Reply, Random], Sequence[Reply]]
RetryAfterStyle: TypeAlias = Literal["seconds", "fraction", "milliseconds", "both", "date", "none"]


@dataclass(frozen=True, slots=True)
class _Fault:
    name: str
    options: Mapping[str, object]
    change: Change

    def __str__(self) -> str:
        given = (f"{name}={value!r}" for name, value in self.options.items() if value is not None)
        return f"{self.name}({', '.join(given)})"


@dataclass(frozen=True, slots=True, repr=False)
class Mutator:
    """One fault or several, one after the other: `cut_after(events=3) | split_utf8()`."""

    faults: tuple[_Fault, ...] = ()

    def __or__(self, other: Mutator) -> Mutator:
        return Mutator(self.faults + other.faults)

    def __str__(self) -> str:
        return " | ".join(map(str, self.faults))

    __repr__ = __str__

    @property
    def name(self) -> str:
        """The names of its faults, for the id of a test."""
        return "|".join(fault.name for fault in self.faults)

    def __call__(self, reply: Reply, *, seed: int = 0) -> Sequence[Reply]:
        """What a server answers instead of `reply`: often one reply, more where it has to be asked again."""
        replies: list[Reply] = [reply]
        for number, fault in enumerate(self.faults):
            rng = Random(f"{seed}:{number}:{fault.name}")  # noqa: S311 - no secret is made of it
            replies = [
                changed for each in replies for changed in (fault.change(each, rng) if each.succeeded else (each,))
            ]
        return replies


def chained(faults: Mutator | Sequence[Mutator]) -> Mutator:
    """Several mutators as one; one as it is."""
    if isinstance(faults, Mutator):
        return faults
    return Mutator(tuple(fault for mutator in faults for fault in mutator.faults))


# -- the end comes early


def cut_after(*, events: int | None = None, bytes: int | None = None) -> Mutator:  # noqa: A002 - what it is
    """The body ends well after so many events or bytes; by default somewhere, as the seed says."""
    return _ended("cut_after", "complete", events, bytes)


def reset_after(*, events: int | None = None, bytes: int | None = None) -> Mutator:  # noqa: A002 - what it is
    """The connection is lost there."""
    lost = Breakdown("ConnectionFailedError", "the connection was lost: reset by a fault of the test", Phase.CONTENT)
    return _ended("reset_after", lost, events, bytes)


def stall_after(*, events: int | None = None, bytes: int | None = None) -> Mutator:  # noqa: A002 - what it is
    """Nothing more comes, and the connection stays."""
    return _ended("stall_after", "silent", events, bytes)


def _ended(name: str, end: End, events: int | None, size: int | None) -> Mutator:
    if events is not None and size is not None:
        raise ValueError(f"{name} takes events or bytes, not both")
    if (size or 0) < 0 or (events or 0) < 0:
        raise ValueError(f"{name} takes 0 or more events or bytes")

    def change(reply: Reply, rng: Random) -> Reply:
        offset = _place(reply, events, rng) if size is None else size
        return replace(reply.spliced(offset, len(reply.body)), end=end)

    return _mutator(name, change, events=events, bytes=size)


# -- the same bytes, otherwise cut


def split_utf8() -> Mutator:
    """Every character of several bytes arrives in two pieces."""

    def change(reply: Reply, _: Random) -> Reply:
        return reply.cut_at(*(place for place, byte in enumerate(reply.body) if byte & 0b1100_0000 == 0b1000_0000))

    return _mutator("split_utf8", change)


def split_every(*, bytes: int = 1) -> Mutator:  # noqa: A002 - what it is
    """No piece is larger than this."""
    if bytes < 1:
        raise ValueError(f"split_every takes 1 or more bytes, got {bytes}")

    def change(reply: Reply, _: Random) -> Reply:
        return reply.cut_at(*range(bytes, len(reply.body), bytes))

    return _mutator("split_every", change, bytes=bytes)


def split_anywhere() -> Mutator:
    """The body arrives in pieces as the seed says: some of them several events long, others less than a line."""

    def change(reply: Reply, rng: Random) -> Reply:
        body = reply.body
        places = rng.sample(range(1, len(body)), k=rng.randint(0, min(len(body) - 1, 20))) if len(body) > 1 else []
        return replace(reply, chunks=(Chunk(body),)).cut_at(*places)

    return _mutator("split_anywhere", change)


def slow_first_byte(*, seconds: float = 60.0) -> Mutator:
    """The head comes at once, and the first byte of the body so much later, on the player's clock."""

    def change(reply: Reply, _: Random) -> Reply:
        first, *others = reply.chunks or (Chunk(b""),)
        return replace(reply, chunks=(replace(first, wait=first.wait + seconds), *others))

    return _mutator("slow_first_byte", change, seconds=seconds)


# -- events that are missing, wrong, or too many


def drop_end_marker() -> Mutator:
    """The last event does not come: `[DONE]`, `message_stop`, `response.completed`, the line that says `done`."""

    def change(reply: Reply, _: Random) -> Reply:
        events = reply.events()
        return reply.spliced(events[-1].start, events[-1].end) if events else reply

    return _mutator("drop_end_marker", change)


def garbage_json(*, after: int | None = None) -> Mutator:
    """JSON that breaks off, as an event of its own after so many events; a whole document breaks off itself."""

    def change(reply: Reply, rng: Random) -> Reply:
        if reply.framing == "document":
            return reply.spliced(len(reply.body) // 2, len(reply.body))
        return _inserted(reply, reply.framed(b'{"choices": [{"delta"'), after, rng)

    return _mutator("garbage_json", change, after=after)


def inject_error_event(
    *, after: int | None = None, message: str = "the model crashed", code: str = "server_error"
) -> Mutator:
    """An error under status 200, after so many events; a whole document is replaced by it."""

    def change(reply: Reply, rng: Random) -> Reply:
        if reply.framing == "document":
            return reply.spliced(0, len(reply.body), _error(message, code))
        return _inserted(reply, reply.framed(_error(message, code), "error"), after, rng)

    return _mutator("inject_error_event", change, after=after, message=message, code=code)


def drop_tool_index() -> Mutator:
    """The numbers that say which tool call (or which block) a piece belongs to are missing."""

    def change(reply: Reply, _: Random) -> Reply:
        return _edited(reply, lambda owner: {key: value for key, value in owner.items() if key not in _INDICES})

    return _mutator("drop_tool_index", change)


def duplicate_tool_index() -> Mutator:
    """All of them are 0: every tool call (or block) claims to be the first."""

    def change(reply: Reply, _: Random) -> Reply:
        return _edited(reply, lambda owner: {key: 0 if key in _INDICES else value for key, value in owner.items()})

    return _mutator("duplicate_tool_index", change)


# -- no answer, or not at once


def rate_limited(*, retry_after: float = 1.0, style: RetryAfterStyle = "seconds", times: int | None = 1) -> Mutator:
    """429 so often before the answer, or instead of it (None), with the wait in one of the ways servers say it.

    `date` is counted from now, so of all faults it alone is not the same every time.
    """
    headers = _RETRY_AFTER[style](retry_after)
    return _refused("rate_limited", 429, "rate_limit_exceeded", headers, times, retry_after=retry_after, style=style)


def unavailable(*, times: int | None = 1, status: int = 503) -> Mutator:
    """503 so often before the answer, or instead of it (None)."""
    return _refused("unavailable", status, "service_unavailable", {}, times)


def _refused(
    name: str, status: int, code: str, headers: Mapping[str, str], times: int | None, **options: object
) -> Mutator:
    if times is not None and times < 1:
        raise ValueError(f"{name} takes times=1 or more, or None, got {times}")
    refusal = Reply(
        status=status,
        headers={"content-type": "application/json", **headers},
        chunks=(Chunk(_error(f"{name}, by a fault of the test", code)),),
    )

    def change(reply: Reply, _: Random) -> Sequence[Reply]:
        return (refusal,) if times is None else (*[refusal] * times, reply)

    return Mutator((_Fault(name, {**options, "times": times}, change),))


_RETRY_AFTER: Mapping[RetryAfterStyle, Callable[[float], Mapping[str, str]]] = {
    "seconds": lambda seconds: {"retry-after": str(round(seconds))},
    "fraction": lambda seconds: {"retry-after": str(seconds)},
    "milliseconds": lambda seconds: {"retry-after-ms": str(round(seconds * 1000))},
    # Azure rounds the seconds up beside the exact milliseconds.
    "both": lambda seconds: {"retry-after": str(int(seconds) + 1), "retry-after-ms": str(round(seconds * 1000))},
    "date": lambda seconds: {"retry-after": formatdate(time.time() + seconds, usegmt=True)},
    "none": lambda _: {},
}

_INDICES = frozenset({"index", "output_index"})

MUTATORS: Mapping[str, Callable[..., Mutator]] = MappingProxyType(
    {
        mutator.__name__: mutator
        for mutator in (
            cut_after,
            drop_end_marker,
            drop_tool_index,
            duplicate_tool_index,
            garbage_json,
            inject_error_event,
            rate_limited,
            reset_after,
            slow_first_byte,
            split_anywhere,
            split_every,
            split_utf8,
            stall_after,
            unavailable,
        )
    }
)
"""Every fault of this file by name, as script files and command lines call them."""


def _mutator(name: str, change: Callable[[Reply, Random], Reply], **options: object) -> Mutator:
    return Mutator((_Fault(name, options, lambda reply, rng: (change(reply, rng),)),))


def _place(reply: Reply, count: int | None, rng: Random) -> int:
    """The offset behind so many events, or behind a number of them that the seed says, but never behind all."""
    events = reply.events()
    if count is None:
        count = rng.randrange(len(events)) if events else 0
    return 0 if count == 0 or not events else events[min(count, len(events)) - 1].end


def _inserted(reply: Reply, data: bytes, after: int | None, rng: Random) -> Reply:
    offset = _place(reply, after, rng)
    return reply.spliced(offset, offset, data)


def _error(message: str, code: str) -> bytes:
    """An error in the shape that every wire format here reads: OpenAI's and Anthropic's in one."""
    error = {"message": message, "type": code, "code": code}
    return json.dumps({"type": "error", "error": error}).encode()


def _edited(reply: Reply, change: Callable[[dict[str, object]], dict[str, object]]) -> Reply:
    """`change` made to every object that tells its place by an index: items of `tool_calls`, and events with a type."""
    for event in reversed(reply.events()):
        document = event.json()
        if document is None:
            continue
        changed = _with_tool_calls(change(document) if "type" in document else document, change)
        if changed != document:
            name = document["type"] if reply.framing == "sse" and _is_named(reply, event) else ""
            data = json.dumps(changed, ensure_ascii=False, separators=(",", ":")).encode()
            reply = reply.spliced(event.start, event.end, reply.framed(data, str(name)))
    return reply


def _is_named(reply: Reply, event: Event) -> bool:
    return b"event:" in reply.body[event.start : event.end].partition(b"data:")[0]


def _with_tool_calls(value: object, change: Callable[[dict[str, object]], dict[str, object]]) -> object:
    match value:
        case dict():
            members = cast("dict[str, object]", value)
            return {
                key: [_changed(call, change) for call in cast("list[object]", item)]
                if key == "tool_calls" and isinstance(item, list)
                else _with_tool_calls(item, change)
                for key, item in members.items()
            }
        case list():
            return [_with_tool_calls(item, change) for item in cast("list[object]", value)]
        case _:
            return value


def _changed(call: object, change: Callable[[dict[str, object]], dict[str, object]]) -> object:
    return change(cast("dict[str, object]", call)) if isinstance(call, dict) else call
