"""What the call log costs: on the path of a call, per row, and for a question over a million calls.

    python scripts/measure_call_log.py path [--calls 500] [--rounds 15] [--database URL]
    python scripts/measure_call_log.py inserts [--rows 100000] [--database URL]
    python scripts/measure_call_log.py usage [--rows 1000000] [--database URL]

`usage` fills an empty database first, which takes a minute, and asks one that has calls. Its figures are the least of a
few rounds, because other work on the machine can only add to them; those of `path` are medians of the differences
between two rounds, with the log and with an observer that does nothing. CPU time is in user code and the kernel.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeAlias

import anyio

from airframe.testing import Answer
from airframe.types import InferenceRequest, Message, Usage
from avionics.calls import CallHistory, CallLog
from avionics.calls.location import database_url
from avionics.calls.rows import call_rows
from avionics.calls.store import CallStore
from avionics.calls.usage import DIMENSIONS
from avionics.llm import LLMGateway
from avionics.llm.call_id import new_call_id
from avionics.llm.providers import MockProvider
from avionics.llm.records import AttemptFinished, CallFinished, CallObserver, CallStarted
from avionics.settings import Settings

BATCH = 500
BEGAN = 1_760_000_000 * 1_000_000_000
SPACING = 2 * 1_000_000_000  # a million calls in 23 days
PIECES = 100
ANSWER = Answer(chunks=["Because "] * PIECES, usage=Usage(input_tokens=1000, output_tokens=PIECES))
QUESTIONS = 3

Make: TypeAlias = Callable[[int, Sequence[CallObserver]], Awaitable[None]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["path", "inserts", "usage"])
    parser.add_argument("--calls", type=int, default=500, help="calls in a round")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", type=int, help="calls that are written")
    parser.add_argument("--database", help="SQLAlchemy URL; a new SQLite file without it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.database or f"sqlite:///{folder}/calls.db"
        settings = Settings(database={"url": url}, call_log={"spill_directory": Path(folder, "spill")})
        match options.what:
            case "path":
                measure_path(settings, options.calls, options.rounds)
            case "inserts":
                measure_inserts(settings, options.rows or 100_000)
            case _:
                measure_usage(settings, options.rows or 1_000_000)


def measure_path(settings: Settings, calls: int, rounds: int) -> None:
    """What a whole answer and a streamed one cost more with a log: with and without it by turns."""
    log = CallLog(settings)
    measure_telling(log, calls, rounds)
    for name, make, count in (
        ("whole answers", whole_answers, calls),
        (f"streams of {PIECES} events", streams, calls),
    ):
        anyio.run(make, 200, [log])  # modules, tables and prices are loaded
        off: list[tuple[float, float]] = []
        on: list[tuple[float, float]] = []
        for _ in range(rounds):
            off.append(taken(make, count, [Nobody()], log))
            on.append(taken(make, count, [log], log))
        own, whole = (
            median(with_it[which] - without[which] for with_it, without in zip(on, off, strict=True)) * 1e6
            for which in (0, 1)
        )
        alone = median(figures[0] for figures in off) * 1e6
        print(
            f"{name}: {alone:.0f} us of CPU a call in the calling thread, {own:+.1f} us with the log; "
            f"{whole:+.1f} us in the whole process"
        )
    log.close()


class Nobody:
    """An observer that does nothing. Gateways always have one: telemetry."""

    def call_started(self, _call: CallStarted) -> Nobody:
        return self

    def attempt_finished(self, _attempt: AttemptFinished) -> None:
        pass

    def call_finished(self, _end: CallFinished) -> None:
        pass


def measure_telling(log: CallLog, calls: int, rounds: int) -> None:
    """What the log itself does in the calling thread, apart from all that a thread pays for others beside it."""
    least = float("inf")
    for _ in range(rounds):
        made = list(random_calls(calls))
        began = time.thread_time()
        for start, end in made:
            log.call_started(start).call_finished(end)
        least = min(least, time.thread_time() - began)
        log.flush()
    print(f"telling the log of a call: {least / calls * 1e6:.1f} us of CPU in the calling thread")


def taken(make: Make, calls: int, observers: Sequence[CallObserver], log: CallLog) -> tuple[float, float]:
    """Seconds of CPU for a call: of the calling thread, and of the whole process until all are written."""
    own, whole = time.thread_time(), time.process_time()
    anyio.run(make, calls, observers)
    own = time.thread_time() - own
    log.flush()
    return own / calls, (time.process_time() - whole) / calls


async def whole_answers(count: int, observers: Sequence[CallObserver]) -> None:
    gateway = a_gateway(observers)
    for _ in range(count):
        await gateway.complete("Why?", agent_name="planner")


async def streams(count: int, observers: Sequence[CallObserver]) -> None:
    gateway = a_gateway(observers)
    for _ in range(count):
        async for _ in gateway.complete_stream("Why?", agent_name="planner"):
            pass


def a_gateway(observers: Sequence[CallObserver]) -> LLMGateway:
    provider = MockProvider(itertools.repeat(ANSWER), name="openai", default_model="gpt-4.1-mini")
    return LLMGateway(Settings(llm_provider="openai"), (), observers=observers, providers={"openai": provider})


def measure_inserts(settings: Settings, count: int) -> None:
    """As the log's thread writes: from records to rows, and rows into the database."""
    store = CallStore(database_url(settings.database))
    store.open()
    wall, cpu, made = 0.0, 0.0, random_calls(count)
    while records := list(itertools.islice(made, BATCH)):
        began, began_cpu = time.perf_counter(), time.process_time()
        store.write([call_rows(*one) for one in records])
        wall, cpu = wall + time.perf_counter() - began, cpu + time.process_time() - began_cpu
    store.close()
    speed = f"{count / wall:,.0f} a second, {cpu / count * 1e6:.0f} us of CPU each"
    print(f"{count:,} calls with an attempt each written, {BATCH} in a transaction: {speed}")


def random_calls(count: int) -> Iterator[tuple[CallStarted, CallFinished]]:
    chance = random.Random(1)
    request = InferenceRequest(messages=[Message("user", "Why?")])
    for number in range(count):
        began = BEGAN + number * SPACING
        usage = Usage(input_tokens=chance.randrange(5000), output_tokens=chance.randrange(500))
        provider, model = chance.choice([("openai", "gpt-4.1"), ("openai", "gpt-4.1-mini"), ("llamaserver", "qwen3")])
        cost = Decimal(chance.randrange(10**7)) / 10**9
        attempt = AttemptFinished(
            number=1,
            reason="first",
            provider=provider,
            model=model,
            server_address="api.openai.com",
            server_port=443,
            started_at_ns=began,
            duration=1.25,
            status=200,
            response_model=model,
            usage=usage,
            usage_source="reported",
            cost_usd=cost,
            cost_source="catalog",
            price_version="a list",
            kind="openai",
            deployment=f"{provider}:{model}",
        )
        start = CallStarted(
            call_id=new_call_id(),
            started_at_ns=began,
            provider=provider,
            model=model,
            server_address="api.openai.com",
            server_port=443,
            request=request,
            agent_name=chance.choice(["planner", "synthesizer", "critic", None]),
            streamed=False,
            tenant=chance.choice(["acme", "globex", "initech"]),
            conversation_id=f"conversation {number // 20}",
            route=("openai", "llamaserver"),
            config_hash="4332f4b614133c09",
        )
        end = CallFinished(ended_at_ns=began + 1_250_000_000, outcome="success", provider=provider, model=model)
        yield start, replace(end, usage=usage, cost_usd=cost, attempts=(attempt,))


def measure_usage(settings: Settings, count: int) -> None:
    """By everything that usage is summed up by, from within, and as a command."""
    with CallHistory(settings) as history:
        empty = not history.usage().totals.calls
    if empty:
        measure_inserts(settings, count)
    with CallHistory(settings) as history:
        for by in (None, *DIMENSIONS):
            wall, cpu = least(partial(history.usage, by))
            calls = history.usage(by).totals.calls
            print(f"usage by {by or 'nothing':10}: {wall:.2f} s, {cpu:.2f} s of CPU, over {calls:,} calls")
        wall, _ = least(lambda: list(history.calls(last=20)))
        print(f"the last 20 calls: {wall * 1000:.1f} ms")
    wall, cpu = least(lambda: command(settings, "usage", "--by", "model"))
    print(f"avionics usage --by model, with all that the process loads: {wall:.2f} s, {cpu:.2f} s of CPU")


def least(action: Callable[[], object]) -> tuple[float, float]:
    """The least seconds, and the least seconds of CPU, of a few rounds; those of child processes count."""
    figures: list[tuple[float, float]] = []
    for _ in range(QUESTIONS):
        wall, cpu = time.perf_counter(), cpu_time()
        action()
        figures.append((time.perf_counter() - wall, cpu_time() - cpu))
    return min(wall for wall, _ in figures), min(cpu for _, cpu in figures)


def cpu_time() -> float:
    return sum(os.times()[:4])


def command(settings: Settings, *arguments: str) -> None:
    environment = {**os.environ, "AVIONICS_DATABASE__URL": database_url(settings.database)}
    program = [sys.executable, "-c", "from avionics.cli import main; main()", *arguments]
    subprocess.run(program, env=environment, stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
