"""genai-prices reads usage and prices it, too: on every recorded exchange, both of us come to the same.

The project's own recordings are always read. The environment variable AIRFRAME_EXCHANGES names a folder with more than
a thousand others, or they lie beside the checkout; elsewhere the tests of these are skipped.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest
from genai_prices import Usage as PricedUsage
from genai_prices.data import providers
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import ExtractedUsage

from airframe.testing.recorded import RecordedExchange, read_exchanges, replay
from airframe.types import InferenceResult, Usage
from avionics.llm.cost_calculator import CostCalculator, Terms

FOLDER = Path(
    os.environ.get("AIRFRAME_EXCHANGES") or Path(__file__).parents[3].parent / "shared" / "wire" / "exchanges"
)
OWN = Path(__file__).parents[2] / "airframe" / "recordings"
SURFACES = {
    "anthropic_messages": ("anthropic", "messages"),
    "azure_chat": ("azure-openai", "chat-completions"),
    "openai_chat": ("openai-chat", "chat-completions"),
    "openai_responses": ("openai-responses", "responses"),
    "openrouter_chat": ("openrouter", "chat-completions"),
}
"""Folders of our own recordings, and whom each is from."""

AT = datetime(2026, 11, 20, tzinfo=UTC)
LIST = DataSnapshot(providers=list(providers), from_auto_update=False)

# Who reads the usage of a surface, in genai-prices' words.
READERS = {"chat-completions": "chat", "responses": "responses", "messages": "default"}
VENDORS = {
    "anthropic": "anthropic",
    "azure-openai": "azure",
    "openai-chat": "openai",
    "openai-responses": "openai",
}
LAST = {"message_stop", "response.completed", "response.incomplete"}
COUNTS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "output_audio_tokens": "output_audio_tokens",
}


Recorded: TypeAlias = tuple[tuple[RecordedExchange, InferenceResult, Mapping[str, Any]], ...]


@pytest.fixture(params=["own", "all"])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    """Our own recordings, and those of the folder."""
    if request.param == "own":
        return answers(OWN)
    if not (FOLDER / "index.json").is_file():
        pytest.skip("AIRFRAME_EXCHANGES names no folder of recorded exchanges")
    found = answers(FOLDER)
    assert len(found) > 1000
    return found


@cache
def answers(folder: Path) -> Recorded:
    """The exchanges in a format that genai-prices reads, what airframe makes of them, and their last word on usage."""
    return tuple(
        (exchange, result, document)
        for exchange in (own_recordings() if folder == OWN else read_exchanges(folder))
        if exchange.surface in READERS and (result := replay(exchange).result) is not None
        if (document := with_usage(exchange)) is not None
    )


def own_recordings() -> Iterator[RecordedExchange]:
    for folder, (backend, surface) in SURFACES.items():
        for path in sorted((OWN / folder).iterdir()):
            yield RecordedExchange(
                id=f"{folder}/{path.name}",
                backend=backend,
                surface=surface,
                kind=path.suffix.removeprefix("."),
                request={"method": "POST", "path": "/"},
                status=200,
                headers={},
                body=path.read_bytes(),
                chunk_sizes=(),
            )


def with_usage(exchange: RecordedExchange) -> Mapping[str, Any] | None:
    """The document that tells the usage, read without airframe. Anthropic tells it in two."""
    usage: dict[str, Any] = {}
    model: str | None = None
    for document in documents(exchange):
        inner = document.get("response") or document.get("message") or document
        model = inner.get("model") or model
        found = inner.get("usage") or document.get("usage")
        if found and exchange.surface == "messages":
            usage |= {name: value for name, value in found.items() if value is not None}
        elif found:
            usage = found
    return {"usage": usage, "model": model} if usage else None


def documents(exchange: RecordedExchange) -> Iterator[Mapping[str, Any]]:
    text = exchange.body.decode()
    lines = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")]
    for line in lines if exchange.streamed else [text]:
        if line.strip() not in {"", "[DONE]"}:
            document: Any = json.loads(line)
            if not isinstance(document, dict):
                continue
            yield (answer := cast("Mapping[str, Any]", document))
            if answer.get("type") in LAST:  # a few files hold more than one answer
                return


def extracted(exchange: RecordedExchange, document: Mapping[str, Any]) -> ExtractedUsage:
    """What genai-prices reads."""
    vendor = "anthropic" if exchange.surface == "messages" else "openai"
    return LIST.extract_usage({**document, "model": None}, vendor, None, READERS[exchange.surface])


def test_counts_are_those_of_genai_prices(recorded: Recorded) -> None:
    """Each count of every exchange is the same, but for what genai-prices leaves out and we count on purpose."""
    differences: Counter[str] = Counter()
    for exchange, result, document in recorded:
        theirs = vars(extracted(exchange, document).usage)
        for ours, name in COUNTS.items():
            found, expected = getattr(result.usage, ours) or 0, theirs.get(name, 0)
            if found != expected:
                differences[why(exchange, result.usage, ours, found - expected)] += 1
    assert len(recorded) >= 12
    assert set(differences) <= {"reasoning outside the answer", "compaction"}


def test_costs_are_those_of_genai_prices(recorded: Recorded) -> None:
    """What the answers of OpenAI, Azure and Anthropic cost is the same to the last digit."""
    calculator = CostCalculator()
    found: Counter[str] = Counter()
    for exchange, result, document in recorded:
        vendor, model = VENDORS.get(exchange.backend), document["model"]
        theirs = extracted(exchange, document).usage
        if vendor is None or model is None or differs_on_purpose(result.usage, theirs):
            continue
        theirs.web_searches = result.usage.web_searches  # OpenAI counts them elsewhere than in the usage
        ours = calculator.calculate_cost(
            vendor,
            model,
            result.usage.input_tokens,
            result.usage.output_tokens,
            usage=result.usage,
            terms=Terms(at=AT, service_tier=result.service_tier),
        )
        expected = priced(vendor, model, theirs)
        found["unknown" if expected is None else "priced"] += 1
        assert ours.cost_usd == expected, exchange.id
    assert found["priced"] > (500 if len(recorded) > 1000 else 5)


def differs_on_purpose(usage: Usage, theirs: PricedUsage) -> bool:
    return any((getattr(usage, ours) or 0) != vars(theirs).get(name, 0) for ours, name in COUNTS.items())


def priced(vendor: str, model: str, usage: PricedUsage) -> Decimal | None:
    try:
        return LIST.calc(usage, model, vendor, None, AT, {}).total_price
    except (LookupError, ValueError):
        return None


def why(exchange: RecordedExchange, usage: Usage, count: str, more: int) -> str:
    if count == "output_tokens" and more == usage.reasoning_tokens:
        return "reasoning outside the answer"
    if "compaction" in str(usage.raw.get("iterations")):
        return "compaction"
    return f"{exchange.id}: {count} {more:+}"
