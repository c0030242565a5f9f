"""What telemetry costs: CPU time of a call and of an event of a stream, on the call's own thread and in the process.

    python scripts/measure_telemetry.py [--calls 2000] [--rounds 7]

Calls go through a gateway to a scripted provider, which takes no time of its own. The variants take turns, and of each
the best round counts, because other programs only ever add to a time. "path" is the thread that makes the calls;
"process" is everything, the threads that export included, until all is exported.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from typing_extensions import override

from airframe.testing import Answer
from airframe.types import Usage
from avionics.llm import LLMGateway
from avionics.llm.providers import MockProvider
from avionics.llm.records import CallObserver
from avionics.settings import Settings
from avionics.telemetry import CallLogger, OpenTelemetryObserver, Telemetry, setup

SHORT, LONG = 8, 512
"""Events of a stream."""


class Forgetful(SpanExporter):
    """Takes spans and does nothing with them: what is left is the SDK's own work."""

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


@dataclass(frozen=True)
class Cost:
    """CPU seconds of one call."""

    path: float
    process: float


class Variant:
    """One way to watch calls, and the best that was measured of it."""

    def __init__(self, observers: Sequence[CallObserver], telemetry: Telemetry | None = None) -> None:
        self._observers = observers
        self._telemetry = telemetry
        self.best: dict[str, Cost] = {}

    def measure(self, kind: str, answer: Answer, calls: int) -> None:
        """Make so many calls; `kind` begins with `stream` when they are streamed."""
        path, process = anyio.run(self._make_calls, answer, calls, kind.startswith("stream"))
        best = self.best.get(kind, Cost(path, process))
        self.best[kind] = Cost(min(path, best.path), min(process, best.process))

    async def _make_calls(self, answer: Answer, calls: int, streamed: bool) -> tuple[float, float]:
        provider = MockProvider(itertools.repeat(answer), name="openai", default_model="gpt-4.1-mini")
        settings = Settings(llm_provider="openai")
        gateway = LLMGateway(settings, (), observers=self._observers, providers={"openai": provider})
        path, process = time.thread_time(), time.process_time()
        for _ in range(calls):
            if streamed:
                async for _ in gateway.complete_stream("Why?", agent_name="planner"):
                    pass
            else:
                await gateway.complete("Why?", agent_name="planner")
        path = time.thread_time() - path
        if self._telemetry:
            self._telemetry.flush()
        return path / calls, (time.process_time() - process) / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000, help="calls of a round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        variants = make_variants(Path(folder), stack)
        for _ in range(options.rounds):
            for kind, answer, calls in (
                ("whole", answer_of(1), options.calls),
                (f"stream of {SHORT}", answer_of(SHORT), options.calls // 4),
                (f"stream of {LONG}", answer_of(LONG), options.calls // 40),
            ):
                for variant in variants.values():
                    variant.measure(kind, answer, max(calls, 10))
    show(variants)


def answer_of(events: int) -> Answer:
    return Answer(chunks=["word "] * events, usage=Usage(input_tokens=1000, output_tokens=events))


def make_variants(folder: Path, stack: ExitStack) -> Mapping[str, Variant]:
    def exporting(**options: object) -> Variant:
        file = folder / f"{len(list(folder.iterdir()))}.jsonl"
        file.touch()
        section = {"exporters": ["jsonl"], "jsonl_file": file, **options}
        telemetry = setup(Settings(telemetry=section), for_process=False)
        stack.callback(telemetry.shutdown)
        return Variant([telemetry.observer(), CallLogger()], telemetry)

    tracers, meters = TracerProvider(shutdown_on_exit=False), MeterProvider([InMemoryMetricReader()])
    tracers.add_span_processor(BatchSpanProcessor(Forgetful()))
    stack.callback(tracers.shutdown)
    return {
        "off": Variant([]),
        "API only": Variant([OpenTelemetryObserver(), CallLogger()]),
        "SDK": Variant([OpenTelemetryObserver(tracers, meters), CallLogger()]),
        "SDK, JSONL": exporting(),
        "SDK, JSONL, both": exporting(semconv="both"),
        "SDK, JSONL, content": exporting(capture_content="span_and_event"),
    }


def show(variants: Mapping[str, Variant]) -> None:
    off = variants["off"].best
    print(f"{'us more than off':24}" + "".join(f"{kind:>24}" for kind in off) + f"{'an event':>24}")
    print(f"{'':24}" + f"{'path':>12}{'process':>12}" * (len(off) + 1))
    for name, variant in variants.items():
        base = {kind: Cost(0, 0) for kind in off} if name == "off" else off
        figures = [
            Cost(variant.best[kind].path - base[kind].path, variant.best[kind].process - base[kind].process)
            for kind in off
        ]
        short, long = figures[1:]
        between = LONG - SHORT
        figures.append(Cost((long.path - short.path) / between, (long.process - short.process) / between))
        print(f"{name:24}" + "".join(f"{one.path * 1e6:12.1f}{one.process * 1e6:12.1f}" for one in figures))


if __name__ == "__main__":
    main()
