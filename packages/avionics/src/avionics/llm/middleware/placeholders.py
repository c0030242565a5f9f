"""Placeholders for what must not leave: put into a request, and taken out of its answer, whole or in pieces."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

from avionics.llm.middleware.personal_data import Detector

__all__ = ["Placeholders", "RestoringTransform"]


class Placeholders:
    """Those of one call. Equal values have one placeholder, numbered by when they were first seen.

    So the same conversation is redacted in the same way each time, and caches know it again.

    Args:
        detectors: by the name that the placeholders have: `EMAIL` makes `[EMAIL_1]`.
        foreign: all text of the request: a placeholder that stands there already is not used.
    """

    def __init__(self, detectors: Mapping[str, Detector], foreign: str = "") -> None:
        self._detectors = detectors
        self._foreign = foreign
        self._by_value: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._numbers = dict.fromkeys(detectors, 0)

    def __len__(self) -> int:
        return len(self._values)

    def redact(self, text: str) -> str:
        """The text with placeholders."""
        return self._redact(text, tuple(self._detectors.items()))

    def redact_json(self, document: str) -> str:
        """The JSON text with placeholders; as text where it is none. A number becomes a text if it is found."""
        try:
            value: object = json.loads(document)
            redacted = self._redact_value(value)
        except (ValueError, RecursionError):
            return self.redact(document)
        return document if redacted == value else json.dumps(redacted, ensure_ascii=False)

    def restore(self, text: str) -> str:
        """The text with the values."""
        for placeholder, value in self._values.items():
            text = text.replace(placeholder, value)
        return text

    def restore_json(self, document: str) -> str:
        """The same for JSON, whole or broken off: values are written as JSON writes them inside of texts."""
        for placeholder, value in self._values.items():
            document = document.replace(placeholder, json.dumps(value, ensure_ascii=False)[1:-1])
        return document

    def is_beginning(self, text: str) -> bool:
        """Whether a placeholder begins with this text and goes on."""
        return any(placeholder.startswith(text) and placeholder != text for placeholder in self._values)

    def _redact(self, text: str, detectors: Sequence[tuple[str, Detector]]) -> str:
        """What one detector leaves over is for the next ones, so that none looks into a placeholder."""
        if not text or not detectors:
            return text
        (kind, detect), *others = detectors
        pieces: list[str] = []
        end = 0
        for start, stop in detect(text):
            pieces += [self._redact(text[end:start], others), self._placeholder(kind, text[start:stop])]
            end = stop
        return "".join([*pieces, self._redact(text[end:], others)])

    def _placeholder(self, kind: str, value: str) -> str:
        if value not in self._by_value:
            placeholder = self._next(kind)
            while placeholder in self._foreign:
                placeholder = self._next(kind)
            self._by_value[value] = placeholder
            self._values[placeholder] = value
        return self._by_value[value]

    def _next(self, kind: str) -> str:
        self._numbers[kind] += 1
        return f"[{kind}_{self._numbers[kind]}]"

    def _redact_value(self, value: object) -> object:
        match value:
            case str():
                return self.redact(value)
            case bool() | None:
                return value
            case int() | float():
                text = str(value)
                redacted = self.redact(text)
                return value if redacted == text else redacted
            case dict():
                items = cast("dict[str, object]", value).items()
                return {self.redact(name): self._redact_value(inner) for name, inner in items}
            case list():
                return [self._redact_value(inner) for inner in cast("list[object]", value)]
            case _:
                return value


class RestoringTransform:
    """A `TextTransform` that puts values in the place of placeholders, wherever they are cut between two pieces."""

    def __init__(self, placeholders: Placeholders) -> None:
        self._placeholders = placeholders
        self._held = ""

    @property
    def held(self) -> str:
        """What may be the beginning of a placeholder."""
        return self._held

    def feed(self, text: str, /) -> str:
        """Take a piece; gives it up to what may be the beginning of a placeholder."""
        text = self._held + text
        start = text.rfind("[")  # a placeholder has no other one inside
        cut = start if start >= 0 and self._placeholders.is_beginning(text[start:]) else len(text)
        self._held = text[cut:]
        return self._placeholders.restore(text[:cut])

    def finish(self) -> str:
        """What looked like a beginning was none."""
        text, self._held = self._held, ""
        return text
