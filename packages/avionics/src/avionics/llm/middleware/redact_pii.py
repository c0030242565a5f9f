"""Personal data stays here: the backend sees placeholders, the caller sees what they stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping

from typing_extensions import override

from airframe.types import InferenceRequest, InferenceResult
from avionics.errors import ConfigurationError
from avionics.llm.middleware.call_context import CallContext
from avionics.llm.middleware.message_texts import change_request, change_result
from avionics.llm.middleware.middleware import Middleware, TextTransform
from avionics.llm.middleware.personal_data import DETECTORS, Detector
from avionics.llm.middleware.placeholders import Placeholders, RestoringTransform

__all__ = ["RedactPII"]

_KIND = re.compile(r"[A-Z][A-Z_]*")


class RedactPII(Middleware):
    """Replaces e-mail addresses, phone numbers, card numbers and keys by placeholders such as `[EMAIL_1]`, and puts
    them back into the answer: its text, also of a stream, its thoughts, and the arguments of its tool calls.

    Messages, `user` and `metadata` are looked into; images, sound, files and the descriptions of tools are not, nor are
    thoughts that a backend signed. What stands inside of this middleware, the records of calls included, sees the
    placeholders.

    Args:
        detectors: what is found, by the name of its placeholders; to add one, give `{**DETECTORS, "BADGE": ...}`.

    Raises `ConfigurationError` for a name that is not in capitals.
    """

    def __init__(self, detectors: Mapping[str, Detector] = DETECTORS) -> None:
        for kind in detectors:
            if not _KIND.fullmatch(kind):
                raise ConfigurationError(f"detectors: the name {kind!r} must be capitals and underscores, like 'EMAIL'")
        self._detectors = dict(detectors)

    @override
    async def before_invoke(self, call: CallContext, /) -> InferenceRequest:
        placeholders = Placeholders(self._detectors, _all_text(call.request))
        call.state[self] = placeholders
        return change_request(call.request, placeholders.redact, placeholders.redact_json)

    @override
    async def after_invoke(self, call: CallContext, result: InferenceResult, /) -> InferenceResult:
        placeholders = self._placeholders(call)
        return change_result(result, placeholders.restore, placeholders.restore_json)

    @override
    def stream_transform(self, call: CallContext, /) -> TextTransform | None:
        placeholders = self._placeholders(call)
        return RestoringTransform(placeholders) if placeholders else None

    def _placeholders(self, call: CallContext) -> Placeholders:
        placeholders = call.state[self]
        assert isinstance(placeholders, Placeholders)
        return placeholders


def _all_text(request: InferenceRequest) -> str:
    texts: list[str] = []

    def note(text: str) -> str:
        texts.append(text)
        return text

    change_request(request, note, note)
    return "\n".join(texts)
