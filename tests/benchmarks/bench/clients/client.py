"""What the benchmarks ask of a client."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["KEY", "MODEL", "Client", "Turn", "since"]

KEY = "sk-made-up-for-the-benchmark"
MODEL = "gpt-4.1-mini"

Turn = tuple[str, str]
"""A role and what it said."""

MessagesT = TypeVar("MessagesT")


def since(stamp: str) -> float:
    """The seconds since the moment that an event was stamped with."""
    return (time.monotonic_ns() - int(stamp)) / 1e9


class Client(ABC, Generic[MessagesT]):
    """A client of the server at `url`. It may hold `connections`, so that no call has to wait for one."""

    @abstractmethod
    def __init__(self, url: str, connections: int) -> None: ...

    @abstractmethod
    def messages(self, turns: Sequence[Turn]) -> MessagesT:
        """The conversation in the client's own types. Programs keep it, so making it is not measured."""

    @abstractmethod
    async def stream(self, messages: MessagesT, heard: Callable[[], None]) -> int:
        """Read an answer as it comes, calling `heard` at its first event; gives how many characters there were."""

    async def delays(self, messages: MessagesT) -> Sequence[float] | None:
        """Read a stream of stamped events; gives the seconds that each took from the server to here, if it can tell."""
        return None

    @abstractmethod
    async def answer(self, messages: MessagesT) -> int:
        """Ask for the whole answer; gives how many characters it has."""

    async def aclose(self) -> None:
        """Close what is open."""
