"""Values inside a JSON document, with the place where each stands: what is wrong is said with it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from airframe.errors import ErrorCategory
from airframe.types import JSONObject, JSONValue
from avionics.errors import LLMInvalidRequestError

__all__ = ["Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """A value and its place, such as `messages[0].content`. Its methods raise `LLMInvalidRequestError`."""

    name: str
    value: JSONValue

    def text(self) -> str:
        """The value, which must be a text."""
        if not isinstance(self.value, str):
            raise self._misshapen("a text")
        return self.value

    def members(self) -> JSONObject:
        """The value, which must be an object."""
        if not isinstance(self.value, Mapping):
            raise self._misshapen("an object")
        return self.value

    def items(self) -> Iterator[Place]:
        """The items of the value, which must be a list."""
        if isinstance(self.value, str) or not isinstance(self.value, Sequence):
            raise self._misshapen("a list")
        for position, item in enumerate(self.value):
            yield Place(f"{self.name}[{position}]", item)

    def get(self, member: str) -> Place | None:
        """A member of the object; None where it is missing or null."""
        value = self.members().get(member)
        return None if value is None else Place(self._inside(member), value)

    def need(self, member: str) -> Place:
        """A member that must be there."""
        found = self.get(member)
        if found is None:
            raise _refused(f"{self._inside(member)} is missing")
        return found

    def only(self, known: Collection[str]) -> None:
        """Refuse members that are not known, unless they say nothing."""
        unknown = [name for name, value in self.members().items() if name not in known and value not in (None, [], {})]
        if unknown:
            raise _refused(f"{self._name} has unknown members: {', '.join(sorted(unknown))}")

    def refused(self, expected: str) -> LLMInvalidRequestError:
        """The error for a value that is of the right shape, and not one of those that are known."""
        return _refused(f"{self._name} must be {expected}, got {str(self.value)[:40]!r}")

    def _misshapen(self, shape: str) -> LLMInvalidRequestError:
        return _refused(f"{self._name} must be {shape}, got {type(self.value).__name__}")

    @property
    def _name(self) -> str:
        return self.name or "the whole"

    def _inside(self, member: str) -> str:
        return f"{self.name}.{member}" if self.name else member


def _refused(message: str) -> LLMInvalidRequestError:
    return LLMInvalidRequestError(message, category=ErrorCategory.INVALID_REQUEST)
