"""The conformance checks catch what they are for: each mistake below fails the check that is named beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from airframe.adapters import OpenAICompatibleAdapter
from airframe.errors import AirframeError, BackendError, ErrorCategory, MalformedAnswerError
from airframe.protocols import COMPATIBLE, OpenAIChatProtocol, StreamDecoder
from airframe.protocols.protocol import DecodeOptions, WireRequest
from airframe.testing.conformance import ADAPTER_CHECKS, WIRE_CHECKS, ConformanceCase, ErrorAnswer
from airframe.types import (
    FinishReason,
    InferenceRequest,
    InferenceResult,
    InferenceWarning,
    StreamEvent,
    TextPart,
    TokenEvent,
    ToolCall,
    Usage,
)

RECORDING = Path(__file__).parent / "recordings" / "openai_chat" / "openai_tools"


class Mutant(StreamDecoder):
    """A decoder that passes everything on to a right one. Each mistake overrides something."""

    def __init__(self, right: StreamDecoder) -> None:
        self.right = right

    @override
    def feed(self, data: bytes, out: list[StreamEvent]) -> None:
        try:
            self.right.feed(data, out)
        finally:
            self.copy()

    @override
    def finish(self, out: list[StreamEvent]) -> None:
        try:
            self.right.finish(out)
        finally:
            self.copy()

    @override
    def result(self) -> InferenceResult:
        return self.right.result()

    def copy(self) -> None:
        self.complete, self.proven, self.progress = self.right.complete, self.right.proven, self.right.progress


class InventsTheEnd(Mutant):
    """Takes the end of the input for the end of the answer."""

    @override
    def finish(self, out: list[StreamEvent]) -> None:
        self.complete = True


class SkipsWhatItCannotRead(Mutant):
    """Goes on behind an event that is no JSON."""

    @override
    def feed(self, data: bytes, out: list[StreamEvent]) -> None:
        with suppress(MalformedAnswerError):
            super().feed(data, out)


class SwallowsErrors(Mutant):
    """Takes an error inside the stream for its end."""

    @override
    def feed(self, data: bytes, out: list[StreamEvent]) -> None:
        try:
            super().feed(data, out)
        except BackendError:
            self.complete = True


class WantsWholeEvents(Mutant):
    """Believes that each read holds whole events."""

    @override
    def feed(self, data: bytes, out: list[StreamEvent]) -> None:
        super().feed(data + b"\n\n", out)


class BreaksCharacters(Mutant):
    """Decodes each read by itself."""

    @override
    def feed(self, data: bytes, out: list[StreamEvent]) -> None:
        super().feed(data.decode("utf-8", "replace").encode(), out)


class SplitsLinesLikePython(Mutant):
    """Takes U+2028 for a line end."""

    @override
    def feed(self, data: bytes, out: list[StreamEvent]) -> None:
        super().feed(data.replace("\u2028".encode(), b"\n"), out)


class CountsPings(Mutant):
    """Lets a server that only pings live for ever."""

    @override
    def copy(self) -> None:
        super().copy()
        self.progress += getattr(self, "reads", 0)

    @override
    def feed(self, data: bytes, out: list[StreamEvent]) -> None:
        self.reads = getattr(self, "reads", 0) + data.count(b":\n") + data.count(b": ping")
        super().feed(data, out)


class ReadsOn(Mutant):
    """Does not stop at the end marker."""

    @override
    def copy(self) -> None:
        super().copy()
        self.complete = False

    @override
    def finish(self, out: list[StreamEvent]) -> None:
        super().finish(out)
        self.complete = True


class KnowsNoByteOrderMark(Mutant):
    """Takes it for a part of the first line."""

    @override
    def feed(self, data: bytes, out: list[StreamEvent]) -> None:
        super().feed(data.replace(b"\xef\xbb\xbf", b"x"), out)


class CountsNothingAsZero(Mutant):
    """Bills unknown usage as none."""

    @override
    def result(self) -> InferenceResult:
        found = super().result()
        return replace(found, usage=replace(found.usage, input_tokens=found.usage.input_tokens or 0))


class BelievesAnyNumber(Mutant):
    """Reports a count as it was sent."""

    @override
    def result(self) -> InferenceResult:
        found = super().result()
        sent: Any = found.usage.raw.get("prompt_tokens")
        return replace(found, usage=replace(found.usage, input_tokens=sent))


class LosesText(Mutant):
    """Keeps the events, but not the words, of an answer that broke off."""

    @override
    def result(self) -> InferenceResult:
        found = super().result()
        return found if self.proven else replace(found, content=())


class HandsOutHalfCalls(Mutant):
    """Marks a call as complete whose end has not come."""

    @override
    def result(self) -> InferenceResult:
        found = super().result()
        content = (replace(part, complete=True) if isinstance(part, ToolCall) else part for part in found.content)
        return replace(found, content=tuple(content))


class SaysThingsTwice(Mutant):
    """Makes events that do not add up to the answer."""

    @override
    def feed(self, data: bytes, out: list[StreamEvent]) -> None:
        before = len(out)
        super().feed(data, out)
        out += [event for event in out[before:] if isinstance(event, TokenEvent)]


class HasNoLimits(Mutant):
    """Reads lines without end."""


MISTAKES: Mapping[type[Mutant], str] = {
    InventsTheEnd: "check_truncation",
    SkipsWhatItCannotRead: "check_garbage",
    SwallowsErrors: "check_stream_error",
    WantsWholeEvents: "check_every_cut",
    BreaksCharacters: "check_strange_characters",
    SplitsLinesLikePython: "check_strange_characters",
    CountsPings: "check_pings",
    ReadsOn: "check_nothing_after_the_end",
    KnowsNoByteOrderMark: "check_byte_order_mark",
    CountsNothingAsZero: "check_unknown_usage",
    BelievesAnyNumber: "check_impossible_usage",
    LosesText: "check_garbage",
    HandsOutHalfCalls: "check_truncation",
    SaysThingsTwice: "check_meaning",
    HasNoLimits: "check_limits",
}


class Protocol(OpenAIChatProtocol):
    """Chat completions with a mistake in the decoder of streams."""

    def __init__(self, mistake: type[Mutant] = Mutant) -> None:
        super().__init__(COMPATIBLE)
        self.mistake = mistake

    @override
    def stream_decoder(self, options: DecodeOptions) -> Any:
        return self.mistake(super().stream_decoder(DecodeOptions() if self.mistake is HasNoLimits else options))


class GuessesBodies(Protocol):
    """Takes any body for an answer."""

    @override
    def decode(self, body: bytes, options: DecodeOptions) -> InferenceResult:
        try:
            return super().decode(body, options)
        except AirframeError:
            return InferenceResult(finish_reason=FinishReason.STOP)


class TrustsStatuses(Protocol):
    """Sorts errors by status alone."""

    @override
    def classify_error(self, status: int, headers: Mapping[str, str], body: bytes) -> BackendError:
        return super().classify_error(status, headers, b"")


class QuotesWithoutEnd(Protocol):
    """Breaks on an error that is no JSON."""

    @override
    def classify_error(self, status: int, headers: Mapping[str, str], body: bytes) -> BackendError:
        json.loads(body)
        return super().classify_error(status, headers, body)


class DropsInSilence(Protocol):
    """Leaves out what it cannot say."""

    @override
    def encode(self, request: InferenceRequest, *, model: str | None, stream: bool) -> WireRequest:
        return replace(super().encode(replace(request, strict=False), model=model, stream=stream), warnings=())


class WarnsOfEverything(Protocol):
    """Warns, and does not refuse a strict request."""

    @override
    def encode(self, request: InferenceRequest, *, model: str | None, stream: bool) -> WireRequest:
        wire = super().encode(replace(request, strict=False), model=model, stream=stream)
        return replace(wire, warnings=(InferenceWarning("all", "perhaps not sent"),))


class KeepsExtraParamsBack(Protocol):
    """Sends only what it knows."""

    @override
    def encode(self, request: InferenceRequest, *, model: str | None, stream: bool) -> WireRequest:
        return super().encode(replace(request, extra_params={}), model=model, stream=stream)


class Adapter(OpenAICompatibleAdapter):
    """Speaks the protocol that the case has."""

    def __init__(self, protocol: Protocol, **options: Any) -> None:
        super().__init__(**options)
        self.protocol = protocol


def case(protocol: Protocol) -> ConformanceCase:
    calls = tuple(
        ToolCall(id=id, name="get_weather", arguments=json.dumps({"city": city}, separators=(",", ":")))
        for id, city in (("call_one1", "Oslo"), ("call_two2", "Lima"))
    )
    return ConformanceCase(
        name="mutant",
        kind="openai_compatible",
        make_adapter=partial(Adapter, protocol),
        protocol=protocol,
        stream=RECORDING.with_suffix(".sse").read_bytes(),
        body=RECORDING.with_suffix(".json").read_bytes(),
        proof=b'"finish_reason":"tool_calls"',
        end=b"[DONE]",
        expected=InferenceResult(
            content=(TextPart("Let me look at the weather."), *calls),
            finish_reason=FinishReason.TOOL_CALLS,
            raw_finish_reason="tool_calls",
            usage=Usage(
                input_tokens=82,
                output_tokens=51,
                total_tokens=133,
                cache_read_tokens=16,
                reasoning_tokens=9,
                input_audio_tokens=0,
                output_audio_tokens=0,
            ),
            model="gpt-5.4-mini-2026-03-17",
            response_id="chatcmpl-Dw3tools",
            service_tier="default",
        ),
        word="weather",
        stream_error=b'data: {"error":{"message":"x","code":"server_error"}}\n\n',
        stream_error_category=ErrorCategory.SERVER,
        errors=(
            ErrorAnswer(status=429, body=b'{"error":{"code":"insufficient_quota"}}', category=ErrorCategory.BILLING),
        ),
        base_path="/v1",
    )


def wire_check(name: str) -> Callable[[ConformanceCase], None]:
    return next(check for check in WIRE_CHECKS if check.__name__ == name)


@pytest.mark.parametrize("check", WIRE_CHECKS, ids=lambda check: check.__name__)
def test_the_unharmed_original_passes(check: Callable[[ConformanceCase], None]) -> None:
    """What the mistakes below are caught by is the mistake."""
    check(case(Protocol()))


@pytest.mark.parametrize(("mistake", "check"), MISTAKES.items(), ids=lambda item: getattr(item, "__name__", item))
def test_mistakes_of_decoders_are_caught(mistake: type[Mutant], check: str) -> None:
    """The check fails on a decoder that makes the mistake."""
    with pytest.raises(AssertionError):
        wire_check(check)(case(Protocol(mistake)))


@pytest.mark.parametrize(
    ("protocol", "check", "caught"),
    [
        (GuessesBodies(), "check_wrong_bodies", AssertionError),
        (TrustsStatuses(), "check_errors", AssertionError),
        (QuotesWithoutEnd(), "check_strange_errors", ValueError),
    ],
    ids=lambda item: getattr(item, "__name__", type(item).__name__),
)
def test_mistakes_of_wire_formats_are_caught(protocol: Protocol, check: str, caught: type[Exception]) -> None:
    """The check fails on a wire format that makes the mistake."""
    with pytest.raises(caught):
        wire_check(check)(case(protocol))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("protocol", "check"),
    [
        (DropsInSilence(), "check_nothing_dropped_in_silence"),
        (WarnsOfEverything(), "check_nothing_dropped_in_silence"),
        (KeepsExtraParamsBack(), "check_extra_params"),
        (Protocol(InventsTheEnd), "check_no_retry_after_output"),
        (Protocol(SwallowsErrors), "check_stream_error_over_socket"),
        (Protocol(SaysThingsTwice), "check_stream"),
        (TrustsStatuses(), "check_error_answers"),
    ],
    ids=lambda item: item if isinstance(item, str) else type(item).__name__,
)
async def test_mistakes_are_caught_over_a_socket(protocol: Protocol, check: str) -> None:
    """The check fails on an adapter whose wire format makes the mistake."""
    run = next(each for each in ADAPTER_CHECKS if each.__name__ == check)
    with pytest.raises(AssertionError):
        await run(case(protocol))


def test_a_wrong_expectation_is_told_field_by_field() -> None:
    """The message names what differs, with both values."""
    right = case(Protocol())
    wrong = replace(right, expected=replace(right.expected, model="another"))
    with pytest.raises(AssertionError, match=r"'model': \('gpt-5.4-mini-2026-03-17', 'another'\)"):
        wire_check("check_meaning")(wrong)
