"""What was said: told nowhere unless somebody asks for it, and then only what a filter leaves of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airframe.errors import ErrorCategory
from airframe.types import (
    AudioPart,
    FilePart,
    FinishReason,
    HostedTool,
    HostedToolPart,
    ImagePart,
    InferenceRequest,
    InferenceResult,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolResultPart,
    ToolSpec,
)
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted
from avionics.settings import Settings
from avionics.telemetry import OpenTelemetryObserver

ObserverWith = Callable[..., OpenTelemetryObserver]

PROMPT, ANSWER, TOOL, KEY = "marker-of-the-prompt", "marker-of-the-answer", "marker-of-the-tool", "sk-marker-of-the-key"
SYSTEM = "marker-of-the-system"
MARKERS = (PROMPT, ANSWER, TOOL, KEY, SYSTEM)
START = 1_790_000_000_000_000_000
CONTENT = {"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions"}

CALL = CallStarted(
    call_id="call-1",
    started_at_ns=START,
    provider="openai",
    model="gpt-5",
    server_address="api.openai.com",
    server_port=443,
    request=InferenceRequest(
        messages=[
            Message("system", SYSTEM),
            Message("user", f"{PROMPT} {KEY}"),
            Message("assistant", [ToolCall(id="t-1", name="look", arguments=json.dumps({"where": TOOL}))]),
            Message.tool("t-1", TOOL),
        ],
        tools=[ToolSpec(name="look", description=TOOL), HostedTool("web_search")],
        extra_headers={"authorization": KEY},
        metadata={"note": PROMPT},
    ),
    agent_name="planner",
    streamed=False,
    kind="openai",
)
END = CallFinished(
    ended_at_ns=START + 1_000_000_000,
    outcome="success",
    provider="openai",
    result=InferenceResult(content=[TextPart(ANSWER)], finish_reason=FinishReason.STOP),
)
FAILED = CallFinished(
    ended_at_ns=START + 1_000_000_000,
    outcome="error",
    provider="openai",
    partial=InferenceResult(content=[TextPart(ANSWER)]),
    category=ErrorCategory.SERVER,
    error=f"the backend quotes {PROMPT} and {KEY}",
    error_class="avionics.errors.LLMServerError",
    attempts=(
        AttemptFinished(
            number=1,
            reason="first",
            provider="openai",
            model="gpt-5",
            server_address=None,
            server_port=None,
            started_at_ns=START,
            duration=1.0,
            category=ErrorCategory.SERVER,
            error=f"the backend quotes {PROMPT} and {KEY}",
        ),
    ),
)


class Told:
    """What an observer with some settings told of calls."""

    def __init__(
        self,
        observer_with: ObserverWith,
        spans: InMemorySpanExporter,
        metrics: InMemoryMetricReader,
        events: InMemoryLogRecordExporter,
    ) -> None:
        self._observer_with = observer_with
        self._spans, self._metrics, self._events = spans, metrics, events

    def of(
        self,
        call: CallStarted = CALL,
        end: CallFinished = END,
        *,
        redact: Callable[[str], str] | None = None,
        **settings: object,
    ) -> Told:
        observer = self._observer_with(settings=Settings(telemetry=settings).telemetry, redact=redact)
        observation = observer.call_started(call)
        for attempt in end.attempts:
            observation.attempt_finished(attempt)
        observation.call_finished(end)
        return self

    @property
    def on_span(self) -> Mapping[str, Any]:
        """The attributes of the call's span."""
        return dict(self._spans.get_finished_spans()[-1].attributes or {})

    def on_event(self, name: str = "gen_ai.client.inference.operation.details") -> Mapping[str, Any] | None:
        """The attributes of the event of that name; None where there is none."""
        records = [log.log_record for log in self._events.get_finished_logs()]
        found = [dict(record.attributes or {}) for record in records if record.event_name == name]
        assert len(found) <= 1
        return found[0] if found else None

    @property
    def everything(self) -> str:
        """All signals as text."""
        told = [span.to_json() for span in self._spans.get_finished_spans()]
        told += [log.to_json() for log in self._events.get_finished_logs()]
        return "".join(told) + str(self._metrics.get_metrics_data())


@pytest.fixture
def told(
    observer_with: ObserverWith,
    spans: InMemorySpanExporter,
    metrics: InMemoryMetricReader,
    events: InMemoryLogRecordExporter,
) -> Told:
    return Told(observer_with, spans, metrics, events)


def messages(text: str) -> Sequence[Mapping[str, Any]]:
    return cast("Sequence[Mapping[str, Any]]", json.loads(text))


def parts_of(told: Told) -> Sequence[Mapping[str, Any]]:
    """The parts of the one message that went in."""
    (message,) = messages(told.on_span["gen_ai.input.messages"])
    return cast("Sequence[Mapping[str, Any]]", message["parts"])


@pytest.mark.parametrize("end", [END, FAILED], ids=["success", "error"])
def test_nothing_that_was_said_is_told_by_default(told: Told, end: CallFinished) -> None:
    """Neither prompt nor answer, tool or key is in a span, a metric or an event."""
    told.of(end=end)
    assert "planner" in told.everything
    assert [marker for marker in MARKERS if marker in told.everything] == []
    assert told.on_event() is None


@pytest.mark.parametrize(
    ("mode", "on_spans", "on_events"),
    [
        ("no_content", False, False),
        ("span_only", True, False),
        ("event_only", False, True),
        ("span_and_event", True, True),
    ],
)
@pytest.mark.parametrize("by", ["settings", "variable"])
def test_content_is_told_where_it_is_asked_for(
    told: Told, mode: str, on_spans: bool, on_events: bool, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On spans, in events, or both: by our setting, else by OpenTelemetry's variable."""
    if by == "variable":
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", mode.upper())
        told.of()
    else:
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_AND_EVENT")
        told.of(capture_content=mode)
    event = told.on_event()
    assert told.on_span.keys() & CONTENT == (CONTENT if on_spans else set())
    assert (event is not None) == on_events
    if event is not None:
        assert event.keys() >= CONTENT
    assert KEY not in told.everything  # what looks like a key is taken out


@pytest.mark.parametrize(("word", "expected"), [("true", CONTENT), ("false", set[str]()), ("", set[str]())])
def test_the_variable_s_older_words_hold(
    told: Told, word: str, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`true` was the word for everything."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", word)
    assert told.of().on_span.keys() & CONTENT == expected


def test_a_word_that_is_not_understood_tells_nothing(
    told: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake in the variable errs on the side of silence, and is logged."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "spans")
    assert told.of().on_span.keys() & CONTENT == set()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_messages_have_the_shape_of_the_conventions(told: Told) -> None:
    """On spans they are JSON, in events the same as it is."""
    told.of(capture_content="span_and_event")
    assert messages(told.on_span["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": SYSTEM}]},
        {"role": "user", "parts": [{"type": "text", "content": f"{PROMPT} [redacted]"}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "t-1", "name": "look", "arguments": {"where": TOOL}}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "t-1", "response": TOOL}]},
    ]
    assert messages(told.on_span["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": ANSWER}], "finish_reason": "stop"}
    ]
    assert messages(told.on_span["gen_ai.tool.definitions"]) == [
        {"type": "function", "name": "look"},
        {"type": "web_search", "name": "web_search"},
    ]
    event = told.on_event()
    assert event is not None
    for name in CONTENT:
        assert json.loads(json.dumps(event[name])) == messages(told.on_span[name])
    assert event["gen_ai.agent.name"] == "planner"
    assert event["avionics.call.id"] == "call-1"


def test_the_event_belongs_to_the_span_of_the_call(
    told: Told, spans: InMemorySpanExporter, events: InMemoryLogRecordExporter
) -> None:
    """From an event one finds its trace."""
    told.of(capture_content="event_only")
    (log,) = events.get_finished_logs()
    (span,) = spans.get_finished_spans()
    assert span.context
    assert (log.log_record.trace_id, log.log_record.span_id) == (span.context.trace_id, span.context.span_id)
    assert log.log_record.timestamp == END.ended_at_ns


def test_anthropic_s_system_has_a_place_of_its_own(told: Told) -> None:
    """Where the wire format takes the system's words beside the messages, they are told there."""
    told.of(replace(CALL, provider="anthropic", kind="anthropic"), capture_content="span_only")
    assert messages(told.on_span["gen_ai.system_instructions"]) == [{"type": "text", "content": SYSTEM}]
    assert SYSTEM not in told.on_span["gen_ai.input.messages"]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (ReasoningPart(text="hm", signature=KEY), {"type": "reasoning", "content": "hm"}),
        (RefusalPart("no"), {"type": "refusal", "content": "no"}),
        (
            ToolCall(id="t", name="look", arguments='{"a": [1, tr'),
            {"type": "tool_call", "id": "t", "name": "look", "arguments": '{"a": [1, tr'},
        ),
        (
            ToolResultPart(
                tool_call_id="t", content=[TextPart("seen"), ImagePart(data=b"123", media_type="image/png")]
            ),
            {
                "type": "tool_call_response",
                "id": "t",
                "response": [
                    {"type": "text", "content": "seen"},
                    {"type": "blob", "modality": "image", "mime_type": "image/png", "size": 3},
                ],
            },
        ),
        (
            ImagePart(url="https://example.org/a.png"),
            {"type": "uri", "modality": "image", "mime_type": None, "uri": "https://example.org/a.png"},
        ),
        (
            ImagePart(url="data:image/png;base64,AAAA"),
            {"type": "blob", "modality": "image", "mime_type": None, "size": 26},
        ),
        (
            AudioPart(data=b"12", format="wav"),
            {"type": "blob", "modality": "audio", "mime_type": "audio/wav", "size": 2},
        ),
        (
            AudioPart(id="a-1", transcript="hello"),
            {"type": "file", "modality": "audio", "mime_type": None, "file_id": "a-1", "transcript": "hello"},
        ),
        (
            FilePart(file_id="f-1"),
            {"type": "file", "modality": "document", "mime_type": None, "file_id": "f-1"},
        ),
        (
            HostedToolPart(kind="web_search_call", issuer="openai", id="w-1", raw={"query": PROMPT}),
            {
                "type": "server_tool_call",
                "id": "w-1",
                "name": "web_search_call",
                "server_tool_call": {"type": "web_search_call"},
            },
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, dict) else "",
)
def test_every_part_has_its_shape(told: Told, part: Part, expected: Mapping[str, object]) -> None:
    """Pictures, sound and documents are told of, and their bytes are not."""
    request = InferenceRequest(messages=[Message("user", [part])])
    assert parts_of(told.of(replace(CALL, request=request), capture_content="span_only")) == [expected]


def test_long_texts_are_cut_and_the_json_stays_whole(told: Told) -> None:
    """The limit is that of a text, wherever it stands; a mark says how much is missing."""
    call = ToolCall(id="t", name="look", arguments=json.dumps({"where": ["x" * 12]}))
    request = InferenceRequest(messages=[Message("user", [TextPart("y" * 25), call])])
    told.of(replace(CALL, request=request), capture_content="span_only", content_limit=10)
    text, tool_call = parts_of(told)
    assert text["content"] == "y" * 10 + "… [15 more characters]"
    assert tool_call["arguments"] == {"where": ["x" * 10 + "… [2 more characters]"]}


def test_a_hook_decides_what_is_told_of_every_text(told: Told) -> None:
    """The hook sees prompts, answers, tools' arguments and results, and the words of errors."""
    told.of(end=FAILED, capture_content="span_and_event", redact=lambda text: "#" * len(text))
    assert [marker for marker in MARKERS if marker in told.everything] == []
    assert messages(told.on_span["gen_ai.output.messages"])[0]["parts"] == [
        {"type": "text", "content": "#" * len(ANSWER)}
    ]
    exception = told.on_event("gen_ai.client.operation.exception")
    assert exception is not None
    assert set(exception["exception.message"]) == {"#"}


def refuse(text: str) -> str:
    raise ValueError(f"cannot redact {text}")


def forget(text: str) -> str:
    return cast("str", None)


@pytest.mark.parametrize("redact", [refuse, forget])
def test_content_on_which_the_hook_fails_is_left_out(
    told: Told, redact: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing goes out unredacted, the span is there, and one line says so without repeating what was said."""
    told.of(end=FAILED, capture_content="span_and_event", redact=redact)
    assert [marker for marker in MARKERS if marker in told.everything + caplog.text] == []
    assert told.on_span["error.type"] == "server"
    assert told.on_event() is not None
    assert [record.name for record in caplog.records] == ["avionics.telemetry.content"]


def test_half_a_character_does_no_harm(told: Told) -> None:
    """A lone surrogate, which no exporter can encode, is replaced."""
    request = InferenceRequest(messages=[Message("user", "a\ud83d")])
    told.of(replace(CALL, request=request), capture_content="span_and_event")
    assert parts_of(told)[0]["content"] == "a?"
    str(told.on_event()).encode()


@pytest.mark.parametrize(("variable", "expected"), [("true", True), ("false", False), ("maybe", False)])
def test_events_can_be_switched_by_the_variable(
    told: Told, variable: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event for each call without content, or content on spans alone."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT", variable)
    event = told.of().on_event()
    assert (event is not None) == expected
    assert not event or event.keys() & CONTENT == set()


def test_an_error_is_an_event_without_its_words(told: Told) -> None:
    """Its class and category are told; its words, in which backends quote prompts, only where content is."""
    told.of(end=FAILED)
    exception = told.on_event("gen_ai.client.operation.exception")
    assert exception is not None
    assert exception["exception.type"] == "avionics.errors.LLMServerError"
    assert exception["exception.message"] == "server"
    assert exception["avionics.call.id"] == "call-1"


@pytest.mark.parametrize(("profile", "expected"), [("classic", ["exception"]), ("latest", []), ("both", ["exception"])])
def test_today_s_dashboards_find_the_error_on_the_span(
    told: Told, spans: InMemorySpanExporter, profile: str, expected: list[str]
) -> None:
    """The older place for an exception is an event of the span."""
    told.of(end=FAILED, semconv=profile)
    assert [event.name for event in spans.get_finished_spans()[-1].events] == expected


@pytest.mark.parametrize("end", [END, replace(END, outcome="abandoned", category=ErrorCategory.CANCELLED)])
def test_where_nothing_went_wrong_there_is_no_exception(told: Told, end: CallFinished) -> None:
    """A success and a stream that its reader left are no errors."""
    told.of(end=end)
    assert told.on_event("gen_ai.client.operation.exception") is None
