"""`setup`: where telemetry goes, and that it harms nobody."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider

from airframe.testing import Answer
from airframe.types import Usage
from avionics.errors import ConfigurationError
from avionics.llm import LLMGateway, MockProvider
from avionics.llm.default_observers import default_observers
from avionics.llm.records import CallObserver
from avionics.settings import Settings
from avionics.telemetry import OpenTelemetryObserver, Telemetry, setup

pytestmark = pytest.mark.anyio

ANSWER = Answer(text="Because.", usage=Usage(input_tokens=1000, output_tokens=10))
PROGRAM = """
import logging, sys
import anyio
from airframe.testing import Answer
from avionics.llm import LLMGateway, MockProvider
from avionics.settings import Settings

logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s %(message)s")
{before}
settings = Settings(llm_provider="openai", call_log={{"enabled": False}}, telemetry={telemetry})

async def main():
    provider = MockProvider([Answer(text="Because.")], name="openai", default_model="gpt-4.1-mini")
    async with LLMGateway(settings, (), providers={{"openai": provider}}) as gateway:
        await gateway.complete("Why?")

anyio.run(main)
{after}
"""


def set_up(**telemetry: object) -> Telemetry:
    return setup(Settings(telemetry=telemetry), for_process=False)


async def make_a_call(observer: CallObserver) -> None:
    provider = MockProvider([ANSWER], name="openai", default_model="gpt-4.1-mini")
    settings = Settings(llm_provider="openai")
    gateway = LLMGateway(settings, (), observers=[observer], providers={"openai": provider})
    assert (await gateway.complete("Why?")).text == "Because."


def lines(text: str) -> Sequence[Mapping[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def documents(text: str, kind: str) -> Sequence[Mapping[str, Any]]:
    """What lines of that kind hold."""
    return [cast("Mapping[str, Any]", line[kind]) for line in lines(text) if kind in line]


def run(before: str = "", after: str = "", **telemetry: object) -> str:
    """What a program prints that makes a call with these settings, and closes nothing but its gateway."""
    program = PROGRAM.format(before=before, after=after, telemetry=telemetry)
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    return finished.stdout


async def test_a_file_of_json_lines_holds_all_signals(tmp_path: Path) -> None:
    """Each span, event and set of metrics is a line, there after the shutdown; the file is its owner's alone."""
    file = tmp_path / "telemetry.jsonl"
    telemetry = set_up(exporters=["jsonl"], jsonl_file=file, capture_content="event_only")
    await make_a_call(telemetry.observer())
    telemetry.shutdown()
    text = file.read_text()
    assert [span["name"] for span in documents(text, "span")] == ["chat gpt-4.1-mini"] * 2
    (event,) = documents(text, "event")
    assert event["event_name"] == "gen_ai.client.inference.operation.details"
    (metrics,) = documents(text, "metrics")
    assert "gen_ai.client.operation.duration" in json.dumps(metrics)
    if sys.platform != "win32":
        assert file.stat().st_mode & 0o777 == 0o600


async def test_the_console_is_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output belongs to the program."""
    telemetry = set_up(exporters=["console"])
    await make_a_call(telemetry.observer())
    telemetry.shutdown()
    out, err = capsys.readouterr()
    assert out == ""
    assert len(documents(err, "span")) == 2


@pytest.mark.parametrize(("variable", "expected"), [(None, "ours"), ("theirs", "theirs")])
async def test_the_service_is_named_by_the_settings_else_by_the_variable(
    variable: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenTelemetry's own variable wins: a deployment names its services in one way."""
    if variable:
        monkeypatch.setenv("OTEL_SERVICE_NAME", variable)
    file = tmp_path / "telemetry.jsonl"
    telemetry = set_up(exporters=["jsonl"], jsonl_file=file, service_name="ours")
    await make_a_call(telemetry.observer())
    telemetry.shutdown()
    for span in documents(file.read_text(), "span"):
        assert span["resource"]["attributes"]["service.name"] == expected


async def test_prometheus_fetches_metrics(caplog: pytest.LogCaptureFixture) -> None:
    """They are served on this machine until the shutdown; a line of the log says where."""
    caplog.set_level(logging.INFO, "avionics.telemetry")
    telemetry = set_up(exporters=["prometheus"], prometheus_port=0)
    url = caplog.messages[-1].removeprefix("metrics are at ")
    await make_a_call(telemetry.observer())
    page = fetch(url)
    telemetry.shutdown()
    for name in ("gen_ai_client_operation_duration_seconds_bucket", "gen_ai_client_token_usage_sum", "avionics_cost"):
        assert name in page
    assert 'gen_ai_operation_name="chat"' in page
    with pytest.raises(OSError, match="refused"):
        fetch(url)


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return str(response.read(), "utf-8")


async def test_a_port_that_is_taken_costs_the_metrics_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of two processes with the same settings the second one works, and says what it lacks."""
    caplog.set_level(logging.INFO, "avionics.telemetry")
    first = set_up(exporters=["prometheus"], prometheus_port=0)
    port = int(caplog.messages[-1].rpartition(":")[2].removesuffix("/metrics"))
    file = tmp_path / "telemetry.jsonl"
    second = set_up(exporters=["prometheus", "jsonl"], prometheus_port=port, jsonl_file=file)
    await make_a_call(second.observer())
    first.shutdown()
    second.shutdown()
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR"]
    assert "telemetry.prometheus_port" in caplog.messages[-1]
    assert len(documents(file.read_text(), "span")) == 2


async def test_an_exporter_that_fails_harms_no_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that cannot be written is reported once."""
    telemetry = set_up(exporters=["jsonl"], jsonl_file=tmp_path / "missing" / "telemetry.jsonl")
    for _ in range(2):
        await make_a_call(telemetry.observer())
        telemetry.flush()
    telemetry.shutdown()
    ours = [record for record in caplog.records if record.name.startswith("avionics")]
    assert [record.levelname for record in ours] == ["ERROR"]
    assert "missing" in ours[0].getMessage()


async def test_a_failing_shutdown_keeps_nothing_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of the meters keeps no event from being exported, and nobody hears of it but the log."""
    file = tmp_path / "telemetry.jsonl"
    telemetry = set_up(exporters=["jsonl"], jsonl_file=file, capture_content="event_only")
    await make_a_call(telemetry.observer())

    end = MeterProvider.shutdown

    def fail(meters: MeterProvider) -> None:
        end(meters)
        raise RuntimeError("the meters are broken")

    monkeypatch.setattr(MeterProvider, "shutdown", fail)
    telemetry.shutdown()
    assert [kind for line in lines(file.read_text()) for kind in line] == ["span", "span", "metrics", "event"]
    assert "MeterProvider could not be shut down" in caplog.text


async def test_calls_go_on_after_the_shutdown(tmp_path: Path) -> None:
    """Nothing is told of them any more; a second shutdown does nothing."""
    file = tmp_path / "telemetry.jsonl"
    telemetry = set_up(exporters=["jsonl"], jsonl_file=file)
    observer = telemetry.observer()
    telemetry.shutdown()
    await make_a_call(observer)
    telemetry.shutdown()
    telemetry.flush()
    assert not file.exists() or documents(file.read_text(), "span") == []


@pytest.mark.parametrize(
    ("exporter", "library"), [("prometheus", "prometheus_client"), ("otlp", "opentelemetry.exporter.otlp.proto.http")]
)
def test_a_missing_library_is_named_with_its_remedy(
    exporter: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exporter whose extra is not installed is a mistake of the settings, found at once."""
    monkeypatch.delitem(sys.modules, f"avionics.telemetry.sdk.{exporter}", raising=False)
    for name in [name for name in sys.modules if name.startswith(library)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigurationError, match=rf"telemetry\.exporters.*jeeves-avionics\[{exporter}\]"):
        set_up(exporters=[exporter])


def test_setup_without_exporters_sets_nothing_for_this_process() -> None:
    """`for_process=False` leaves the providers of the process alone."""
    before = trace.get_tracer_provider()
    set_up(exporters=[]).shutdown()
    assert trace.get_tracer_provider() is before


def test_a_gateway_sets_up_what_its_settings_name(tmp_path: Path) -> None:
    """Exporters in the settings are enough: the end of the process exports what there is."""
    file = tmp_path / "telemetry.jsonl"
    run(exporters=["jsonl"], jsonl_file=str(file))
    assert len(documents(file.read_text(), "span")) == 2
    assert len(documents(file.read_text(), "metrics")) == 1


def test_an_sdk_that_is_there_is_used_and_not_replaced(tmp_path: Path) -> None:
    """The program's own providers get the spans; a line of the log says that the exporters are not used."""
    file = tmp_path / "telemetry.jsonl"
    before = (
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter\n"
        "theirs, memory = TracerProvider(), InMemorySpanExporter()\n"
        "theirs.add_span_processor(SimpleSpanProcessor(memory))\n"
        "trace.set_tracer_provider(theirs)"
    )
    after = "assert trace.get_tracer_provider() is theirs\nprint(len(memory.get_finished_spans()), 'spans')"
    printed = run(before, after, exporters=["jsonl"], jsonl_file=str(file))
    assert (
        "avionics.telemetry.pipeline OpenTelemetry is set up already (opentelemetry.sdk.trace.TracerProvider)"
        in printed
    )
    assert "2 spans" in printed
    assert not file.exists()


def test_telemetry_that_is_switched_off_is_not_even_loaded(tmp_path: Path) -> None:
    """Neither spans nor log lines, and no module of it is imported."""
    file = tmp_path / "telemetry.jsonl"
    after = "print([name for name in sys.modules if name.startswith(('avionics.telemetry', 'opentelemetry'))])"
    assert run("", after, enabled=False, exporters=["jsonl"], jsonl_file=str(file)) == "[]\n"
    assert not file.exists()


def test_setup_does_nothing_where_telemetry_is_switched_off(tmp_path: Path) -> None:
    """The settings win over the call."""
    file = tmp_path / "telemetry.jsonl"
    telemetry = set_up(enabled=False, exporters=["jsonl"], jsonl_file=file)
    telemetry.shutdown()
    assert not file.exists()


def test_default_observers_tell_telemetry_first() -> None:
    """Telemetry and log lines are there unless switched off."""
    settings = Settings(call_log={"enabled": False})
    assert [type(one).__name__ for one in default_observers(settings)] == ["OpenTelemetryObserver", "CallLogger"]
    assert default_observers(Settings(call_log={"enabled": False}, telemetry={"enabled": False})) == []
    assert isinstance(default_observers(settings, redact=str.upper)[0], OpenTelemetryObserver)
