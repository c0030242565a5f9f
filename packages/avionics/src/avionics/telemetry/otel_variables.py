"""OpenTelemetry's own variables, which hold where our settings say nothing."""

from __future__ import annotations

import logging
import os
from typing import Final, cast, get_args

from avionics.settings.telemetry import ContentCapture, SemconvProfile, TelemetrySettings

__all__ = ["content_capture", "details_events", "semconv_profile"]

_STABILITY: Final = "OTEL_SEMCONV_STABILITY_OPT_IN"
_LATEST: Final = "gen_ai_latest_experimental"
_CAPTURE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_EMIT: Final = "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"

_OLDER_WORDS: Final = {"true": "span_and_event", "false": "no_content", "": "no_content"}

_logger = logging.getLogger(__name__)


def semconv_profile(settings: TelemetrySettings) -> SemconvProfile:
    """In whose words calls are told."""
    if settings.semconv is not None:
        return settings.semconv
    chosen = {name.strip() for name in os.environ.get(_STABILITY, "").split(",")}
    return "latest" if _LATEST in chosen else "classic"


def content_capture(settings: TelemetrySettings) -> ContentCapture:
    """Where prompts and answers go. A word that is not understood is logged, and means nowhere."""
    if settings.capture_content is not None:
        return settings.capture_content
    word = os.environ.get(_CAPTURE, "").strip().lower()
    word = _OLDER_WORDS.get(word, word)
    if word in get_args(ContentCapture):
        return cast("ContentCapture", word)
    _logger.warning("%s is not understood and means NO_CONTENT; use %s", _CAPTURE, _listed(get_args(ContentCapture)))
    return "no_content"


def details_events(capture: ContentCapture) -> bool:
    """Whether there is an event for each call: where events hold content, unless the variable says otherwise."""
    word = os.environ.get(_EMIT, "").strip().lower()
    if word in {"true", "false"}:
        return word == "true"
    if word:
        _logger.warning("%s is neither true nor false, and means nothing", _EMIT)
    return capture in {"event_only", "span_and_event"}


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(word.upper() for word in words)
