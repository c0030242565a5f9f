"""A file of requests, one a line, in the form of OpenAI's batches (guide "Batch API", read 2026-11-20).

{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": [...]}}`
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from airframe.errors import ErrorCategory
from airframe.types import JSONObject
from avionics.errors import ConfigurationError, ConfigurationValidationError, LLMInvalidRequestError
from avionics.llm.batch.call_request import CallRequest
from avionics.llm.batch.chat_request import read_chat_request
from avionics.llm.batch.json_place import Place

__all__ = ["InputLine", "check_input", "read_input"]

_URL = "/v1/chat/completions"
_MOST_PROBLEMS = 10
"""So many are told at once: a file that is something else has one in every line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputLine:
    """A request of the file. `number` counts lines from 1."""

    number: int
    custom_id: str
    method: str
    url: str
    body: JSONObject

    def request(self) -> CallRequest:
        """What is asked. Raises `LLMInvalidRequestError` that says why that cannot be done."""
        if (self.method, self.url) != ("POST", _URL):
            message = f"method and url must be POST {_URL}, got {self.method} {self.url}"
            raise LLMInvalidRequestError(message, category=ErrorCategory.INVALID_REQUEST)
        return read_chat_request(self.body, id=self.custom_id)


def check_input(path: Path) -> Sequence[str]:
    """The ids of all lines, in order.

    Raises `ConfigurationError`: for a file that cannot be read, for lines that are no requests, and for ids that come
    twice, with the numbers of the lines.
    """
    first: dict[str, int] = {}
    problems: list[str] = []
    for number, text in _lines(path):
        try:
            line = _line(number, text)
        except ValueError as error:
            problems.append(f"{path}, line {number}: {error}")
        else:
            if line.custom_id in first:
                again = f"custom_id {line.custom_id!r} is taken by line {first[line.custom_id]}"
                problems.append(f"{path}, line {number}: {again}; give each line its own")
            first.setdefault(line.custom_id, number)
        if len(problems) == _MOST_PROBLEMS:
            break
    if problems:
        raise ConfigurationValidationError(*problems)
    if not first:
        raise ConfigurationError(f"{path} holds no requests; give it one JSON object a line")
    return list(first)


def read_input(path: Path) -> Iterator[InputLine]:
    """The lines of a file that was checked."""
    for number, text in _lines(path):
        yield _line(number, text)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from ((number, text) for number, text in enumerate(file, 1) if text.strip())
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None


def _line(number: int, text: str) -> InputLine:
    """Raises `ValueError` for what is no request."""
    try:
        line = Place("", json.loads(text))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    method, url = line.get("method"), line.get("url")
    return InputLine(
        number=number,
        custom_id=line.need("custom_id").text(),
        method=method.text() if method else "POST",
        url=url.text() if url else _URL,
        body=line.need("body").members(),
    )
