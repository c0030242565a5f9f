"""What the benchmarks ask of a client."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["KEY", "MODEL", "Client", "Turn"]

KEY = "sk-made-up-for-the-benchmark"
MODEL = "gpt-4.1-mini"

Turn = tuple[str, str]
"""A role and what it said."""

MessagesT = TypeVar("MessagesT")


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

    @abstractmethod
    async def answer(self, messages: MessagesT) -> int:
        """Ask for the whole answer; gives how many characters it has."""

    async def aclose(self) -> None:
        """Close what is open."""
