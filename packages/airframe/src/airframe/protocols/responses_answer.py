"""An answer of OpenAI's Responses under construction: items, which are taken whole or in pieces."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import cast

from airframe.errors import BackendError
from airframe.protocols.answer import AnswerDraft, PartDraft, ToolCallDraft
from airframe.protocols.backend_error import error_in
from airframe.protocols.protocol import DecodeOptions
from airframe.protocols.reading import (
    JSONDict,
    array_in,
    object_in,
    objects_in,
    read_annotation,
    read_cost,
    read_tier,
    read_usage,
    text_in,
    whole_number_in,
)
from airframe.protocols.responses_dialect import ResponsesDialect
from airframe.types.events import StreamEvent, ToolCallDeltaEvent
from airframe.types.json_value import JSONObject, JSONValue
from airframe.types.messages import HostedToolPart, ReasoningPart, RefusalPart, SearchHit, TextPart
from airframe.types.result import Annotation, FinishReason, InferenceResult, InferenceWarning, Usage

__all__ = ["UNFINISHED", "ResponsesAnswer"]

_INCOMPLETE_REASONS: Mapping[str, FinishReason] = MappingProxyType(
    {"max_output_tokens": FinishReason.LENGTH, "content_filter": FinishReason.CONTENT_FILTER}
)
_FINISHED = {"completed": FinishReason.STOP, "cancelled": FinishReason.CANCELLED}
_KNOWN_FIELDS = frozenset({"id", "object", "model", "output", "usage", "error", "timings", "created_at"})
# Items with which the model hands over to the caller, besides `function_call`.
_HANDOVERS = frozenset(
    {"apply_patch_call", "computer_call", "custom_tool_call", "local_shell_call", "mcp_approval_request"}
)
_PIECES = frozenset(
    {
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_text.annotation.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_text.delta",
        "response.refusal.delta",
    }
)
"""Events that bring a piece of an item. Others say nothing that the finished items do not."""
_REASONING = ("reasoning", 0)  # an item of reasoning is one part, however many summaries it has
_PARAGRAPH = "\n\n"

UNFINISHED = frozenset({None, "queued", "in_progress"})
"""What a response's status is as long as more is to come."""


@dataclass(slots=True)
class _ItemDraft:
    """An item under construction: what of it is drafted, by the place inside it."""

    kind: str = ""
    parts: dict[tuple[str, int], PartDraft] = field(default_factory=dict[tuple[str, int], PartDraft])
    said: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    """Texts as they came, by `content_index`, where markup is taken out of what is drafted."""
    call: ToolCallDraft | None = None
    annotations: list[Annotation] = field(default_factory=list[Annotation])
    logprobs: list[JSONValue] = field(default_factory=list[JSONValue])
    hands_over: bool = False
    listed: bool = False
    """Whether the final list, which is being read, has named it."""


class ResponsesAnswer:
    """What an answer says, taken from one whole document or from many events."""

    def __init__(self, dialect: ResponsesDialect, options: DecodeOptions) -> None:
        self.draft = AnswerDraft(issuer=dialect.name, options=options)
        self.status: str | None = None
        self.response_id: str | None = None
        self.error: BackendError | None = None
        self._dialect = dialect
        self._longest = None if dialect.tells_limit else options.max_tokens
        self._marked = options.markup != "none"
        self._items: list[_ItemDraft] = []
        self._by_id: dict[str, _ItemDraft] = {}
        self._by_index: dict[int, _ItemDraft] = {}
        self._incomplete_reason: str | None = None
        self._model: str | None = None
        self._usage: JSONDict | None = None
        self._timings: JSONObject | None = None
        self._extra: JSONDict = {}

    # -- whole things

    def take_response(self, response: JSONDict, out: list[StreamEvent], raw: bytes) -> None:
        """Read a response object; its items say the last word about what came in pieces."""
        self.response_id = text_in(response, "id") or self.response_id
        self._model = text_in(response, "model") or self._model
        self.status = text_in(response, "status") or self.status
        self._usage = object_in(response, "usage") or self._usage
        self._take_timings(response)
        details = object_in(response, "incomplete_details") or {}
        self._incomplete_reason = text_in(details, "reason") or self._incomplete_reason
        self._take_list(objects_in(response, "output"), out)
        if self.status not in UNFINISHED:
            self.draft.end_text(out)
        if response.get("error") or self.status == "failed":
            self.error = self.failure(response, raw)
        self._extra |= {key: value for key, value in response.items() if key not in _KNOWN_FIELDS}

    def take_event(self, kind: str, event: JSONDict, out: list[StreamEvent], raw: bytes) -> None:
        """Read one event of a stream."""
        if (response := object_in(event, "response")) is not None:
            self.take_response(response, out, raw)
            self._take_timings(event)  # llama-server puts them beside the response
        elif (item := object_in(event, "item")) is not None:
            begun = kind == "response.output_item.added"
            self._take_item(item, whole_number_in(event, "output_index"), out, begun=begun)
        elif kind in _PIECES:
            self._take_piece(kind, event, out)

    def failure(self, document: JSONDict, raw: bytes) -> BackendError:
        """The exception for an error inside the answer: nested, flat, or in a failed response."""
        return self._dialect.errors.error(error_in(document), status=200, headers={}, raw=raw)

    def result(self, *, ended: bool) -> InferenceResult:
        warnings = list(self.draft.warnings())
        usage = self._read_usage(warnings)
        return InferenceResult(
            content=self.draft.content(complete=ended),
            finish_reason=self._finish_reason(usage) if ended else None,
            raw_finish_reason=(self._incomplete_reason or self.status) if ended else None,
            usage=usage,
            model=self._model,
            response_id=self.response_id,
            annotations=tuple(annotation for item in self._items for annotation in item.annotations),
            logprobs=[entry for item in self._items for entry in item.logprobs] or None,
            reported_cost=read_cost(self._usage),
            service_tier=read_tier(self._extra, self._usage),
            warnings=tuple(warnings),
            timings=self._timings,
            extra=cast("JSONObject", self._extra),
        )

    def _read_usage(self, warnings: list[InferenceWarning]) -> Usage:
        if not self._usage:
            return Usage()
        usage = read_usage(self._usage, warnings, prompt="input_tokens", answer="output_tokens")
        return replace(usage, web_searches=self._web_searches())

    def _web_searches(self) -> int | None:
        """As the backend counts them; older answers only list them."""
        match self._extra.get("tool_usage"):
            case {"web_search": {"num_requests": int(counted)}} if counted >= 0:
                return counted
            case _:
                return sum(item.kind == "web_search_call" for item in self._items) or None

    def _finish_reason(self, usage: Usage) -> FinishReason:
        if self.status == "incomplete":
            return _INCOMPLETE_REASONS.get(self._incomplete_reason or "", FinishReason.UNKNOWN)
        reason = _FINISHED.get(self.status or "", FinishReason.UNKNOWN)
        if self._longest is not None and (usage.output_tokens or 0) >= self._longest:
            return FinishReason.LENGTH
        if reason is FinishReason.STOP and any(item.hands_over for item in self._items):
            return FinishReason.TOOL_CALLS
        if reason is FinishReason.STOP and any(place == "refusal" for item in self._items for place, _ in item.parts):
            return FinishReason.REFUSAL
        return self.draft.finish_reason(reason)

    def _take_timings(self, owner: JSONDict) -> None:
        if timings := object_in(owner, "timings"):
            self._timings = cast("JSONObject", timings)

    # -- items

    def _take_list(self, items: Sequence[JSONDict], out: list[StreamEvent]) -> None:
        """Take all items as they finally are.

        Servers may give them other ids than before and leave some out: then it is the next one of its kind.
        """
        unlisted: dict[str, deque[_ItemDraft]] = {}
        for draft in self._items:
            draft.listed = False
            unlisted.setdefault(draft.kind, deque()).append(draft)
        for index, item in enumerate(items):
            self._take_item(item, index, out, unlisted=unlisted)

    def _find(
        self, id: str | None, index: int | None, kind: str = "", unlisted: Mapping[str, deque[_ItemDraft]] | None = None
    ) -> _ItemDraft:
        """The item of that id, or else at that place; a new one when there is none."""
        found = self._by_id.get(id) if id else None
        if found is None and index is not None:
            found = self._by_index.get(index)
        if found is None and id is None and index is None and self._items:
            found = self._items[-1]
        if found is not None and ((kind and found.kind and found.kind != kind) or found.listed):
            found = None
        queue = unlisted.get(kind) if unlisted else None
        while found is None and queue:
            candidate = queue.popleft()
            found = None if candidate.listed else candidate
        if found is None:
            # llama-server does not number its items, but they come in order.
            index = len(self._items) if index is None else index
            found = _ItemDraft()
            self._items.append(found)
        if id:
            self._by_id[id] = found
        if index is not None:
            self._by_index.setdefault(index, found)
        return found

    def _take_item(
        self,
        item: JSONDict,
        index: int | None,
        out: list[StreamEvent],
        *,
        begun: bool = False,
        unlisted: Mapping[str, deque[_ItemDraft]] | None = None,
    ) -> None:
        """Take an item as it is now: just `begun`, or as it finally is."""
        kind = text_in(item, "type") or ""
        draft = self._find(text_in(item, "id"), index, kind, unlisted)
        draft.kind = kind
        draft.listed = unlisted is not None
        draft.hands_over = draft.hands_over or kind in _HANDOVERS
        match kind:
            case "message":
                self._take_message(draft, item, out, begun=begun)
            case "reasoning":
                self._take_reasoning(draft, item, out, begun=begun)
            case "function_call":
                self._take_call(draft, item, out)
            case _:
                self._settle(draft, ("hosted", 0), self._hosted_tool(kind, item))

    def _take_message(self, draft: _ItemDraft, item: JSONDict, out: list[StreamEvent], *, begun: bool) -> None:
        annotations: list[Annotation] = []
        logprobs: list[JSONValue] = []
        for index, part in enumerate(objects_in(item, "content")):
            if text_in(part, "type") == "refusal":
                refusal = text_in(part, "refusal") or ""
                self._settle(draft, ("refusal", index), RefusalPart(refusal))
                continue
            text = text_in(part, "text") or ""
            self._say_rest(draft, index, text, out)
            if not begun and not self._marked:
                self._settle(draft, ("text", index), TextPart(text, text_in(item, "phase"), text_in(item, "id")))
            annotations += map(read_annotation, objects_in(part, "annotations"))
            logprobs += cast("list[JSONValue]", array_in(part, "logprobs"))
        draft.annotations = annotations or draft.annotations
        draft.logprobs = logprobs or draft.logprobs

    def _take_reasoning(self, draft: _ItemDraft, item: JSONDict, out: list[StreamEvent], *, begun: bool) -> None:
        part = self._part(draft, _REASONING, ReasoningPart)
        pieces = (*objects_in(item, "summary"), *objects_in(item, "content"))
        text = _PARAGRAPH.join(thought for piece in pieces if (thought := text_in(piece, "text")))
        if rest := _rest(part.pieces, text):
            self.draft.reasoning(rest, out, part)
        if begun:  # what is encrypted may not be whole yet
            return
        part.settled = ReasoningPart(
            text=text or "".join(part.pieces),
            issuer=self._dialect.name,
            signature=text_in(item, "encrypted_content") or None,
            id=text_in(item, "id"),
            raw=cast("JSONObject", item),
        )

    def _take_call(self, draft: _ItemDraft, item: JSONDict, out: list[StreamEvent]) -> None:
        id, name = text_in(item, "call_id") or text_in(item, "id"), text_in(item, "name")
        call = draft.call or self._begin_call(draft, out, id=id, name=name, item_id=text_in(item, "id"))
        call.id, call.name = call.id or id, call.name or name
        self._end_arguments(draft, text_in(item, "arguments") or "", out)

    def _hosted_tool(self, kind: str, item: JSONDict) -> HostedToolPart:
        return HostedToolPart(
            kind=kind,
            issuer=self._dialect.name,
            id=text_in(item, "id"),
            status=text_in(item, "status"),
            hits=_hits(item),
            raw=cast("JSONObject", item),
        )

    def _settle(self, draft: _ItemDraft, place: tuple[str, int], part: TextPart | RefusalPart | HostedToolPart) -> None:
        if known := draft.parts.get(place):
            known.settled = part
        else:
            draft.parts[place] = self.draft.add(part)

    def _part(
        self, draft: _ItemDraft, place: tuple[str, int], kind: type[TextPart | ReasoningPart | RefusalPart]
    ) -> PartDraft:
        part = draft.parts.get(place)
        if part is None:
            draft.parts[place] = part = self.draft.begin(kind)
        return part

    # -- pieces

    def _take_piece(self, kind: str, event: JSONDict, out: list[StreamEvent]) -> None:
        item = self._find(text_in(event, "item_id"), whole_number_in(event, "output_index"))
        index = whole_number_in(event, "content_index") or 0
        piece = text_in(event, "delta")
        match kind:
            case "response.output_text.delta" if piece:
                self._say(item, index, piece, out)
            case "response.output_text.done":
                self._say_rest(item, index, text_in(event, "text") or "", out)
            case "response.output_text.annotation.added":
                if annotation := object_in(event, "annotation"):
                    item.annotations.append(read_annotation(annotation))
            case "response.refusal.delta" if piece:
                self.draft.refusal(piece, self._part(item, ("refusal", index), RefusalPart))
            case "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" if piece:
                self.draft.reasoning(piece, out, self._part(item, _REASONING, ReasoningPart))
            case "response.reasoning_summary_part.added":
                part = self._part(item, _REASONING, ReasoningPart)
                if part.pieces:
                    self.draft.reasoning(_PARAGRAPH, out, part)
            case "response.function_call_arguments.delta" if piece:
                self._add_arguments(item, piece, out)
            case "response.function_call_arguments.done":
                self._end_arguments(item, text_in(event, "arguments") or "", out)
            case _:
                pass

    def _say(self, item: _ItemDraft, index: int, piece: str, out: list[StreamEvent]) -> None:
        if self._marked:
            item.said.setdefault(index, []).append(piece)
            self.draft.text(piece, out)
        else:
            self.draft.text(piece, out, self._part(item, ("text", index), TextPart))

    def _say_rest(self, item: _ItemDraft, index: int, text: str, out: list[StreamEvent]) -> None:
        """Say what of a whole `text` has not come in pieces."""
        said = item.said.get(index, []) if self._marked else self._part(item, ("text", index), TextPart).pieces
        if rest := _rest(said, text):
            self._say(item, index, rest, out)

    def _begin_call(self, item: _ItemDraft, out: list[StreamEvent], **known: str | None) -> ToolCallDraft:
        item.hands_over = True
        item.call = call = self.draft.new_tool_call(**known)
        out.append(ToolCallDeltaEvent(call.position, call.id, call.name, ""))
        return call

    def _add_arguments(self, item: _ItemDraft, piece: str, out: list[StreamEvent]) -> None:
        call = item.call or self._begin_call(item, out)
        call.pieces.append(piece)
        out.append(ToolCallDeltaEvent(call.position, call.id, call.name, piece))

    def _end_arguments(self, item: _ItemDraft, arguments: str, out: list[StreamEvent]) -> None:
        """The arguments as they finally are, which may be all that ever comes of them."""
        call = item.call or self._begin_call(item, out)
        if rest := _rest(call.pieces, arguments):
            self._add_arguments(item, rest, out)
        if arguments:
            call.pieces = [arguments]


def _rest(pieces: Sequence[str], whole: str) -> str:
    """What of `whole` has not been said in `pieces`; nothing where they say something else."""
    said = "".join(pieces)
    return whole[len(said) :] if whole.startswith(said) else ""


def _hits(item: JSONDict) -> tuple[SearchHit, ...]:
    """What a file search found, and the pages that a web search names as its sources. Odd ones are passed over."""
    action = item.get("action")
    sources = cast("JSONDict", action).get("sources") if isinstance(action, dict) else None
    return tuple(_hit(hit) for hit in (*_objects(item.get("results")), *_objects(sources)))


def _hit(hit: JSONDict) -> SearchHit:
    def said(key: str) -> str | None:
        value = hit.get(key)
        return value if isinstance(value, str) else None

    score = hit.get("score")
    return SearchHit(
        text=said("text"),
        file_id=said("file_id"),
        filename=said("filename"),
        url=said("url"),
        title=said("title"),
        score=float(score) if isinstance(score, (int, float)) and not isinstance(score, bool) else None,
        raw=cast("JSONObject", hit),
    )


def _objects(value: object) -> list[JSONDict]:
    if not isinstance(value, list):
        return []
    return [cast("JSONDict", entry) for entry in cast("list[object]", value) if isinstance(entry, dict)]
