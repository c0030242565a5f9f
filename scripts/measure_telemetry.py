"""What telemetry costs: CPU time of a call and of an event of a stream, on the call's own thread and in the process.

    python scripts/measure_telemetry.py [--calls 2000] [--rounds 7]

Calls go through a gateway to a scripted provider, which takes no time of its own. The variants take turns, and of each
the best stretch of calls counts, because other programs only ever add to a time. "path" is the thread that makes the
calls; "process" is everything, the threads that export included, until all is exported. Function calls are counted
instead of timed: those of the path, of Python and of C, which are the same on every machine, however busy.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import set_span_in_context
from typing_extensions import override

from airframe.testing import Answer
from airframe.types import Usage
from avionics.llm import LLMGateway
from avionics.llm.providers import MockProvider
from avionics.llm.records import CallObserver
from avionics.settings import Settings
from avionics.telemetry import CallLogger, OpenTelemetryObserver, Telemetry, setup
from avionics.testing import RecordingObserver

SHORT, LONG = 16, 512
"""Events of a stream."""

KINDS = {
    name: Answer(chunks=["word "] * events, usage=Usage(input_tokens=1000, output_tokens=events))
    for name, events in (("whole", 1), (f"stream of {SHORT}", SHORT), (f"stream of {LONG}", LONG))
}
STRETCH = 20
"""Calls that are timed at once."""


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
        gateway = self._gateway(answer)
        path, process = math.inf, time.process_time()
        for _ in range(0, calls, STRETCH):
            began = time.thread_time()
            for _ in range(STRETCH):
                await make_call(gateway, streamed=streamed)
            path = min(path, (time.thread_time() - began) / STRETCH)
        if self._telemetry:
            self._telemetry.flush()
        return path, (time.process_time() - process) / calls

    async def count(self, kind: str, answer: Answer) -> float:
        """Function calls of one call."""
        gateway, counter = self._gateway(answer), FunctionCalls()
        for _ in range(STRETCH):  # all is loaded, and every series of metrics is there
            await make_call(gateway, streamed=kind.startswith("stream"))
        with counter:
            for _ in range(STRETCH):
                await make_call(gateway, streamed=kind.startswith("stream"))
        return counter.number / STRETCH

    def _gateway(self, answer: Answer) -> LLMGateway:
        provider = MockProvider(itertools.repeat(answer), name="openai", default_model="gpt-4.1-mini")
        settings = Settings(llm_provider="openai")
        return LLMGateway(settings, (), observers=self._observers, providers={"openai": provider})

    async def measure_directly(self) -> float:
        """CPU seconds of the observers alone for one whole answer."""
        recorder = RecordingObserver()
        provider = MockProvider([KINDS["whole"]], name="openai", default_model="gpt-4.1-mini")
        gateway = LLMGateway(Settings(llm_provider="openai"), (), observers=[recorder], providers={"openai": provider})
        await gateway.complete("Why?", agent_name="planner")
        (call,), end = recorder.started, recorder.end

        def tell() -> None:
            for observer in self._observers:
                observation = observer.call_started(call)
                observation.attempt_finished(end.attempts[0])
                observation.call_finished(end)

        return best_of(tell)


def best_of(action: Callable[[], None]) -> float:
    """CPU seconds of this thread."""
    best = math.inf
    for _ in range(200):
        began = time.thread_time()
        for _ in range(STRETCH):
            action()
        best = min(best, (time.thread_time() - began) / STRETCH)
    return best


def measure_bare_sdk(stack: ExitStack) -> float:
    """What the SDK takes by itself for as many spans, attributes and measurements as there are of a whole answer."""
    tracers, meters = forgetful_sdk(stack)
    tracer, meter = tracers.get_tracer("bare"), meters.get_meter("bare")
    histogram, counter = meter.create_histogram("histogram"), meter.create_counter("counter")
    attributes = {f"a.name.of.{number}": "a value" for number in range(14)}
    few = dict(itertools.islice(attributes.items(), 6))

    def tell() -> None:
        call = tracer.start_span("call", attributes=few)
        context = set_span_in_context(call)
        tracer.start_span("attempt", context=context, attributes=attributes).end()
        for _ in range(3):
            histogram.record(1, few, context)
        counter.add(1, few, context)
        call.set_attributes(attributes)
        call.end()

    return best_of(tell)


def forgetful_sdk(stack: ExitStack) -> tuple[TracerProvider, MeterProvider]:
    """One that exports to nobody."""
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(Forgetful()))
    stack.callback(tracers.shutdown)
    return tracers, MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)


async def make_call(gateway: LLMGateway, *, streamed: bool) -> None:
    if streamed:
        async for _ in gateway.complete_stream("Why?", agent_name="planner"):
            pass
    else:
        await gateway.complete("Why?", agent_name="planner")


class FunctionCalls:
    """Counts the function calls of this thread, of Python and of C."""

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> None:
        sys.setprofile(self._count)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _count(self, _frame: object, event: str, _argument: object) -> None:
        self.number += event in {"call", "c_call"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000, help="calls of a round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        variants = make_variants(Path(folder), stack)
        for _ in range(options.rounds):
            for (kind, answer), share in zip(KINDS.items(), (1, 4, 20), strict=True):
                for variant in variants.values():
                    variant.measure(kind, answer, math.ceil(options.calls / share / STRETCH) * STRETCH)
        show(variants)
        show_counts(variants)
        print("the observer alone, told of a whole answer:")
        for name, variant in variants.items():
            print(f"{name:24}{anyio.run(variant.measure_directly) * 1e6:12.1f}")
        print(f"{'bare SDK':24}{measure_bare_sdk(stack) * 1e6:12.1f}")


def make_variants(folder: Path, stack: ExitStack) -> Mapping[str, Variant]:
    def exporting(**options: object) -> Variant:
        file = folder / f"{len(list(folder.iterdir()))}.jsonl"
        file.touch()
        section = {"exporters": ["jsonl"], "jsonl_file": file, **options}
        telemetry = setup(Settings(telemetry=section), for_process=False)
        stack.callback(telemetry.shutdown)
        return Variant([telemetry.observer(), CallLogger()], telemetry)

    tracers, meters = forgetful_sdk(stack)
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


def show_counts(variants: Mapping[str, Variant]) -> None:
    print("function calls of the path, more than off:")
    off: list[float] = []
    for name, variant in variants.items():
        counts = [anyio.run(variant.count, kind, answer) for kind, answer in KINDS.items()]
        more = [count - base for count, base in zip(counts, off or [0.0] * len(counts), strict=True)]
        off = off or counts
        event = (more[2] - more[1]) / (LONG - SHORT)
        print(f"{name:24}" + "".join(f"{count:24.1f}" for count in [*more, event]))


if __name__ == "__main__":
    main()
