"""An answer under construction: text, reasoning and tool calls, kept in the order in which they were said.

Pieces are collected and joined once, so the work is linear in the length of the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from airframe.errors import LimitExceededError, Phase
from airframe.protocols.markup import Piece, Voice, splitter_for, stray_tokens
from airframe.protocols.protocol import DecodeOptions
from airframe.types.events import ReasoningEvent, StreamEvent, TokenEvent, ToolCallDeltaEvent
from airframe.types.json_value import JSONObject
from airframe.types.messages import Part, ReasoningPart, RefusalPart, TextPart, ToolCall
from airframe.types.result import FinishReason, InferenceWarning

__all__ = ["AnswerDraft", "PartDraft", "ToolCallDraft"]


@dataclass(slots=True)
class ToolCallDraft:
    """A tool call of which pieces are still to come. `position` counts the calls of the answer from 0."""

    position: int
    id: str | None = None
    name: str | None = None
    pieces: list[str] = field(default_factory=list[str])
    item_id: str | None = None
    caller: JSONObject | None = None


@dataclass(slots=True)
class PartDraft:
    """A part of which pieces are still to come. `settled` is what it turned out to be, and wins over the pieces."""

    kind: type[TextPart | ReasoningPart | RefusalPart]
    pieces: list[str] = field(default_factory=list[str])
    settled: Part | None = None


class AnswerDraft:
    """Collects what a model says, and makes the events of it. `issuer` is noted on its reasoning.

    Pieces follow one another, and a piece of another kind begins another part. Wire formats that name the part to
    which a piece belongs `begin` their parts and give them as `into`; parts that are open together stay apart.

    Where `options.markup` says so, text is split into reasoning, tool calls and text first. Then a few characters may
    be held back, until `end_text`.
    """

    def __init__(self, *, issuer: str, options: DecodeOptions) -> None:
        self._issuer = issuer
        self._max_tool_calls = options.limits.tool_calls
        self._items: list[PartDraft | ToolCallDraft] = []
        self._run: PartDraft | None = None
        self._splitter = splitter_for(options.markup)
        self._marked_call: ToolCallDraft | None = None
        self.tool_calls: list[ToolCallDraft] = []

    @property
    def empty(self) -> bool:
        """Whether nothing has been said yet."""
        return not self._items and self._held() is None

    def text(self, piece: str, out: list[StreamEvent], into: PartDraft | None = None) -> None:
        """A piece of the answer, in which reasoning may be marked."""
        if self._splitter is None:
            self._append(TextPart, piece, into)
            out.append(TokenEvent(piece))
        else:
            self._split(self._splitter.feed(piece), out, into)

    def end_text(self, out: list[StreamEvent]) -> None:
        """No more text follows in this place: what was held back for its markup is said now."""
        if self._splitter is not None:
            self._split(self._splitter.flush(), out)

    def reasoning(self, piece: str, out: list[StreamEvent], into: PartDraft | None = None) -> None:
        """A piece of the reasoning."""
        self.end_text(out)
        self._append(ReasoningPart, piece, into)
        out.append(ReasoningEvent(piece))

    def refusal(self, piece: str, into: PartDraft | None = None) -> None:
        """A piece of a refusal."""
        self._append(RefusalPart, piece, into)

    def begin(self, kind: type[TextPart | ReasoningPart | RefusalPart]) -> PartDraft:
        """A part of its own. It shows in the answer when a piece has come, or when it is settled."""
        draft = PartDraft(kind)
        self._items.append(draft)
        self._run = None
        return draft

    def add(self, part: Part) -> PartDraft:
        """A part that comes whole, such as what a hosted tool did. Settling it anew replaces it."""
        draft = self.begin(TextPart)
        draft.settled = part
        return draft

    def new_tool_call(
        self, id: str | None = None, name: str | None = None, item_id: str | None = None
    ) -> ToolCallDraft:
        """Begin a tool call. Raises `LimitExceededError`."""
        if len(self.tool_calls) >= self._max_tool_calls:
            raise LimitExceededError(
                f"the answer has more tool calls than Limits.tool_calls allows ({self._max_tool_calls})",
                phase=Phase.CONTENT,
                limit="tool_calls",
            )
        draft = ToolCallDraft(len(self.tool_calls), id, name, item_id=item_id)
        self.tool_calls.append(draft)
        self._items.append(draft)
        self._run = None
        return draft

    def content(self, *, complete: bool) -> tuple[Part, ...]:
        """The parts. With `complete` False, tool calls are marked as possibly cut."""
        ids = _UniqueIds(draft.id for draft in self.tool_calls if draft.id)
        parts = [
            self._part(item, ids, complete)
            for item in self._items
            if isinstance(item, ToolCallDraft) or item.pieces or item.settled is not None
        ]
        if held := self._held():
            kind, piece = (ReasoningPart if held[0] is Voice.REASONING else TextPart), held[1]
            parts.append(self._part(PartDraft(kind, [piece]), ids, complete))
        return tuple(parts)

    def warnings(self) -> Sequence[InferenceWarning]:
        """What is odd about the text: a thought without an end, or control tokens that do not belong there."""
        warnings: list[InferenceWarning] = []
        if self._splitter is not None and self._splitter.thinking:
            warnings.append(
                InferenceWarning("markup", "the answer ended inside a thought: the tag that closes it never came")
            )
        said = [item for item in self._items if isinstance(item, PartDraft) and item.kind is TextPart]
        if stray := stray_tokens("".join(piece for item in said for piece in item.pieces)):
            warnings.append(stray)
        return warnings

    def finish_reason(self, said: FinishReason) -> FinishReason:
        """`said`, unless the backend did not know that it stopped for a tool call: the one in its text."""
        return FinishReason.TOOL_CALLS if said is FinishReason.STOP and self._marked_call else said

    def _held(self) -> Piece | None:
        return self._splitter.held() if self._splitter else None

    def _split(self, pieces: Sequence[Piece], out: list[StreamEvent], into: PartDraft | None = None) -> None:
        for voice, piece in pieces:
            match voice:
                case Voice.TEXT:
                    self._append(TextPart, piece, into)
                    out.append(TokenEvent(piece))
                case Voice.REASONING:
                    self._append(ReasoningPart, piece, None)
                    out.append(ReasoningEvent(piece))
                case Voice.CALL:
                    call = self._marked_call = self.new_tool_call(name=piece)
                    out.append(ToolCallDeltaEvent(call.position, None, call.name, ""))
                case Voice.ARGUMENTS:
                    marked = self._marked_call
                    assert marked is not None, "arguments come behind the name of their call"
                    marked.pieces.append(piece)
                    out.append(ToolCallDeltaEvent(marked.position, None, marked.name, piece))

    def _part(self, item: PartDraft | ToolCallDraft, ids: _UniqueIds, complete: bool) -> Part:
        if isinstance(item, ToolCallDraft):
            id, generated = ids.take(item)
            return ToolCall(
                id=id,
                name=item.name or "",
                arguments="".join(item.pieces) or "{}",
                complete=complete,
                id_generated=generated,
                item_id=item.item_id,
                caller=item.caller,
            )
        if item.settled is not None:
            return item.settled
        text = "".join(item.pieces)
        if item.kind is ReasoningPart:
            return ReasoningPart(text=text, issuer=self._issuer)
        return RefusalPart(text) if item.kind is RefusalPart else TextPart(text)

    def _append(self, kind: type[TextPart | ReasoningPart | RefusalPart], piece: str, into: PartDraft | None) -> None:
        run = into or self._run
        if run is None or run.kind is not kind:
            self._run = run = self.begin(kind)
        run.pieces.append(piece)


class _UniqueIds:
    """Gives each call an id of its own: the backend's where it sent one for this call alone, else `call_N`."""

    def __init__(self, given: Iterable[str]) -> None:
        self._given = set(given)
        self._taken: set[str] = set()

    def take(self, draft: ToolCallDraft) -> tuple[str, bool]:
        if draft.id and draft.id not in self._taken:
            self._taken.add(draft.id)
            return draft.id, False
        number = draft.position
        while (made := f"call_{number}") in self._taken or made in self._given:
            number += 1
        self._taken.add(made)
        return made, True
