"""What the call log costs: on the path of a call, per row, and for a question over a million calls.

    python scripts/measure_call_log.py [--calls 20000] [--rows 1000000] [--database URL]

CPU time is that of the whole process, so the log's own threads are in it.
"""

from __future__ import annotations

import argparse
import itertools
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

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
ANSWER = Answer(text="Because.", usage=Usage(input_tokens=1000, output_tokens=10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000, help="calls through a gateway, with and without a log")
    parser.add_argument("--rows", type=int, default=1_000_000, help="logged calls for the question")
    parser.add_argument("--database", help="SQLAlchemy URL of an empty database; a SQLite file without it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.database or f"sqlite:///{folder}/calls.db"
        settings = Settings(database={"url": url}, call_log={"spill_directory": Path(folder, "spill")})
        measure_calls(settings, options.calls)
        measure_rows(settings, options.rows)
        measure_questions(settings)


def measure_calls(settings: Settings, count: int) -> None:
    log = CallLog(settings)
    anyio.run(make_calls, 200, [log])  # modules, tables and prices are loaded
    log.flush()
    figures = {name: timed(observers, log, count) for name, observers in (("off", []), ("on", [log])) for _ in range(2)}
    log.close()
    for name, (wall, cpu) in figures.items():
        print(f"log {name:3}: {wall * 1e6:6.0f} us a call, {cpu * 1e6:6.0f} us of CPU")


def timed(observers: Sequence[CallObserver], log: CallLog, count: int) -> tuple[float, float]:
    """Seconds and CPU seconds of one call, until all are written."""
    wall, cpu = time.perf_counter(), time.process_time()
    anyio.run(make_calls, count, observers)
    taken = time.perf_counter() - wall
    log.flush()
    return taken / count, (time.process_time() - cpu) / count


async def make_calls(count: int, observers: Sequence[CallObserver]) -> None:
    provider = MockProvider(itertools.repeat(ANSWER), name="openai", default_model="gpt-4.1-mini")
    gateway = LLMGateway(Settings(llm_provider="openai"), (), observers=observers, providers={"openai": provider})
    for _ in range(count):
        await gateway.complete("Why?", agent_name="planner")


def measure_rows(settings: Settings, count: int) -> None:
    store, spent, cpu = CallStore(database_url(settings.database)), 0.0, 0.0
    store.open()
    calls = random_calls(count)
    while batch := [call_rows(*call) for call in itertools.islice(calls, BATCH)]:
        began, began_cpu = time.perf_counter(), time.process_time()
        store.write(batch)
        spent += time.perf_counter() - began
        cpu += time.process_time() - began_cpu
    store.close()
    speed = f"{count / spent:,.0f} a second, {cpu / count * 1e6:.0f} us of CPU each"
    print(f"{count:,} calls inserted, {BATCH} at once: {speed}")


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


def measure_questions(settings: Settings) -> None:
    with CallHistory(settings) as history:
        for by in (None, *DIMENSIONS):
            began = time.perf_counter()
            report = history.usage(by)
            print(
                f"usage by {by or 'nothing':8}: {time.perf_counter() - began:.2f} s over {report.totals.calls:,} calls"
            )
        began = time.perf_counter()
        list(history.calls(last=20))
        print(f"the last 20 calls: {(time.perf_counter() - began) * 1000:.1f} ms")


if __name__ == "__main__":
    main()
