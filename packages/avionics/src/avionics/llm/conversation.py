"""What was said so far, and what of it a model is told.

The whole history is kept; what goes to the model is the system message and as many of the last turns as the limits
allow. A turn is a question and all that follows up to the next one, so a tool call and its result are never parted.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Self, TypeAlias, cast

from airframe.errors import InvalidRequestError
from airframe.types import JSONObject, Message, Part, ToolCall, ToolResultPart
from avionics.errors import ConfigurationError
from avionics.llm.message_json import message_from_json, message_to_json
from avionics.llm.requests import estimate_message_tokens

__all__ = ["Conversation", "ConversationContext", "Summarize"]

Summarize: TypeAlias = Callable[[Sequence[Message]], str | Awaitable[str]]
"""Makes a text of messages that are about to be forgotten. The first of them may be its own earlier summary."""

_FORMAT = "avionics-conversation-1"
_INSTRUCTIONS = frozenset({"system", "developer"})
_SUMMARY = "What was said before, in short:"


class Conversation:
    """A conversation with any model: the history does not depend on who answers.

    Switching the model in the middle needs nothing: what only its issuer can read (signed thoughts, items of hosted
    tools) is kept, and airframe leaves it out for everybody else, with a warning in the result.

    Args:
        system: what the model is told first; never forgotten.
        max_turns: how many of the last turns the model is told; None is all.
        token_budget: how many tokens it is told at most, as `count` counts; None is no limit. The last question and the
            last step after it are told even if they are longer.
        summarize: makes a summary of what `compact` forgets.
        count: how many tokens a message is.

    Raises `ConfigurationError` for limits below 1.
    """

    def __init__(
        self,
        system: str | None = None,
        *,
        max_turns: int | None = None,
        token_budget: int | None = None,
        summarize: Summarize | None = None,
        count: Callable[[Message], int] = estimate_message_tokens,
    ) -> None:
        for name, limit in (("max_turns", max_turns), ("token_budget", token_budget)):
            if limit is not None and limit < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {limit}; leave it None for no limit")
        self.system = system
        self.summary: str | None = None
        """What was forgotten, in short; the model is told it after the system message."""
        self.max_turns = max_turns
        self.token_budget = token_budget
        self.summarize = summarize
        self._count = count
        self._history: list[Message] = []
        self._asked: int | None = None  # where the question begins that waits for its answer

    @property
    def history(self) -> Sequence[Message]:
        """All that was said and not compacted, without the system message."""
        return tuple(self._history)

    def __len__(self) -> int:
        return len(self._history)

    def add(self, *messages: Message) -> None:
        """What was said next."""
        self._history += messages

    def add_user_message(self, content: str | Sequence[Part]) -> None:
        """What the user said."""
        self.add(Message("user", content if isinstance(content, str) else tuple(content)))

    def add_assistant_message(self, content: str | Sequence[Part]) -> None:
        """What the model said; an answer's parts are `InferenceResult.content`."""
        self.add(Message("assistant", content if isinstance(content, str) else tuple(content)))

    def add_tool_message(self, tool_call_id: str, content: str, *, is_error: bool = False) -> None:
        """What a tool answered."""
        self.add(Message.tool(tool_call_id, content, is_error=is_error))

    def ask(self, *messages: Message) -> None:
        """What was said next, until it is answered; the history is that of one chat at a time.

        Raises `RuntimeError` while an answer is waited for.
        """
        if self._asked is not None:
            raise RuntimeError("the conversation waits for an answer: wait too, or close the stream that gives it")
        self._asked = len(self._history)
        self.add(*messages)

    def answer(self, message: Message) -> None:
        """What was said in return."""
        self._asked = None
        self.add(message)

    def take_back(self) -> None:
        """Nobody answers: what was asked is forgotten."""
        if self._asked is not None:
            del self._history[self._asked :]
            self._asked = None

    def clear(self) -> None:
        """Forget all but the system message."""
        self._history.clear()
        self.summary = None

    def get_messages(self) -> list[Message]:
        """What the model is told: the system message and the last turns that the limits allow."""
        return [*self._first(), *(self._history[position] for position in self._kept())]

    async def compact(self) -> None:
        """Forget for good what the model is no longer told; `summarize`, if there is one, puts it into the summary.

        Raises what `summarize` raises; then nothing is forgotten.
        """
        forgotten = set(range(len(self._history))) - set(self._kept())
        if not forgotten:
            return
        if self.summarize is not None:
            earlier = [Message("system", self.summary)] if self.summary else []
            summary = self.summarize([*earlier, *(self._history[position] for position in sorted(forgotten))])
            self.summary = await summary if inspect.isawaitable(summary) else summary
        if self._asked is not None:
            self._asked -= sum(position < self._asked for position in forgotten)
        # What was added meanwhile stands behind these positions.
        self._history = [message for position, message in enumerate(self._history) if position not in forgotten]

    # -- saving

    def to_json(self) -> str:
        """The conversation as a JSON document; `summarize` and `count` are not part of it."""
        return json.dumps(
            {
                "format": _FORMAT,
                "system": self.system,
                "summary": self.summary,
                "max_turns": self.max_turns,
                "token_budget": self.token_budget,
                "messages": [message_to_json(message) for message in self._history],
            },
            default=dict,  # mappings of other types
        )

    @classmethod
    def from_json(cls, text: str | bytes, *, summarize: Summarize | None = None) -> Self:
        """The conversation that was made into `text`. Raises `InvalidRequestError` for what is none."""
        try:
            document: object = json.loads(text)
        except ValueError as error:
            raise InvalidRequestError(f"not a saved conversation: it is no JSON ({error})") from None
        if not isinstance(document, dict) or cast("JSONObject", document).get("format") != _FORMAT:
            raise InvalidRequestError(f"not a saved conversation: its format is not {_FORMAT!r}")
        saved = cast("dict[str, object]", document)
        messages = saved.get("messages", ())
        if not isinstance(messages, (list, tuple)):
            raise InvalidRequestError(f"not a saved conversation: messages is a {type(messages).__name__}, not a list")
        self = cls(
            cast("str | None", saved.get("system")),
            max_turns=cast("int | None", saved.get("max_turns")),
            token_budget=cast("int | None", saved.get("token_budget")),
            summarize=summarize,
        )
        self.summary = cast("str | None", saved.get("summary"))
        self.add(*map(message_from_json, cast("Sequence[JSONObject]", messages)))
        return self

    def save(self, path: str | Path) -> None:
        """Write the conversation to a file. Raises `OSError`."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path, *, summarize: Summarize | None = None) -> Self:
        """The conversation in a file. Raises `OSError`, and as `from_json`."""
        return cls.from_json(Path(path).read_bytes(), summarize=summarize)

    # -- pruning

    def _first(self) -> list[Message]:
        summary = f"{_SUMMARY}\n{self.summary}" if self.summary else None
        words = [text for text in (self.system, summary) if text]
        return [Message("system", "\n\n".join(words))] if words else []

    def _kept(self) -> list[int]:
        """Positions in the history of what the model is told."""
        blocks = _blocks(self._history)
        turns = [number for number, block in enumerate(blocks) if self._history[block.start].role == "user"]
        first = turns[-self.max_turns] if self.max_turns is not None and len(turns) > self.max_turns else 0
        chosen = list(range(first, len(blocks)))
        if self.token_budget is not None:
            budget = self.token_budget - sum(map(self._count, [*self._first(), *self._instructions()]))
            chosen = self._within(budget, blocks, chosen, turns)
        told = {position for number in chosen for position in blocks[number]}
        instructions = {at for at, message in enumerate(self._history) if message.role in _INSTRUCTIONS}
        return sorted(told | instructions)

    def _within(self, budget: int, blocks: Sequence[range], chosen: list[int], turns: Sequence[int]) -> list[int]:
        """Leave out whole turns from the front, then the first steps of the last one, until the rest fits."""
        sizes = [sum(map(self._size, block)) for block in blocks]
        for turn in turns:
            if sum(sizes[number] for number in chosen) > budget:
                chosen = [number for number in chosen if number >= turn]
        question = chosen[:1] if chosen and turns and chosen[0] == turns[-1] else []
        steps = chosen[len(question) :]
        while len(steps) > 1 and sum(sizes[number] for number in (*question, *steps)) > budget:
            del steps[0]
        return [*question, *steps]

    def _instructions(self) -> Iterator[Message]:
        return (message for message in self._history if message.role in _INSTRUCTIONS)

    def _size(self, position: int) -> int:
        message = self._history[position]
        return 0 if message.role in _INSTRUCTIONS else self._count(message)


ConversationContext = Conversation
"""The same, under its other name."""


def _blocks(history: Sequence[Message]) -> list[range]:
    """The shortest pieces of a history that part no tool call from its result."""
    end = list(range(len(history)))  # the last message that must stay with each one
    called: dict[str, int] = {}
    for position, message in enumerate(history):
        for part in message.parts:
            if isinstance(part, ToolCall):
                called[part.id] = position  # ids come again: a result belongs to the last call before it
            elif isinstance(part, ToolResultPart) and part.tool_call_id in called:
                end[called[part.tool_call_id]] = position
    blocks: list[range] = []
    start = last = 0
    for position in range(len(history)):
        if position > last or position == 0:
            if position:
                blocks.append(range(start, position))
            start = last = position
        last = max(last, end[position])
    return [*blocks, range(start, len(history))] if history else []
