"""What is told of calls, to whom, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, SecretStr

from avionics.settings.section import Count, Name, Seconds, Section, Url

__all__ = ["ContentCapture", "Exporter", "SemconvProfile", "TelemetrySettings"]

Exporter: TypeAlias = Literal["otlp", "console", "jsonl", "prometheus"]
SemconvProfile: TypeAlias = Literal["classic", "latest", "both"]
ContentCapture: TypeAlias = Literal["no_content", "span_only", "event_only", "span_and_event"]


def _split(value: object) -> object:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class TelemetrySettings(Section, frozen=True):
    """Traces, metrics and events through OpenTelemetry, and lines of the log.

    `avionics.telemetry.setup()` starts the exporters; a gateway calls it if nobody has set OpenTelemetry up. An
    application that does so itself leaves them empty: the other settings hold there too.
    """

    enabled: bool = True
    """Whether anything is told at all."""
    semconv: SemconvProfile | None = None
    """The names: `classic` are those that today's dashboards know, `latest` the newest. None is `latest` if
    OTEL_SEMCONV_STABILITY_OPT_IN holds `gen_ai_latest_experimental`, else `classic`.
    """
    capture_content: ContentCapture | None = None
    """Whether prompts and answers are told too, and where. None is what the variable
    OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT says, else `no_content`.
    """
    content_limit: Count = 10_000
    """The longest text of a message part that is told whole, in characters; of a longer one the beginning is."""
    agent_on_metrics: bool = False
    """Whether metrics name the agent, too: a series for each."""
    service_name: Name = "avionics"
    """What this application is called, unless OTEL_SERVICE_NAME says it."""
    exporters: Annotated[tuple[Exporter, ...], BeforeValidator(_split)] = ()
    """Where all of it goes: `otlp` (HTTP, extra `otlp`), `console` (standard error), `jsonl` (a file), `prometheus`
    (metrics alone, to be fetched; extra `prometheus`).
    """
    otlp_endpoint: Url | None = None
    """The collector, such as `http://localhost:4318`. None is what the OTEL_EXPORTER_OTLP_ variables say."""
    otlp_headers: Mapping[str, SecretStr] = Field(default_factory=dict[str, SecretStr])
    """What a collector asks for, such as a key."""
    jsonl_file: Path = Path("avionics-telemetry.jsonl")
    """The file that `jsonl` appends to, a line for each span, event and set of metrics."""
    prometheus_host: Name = "127.0.0.1"
    """Where `prometheus` serves `/metrics`: for this machine alone. `0.0.0.0` serves it for all who can reach it."""
    prometheus_port: Annotated[int, Field(ge=0, le=65_535)] = 9464
    """The port of that; 0 is any free one, which a line of the log names."""
    shutdown_timeout: Seconds = 5.0
    """How long the end of the program waits for a collector that does not answer."""
