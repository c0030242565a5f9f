"""What is told of what was said: nothing, unless somebody asked for it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TypeAlias

from airframe.types import JSONObject
from avionics.llm.content_filter import ContentFilter
from avionics.llm.records import CallFinished, CallStarted
from avionics.settings.telemetry import ContentCapture
from avionics.telemetry import messages, semconv

__all__ = ["CapturedContent", "Content"]

Content: TypeAlias = Mapping[str, list[JSONObject]]
"""Lists of messages, instructions and tools, by attribute. Empty when nothing may be told."""

_logger = logging.getLogger(__name__)


class CapturedContent:
    """The content of calls as the settings allow it, after a filter.

    A filter that raises costs the content, not the call, and nothing goes out unfiltered. That is logged once, without
    the words of the error, in which there may be content too.
    """

    def __init__(self, capture: ContentCapture, content_filter: ContentFilter) -> None:
        self._on_spans = capture in {"span_only", "span_and_event"}
        self._on_events = capture in {"event_only", "span_and_event"}
        self._filter = content_filter
        self._failed = False

    def of(self, call: CallStarted, end: CallFinished) -> Content:
        """What was said in a call."""
        if not (self._on_spans or self._on_events):
            return {}
        answer = end.result or end.partial
        try:
            content = {
                semconv.INPUT_MESSAGES: messages.input_messages(call.request, call.kind, self._keep),
                semconv.OUTPUT_MESSAGES: messages.output_messages(answer, self._keep) if answer else [],
                semconv.SYSTEM_INSTRUCTIONS: messages.system_instructions(call.request, call.kind, self._keep),
                semconv.TOOL_DEFINITIONS: messages.tool_definitions(call.request),
            }
        except Exception as error:  # noqa: BLE001 - of a redaction hook, which is the user's code
            self._report(error)
            return {}
        return {name: items for name, items in content.items() if items}

    def for_span(self, content: Content) -> dict[str, str]:
        """What spans are told of it, as texts: backends expect JSON in the attributes of spans."""
        told: Content = content if self._on_spans else {}
        return {name: json.dumps(items, ensure_ascii=False, separators=(",", ":")) for name, items in told.items()}

    def for_event(self, content: Content) -> Content:
        """What events are told of it, as it is."""
        return content if self._on_events else {}

    def error_text(self, end: CallFinished) -> str | None:
        """The words of an error, in which backends quote what was said; None when they may not be told."""
        if end.error is None or not self._on_events:
            return None
        try:
            return self._keep(end.error)
        except Exception as error:  # noqa: BLE001 - the same
            self._report(error)
            return None

    def _keep(self, text: str) -> str:
        return self._filter.text(text).encode("utf-8", "replace").decode()  # half a character fails whole exports

    def _report(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            _logger.error(
                "the redaction hook raised %s; content that it fails on is left out, and this is not logged again",
                type(error).__name__,
            )
