"""Reasoning and tool calls that a model wrote into its plain text, taken out of it again.

    think        <think>First, ...</think>The answer.
    think_open   First, ...</think>The answer.           the chat template has opened the thought in the prompt
    harmony      <|channel|>analysis<|message|>First, ...<|end|>
                 <|start|>assistant<|channel|>commentary to=functions.look_up <|constrain|>json<|message|>{...}<|call|>
                 <|start|>assistant<|channel|>final<|message|>The answer.<|return|>

Servers split these themselves when they know the model. This is for those that do not. What was handed out cannot be
taken back, so an answer that begins inside a thought must be announced (`think_open`): under `think` its `</think>` is
a stray tag, and a warning says so. Sources: recorded answers of Qwen 3 models; openai/harmony 20cd04c, `docs/format.md`
(read 2026-11-20).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum
from typing import ClassVar, TypeAlias, assert_never

from airframe.types.request import Markup
from airframe.types.result import InferenceWarning

__all__ = ["MarkupSplitter", "Piece", "Voice", "splitter_for", "stray_tokens"]

_MOST_NAMED = 5  # control tokens in a warning
_LONGEST_HEADER = 256  # characters between `<|start|>` and `<|message|>`; what is longer was no header

_CONTROL_TOKEN = re.compile(r"<\|[A-Za-z_]{1,40}\|>|<\uff5c[^<>]{1,40}\uff5c>|</?think>|<end_of_turn>")


class Voice(Enum):
    """What a piece of text turned out to be. `CALL` opens a tool call and holds its name."""

    TEXT = "text"
    REASONING = "reasoning"
    CALL = "call"
    ARGUMENTS = "arguments"


Piece: TypeAlias = tuple[Voice, str]


class MarkupSplitter(ABC):
    """Splits a text that comes in any pieces. It holds back at most the beginning of a tag, or of a message header."""

    tags: ClassVar[tuple[str, ...]]
    pattern: ClassVar[re.Pattern[str]]

    def __init__(self) -> None:
        self._tail = ""
        self._longest_tail = max(map(len, self.tags)) - 1

    def feed(self, text: str) -> Sequence[Piece]:
        """What `text` adds."""
        pieces: list[Piece] = []
        text = self._tail + text
        start = 0
        for tag in self.pattern.finditer(text):
            if tag.start() > start:
                self._text(text[start : tag.start()], pieces)
            self._tag(tag.group(), pieces)
            start = tag.end()
        end = self._where_a_tag_may_begin(text, start)
        if end > start:
            self._text(text[start:end], pieces)
        self._tail = text[end:]
        return pieces

    def flush(self) -> Sequence[Piece]:
        """What was held back, when no text follows: it was not what it looked like."""
        held = self.held()
        self._tail = ""
        return [held] if held else []

    @abstractmethod
    def held(self) -> Piece | None:
        """What is held back, as the piece that it is if nothing follows."""

    @property
    def thinking(self) -> bool:
        """Whether the text so far ends inside a thought that was to be closed."""
        return False

    @abstractmethod
    def _text(self, text: str, pieces: list[Piece]) -> None: ...

    @abstractmethod
    def _tag(self, tag: str, pieces: list[Piece]) -> None: ...

    def _where_a_tag_may_begin(self, text: str, start: int) -> int:
        """The place near the end of `text` from which on a tag may begin; its length if there is none."""
        position = text.rfind("<", max(start, len(text) - self._longest_tail))
        if position >= 0 and any(tag.startswith(text[position:]) for tag in self.tags):
            return position
        return len(text)


class _ThinkSplitter(MarkupSplitter):
    """`<think>` tags. White space behind a tag belongs to the layout, and is left out."""

    tags = ("<think>", "</think>")
    pattern = re.compile("</?think>")

    def __init__(self, *, thinking: bool) -> None:
        super().__init__()
        self._thinking = thinking
        self._behind_tag = thinking

    @property
    def thinking(self) -> bool:
        return self._thinking

    def held(self) -> Piece | None:
        return (self._voice, self._tail) if self._tail else None

    @property
    def _voice(self) -> Voice:
        return Voice.REASONING if self._thinking else Voice.TEXT

    def _text(self, text: str, pieces: list[Piece]) -> None:
        if self._behind_tag:
            text = text.lstrip()
            if not text:
                return
            self._behind_tag = False
        pieces.append((self._voice, text))

    def _tag(self, tag: str, pieces: list[Piece]) -> None:
        opens = tag == "<think>"
        if opens != self._thinking:
            self._thinking = opens
            self._behind_tag = True
        elif not (opens and self._behind_tag):  # where the prompt has opened the thought, models may open it again
            self._text(tag, pieces)


class _HarmonySplitter(MarkupSplitter):
    """The channels of gpt-oss: `analysis` is reasoning, a recipient makes a tool call, everything else is text."""

    tags = ("<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|end|>", "<|call|>", "<|return|>")
    pattern = re.compile("|".join(map(re.escape, tags)))
    _recipient = re.compile(r"\bto=([^\s<]+)")
    _channel = re.compile(r"<\|channel\|>\s*(\w+)")
    _recipient_first = re.compile(r"\s*(?:t|to|to=\S*)?\s*")

    def __init__(self) -> None:
        super().__init__()
        self._voice = Voice.TEXT
        self._header: str | None = ""  # the prompt ends with `<|start|>assistant`, so a recipient may come first

    def held(self) -> Piece | None:
        held = (self._header or "") + self._tail
        return (Voice.TEXT if self._header else self._voice, held) if held else None

    def flush(self) -> Sequence[Piece]:
        pieces = super().flush()
        if self._header is not None:
            self._drop_header()
        return pieces

    def _text(self, text: str, pieces: list[Piece]) -> None:
        if self._header is None:
            pieces.append((self._voice, text))
            return
        self._header += text
        begun = "<|" in self._header
        if len(self._header) > _LONGEST_HEADER or not (begun or self._recipient_first.fullmatch(self._header)):
            pieces.append((Voice.TEXT, self._header))
            self._drop_header()

    def _tag(self, tag: str, pieces: list[Piece]) -> None:
        header = self._header
        match tag:
            case "<|start|>":
                if header:
                    pieces.append((Voice.TEXT, header))
                self._header = tag
            case "<|channel|>":
                self._header = (header or "") + tag
            case "<|constrain|>" if header is not None:
                self._header = header + tag
            case "<|message|>" if header is not None:
                self._open(header, pieces)
            case "<|end|>" | "<|call|>" | "<|return|>" if not header:
                self._drop_header()
            case _:
                self._text(tag, pieces)

    def _open(self, header: str, pieces: list[Piece]) -> None:
        """A message begins."""
        self._header = None
        if recipient := self._recipient.search(header):
            self._voice = Voice.ARGUMENTS
            pieces.append((Voice.CALL, recipient.group(1).removeprefix("functions.")))
        else:
            channel = self._channel.search(header)
            self._voice = Voice.REASONING if channel and channel.group(1) == "analysis" else Voice.TEXT

    def _drop_header(self) -> None:
        """What follows stands outside of any message."""
        self._header = None
        self._voice = Voice.TEXT


def splitter_for(markup: Markup) -> MarkupSplitter | None:
    """A fresh splitter; None where nothing is marked."""
    match markup:
        case "none":
            return None
        case "think" | "think_open":
            return _ThinkSplitter(thinking=markup == "think_open")
        case "harmony":
            return _HarmonySplitter()
        case _:
            assert_never(markup)


def stray_tokens(text: str) -> InferenceWarning | None:
    """A warning about control tokens in a finished text: its markup, or the model's template, is another one."""
    if "<" not in text or not (found := sorted(set(_CONTROL_TOKEN.findall(text)))):
        return None
    return InferenceWarning(
        "markup",
        f"the text holds control tokens: {', '.join(found[:_MOST_NAMED])}; markup= says how reasoning is marked",
    )
