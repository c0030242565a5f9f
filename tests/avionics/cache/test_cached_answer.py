"""What is kept comes back as it was, or not at all."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airframe.errors import ErrorCategory
from airframe.types import (
    Annotation,
    Attempt,
    FinishReason,
    HostedToolPart,
    InferenceResult,
    InferenceWarning,
    RateLimit,
    ReasoningPart,
    SearchHit,
    TextPart,
    ToolCall,
    Usage,
)
from avionics.llm.cache.cached_answer import CachedAnswer, UnreadableEntryError, decode_answer, encode_answer

COUNTS: dict[str, Any] = {item.name: number for number, item in enumerate(fields(Usage), 1) if item.name != "raw"}
LIMITS: dict[str, Any] = {item.name: number for number, item in enumerate(fields(RateLimit), 1)}

RESULT = InferenceResult(
    content=(
        ReasoningPart(text="Hm.", issuer="anthropic", signature="c2ln", id="r1", raw={"type": "thinking"}),
        TextPart("Because \u00e9\ud800.", phase="final_answer", item_id="i1", citations=[{"page": 3}]),  # half a pair
        ToolCall(id="c1", name="f", arguments='{"a": 1', complete=False, id_generated=True, caller={"by": "code"}),
        HostedToolPart(kind="search", issuer="openai", id="h1", hits=(SearchHit(text="t", score=0.5),), raw={"q": 1}),
    ),
    finish_reason=FinishReason.TOOL_CALLS,
    raw_finish_reason="tool_use",
    usage=Usage(**COUNTS, raw={"in": 1, "deep": [{"x": None}]}),
    model="gpt-4.1-mini-2025",
    response_id="resp_1",
    request_id="req_1",
    annotations=(Annotation(kind="url", url="u", title="t", start=1, end=2, raw={"k": "v"}),),
    logprobs=[{"token": "a", "logprob": -0.5}],
    rate_limit=RateLimit(**LIMITS),
    reported_cost=Decimal("0.000000000123"),
    service_tier="flex",
    warnings=(InferenceWarning("seed", "not sent"),),
    attempts=(
        Attempt(number=1, started_at=1.5, duration=0.25, category=ErrorCategory.OVERLOADED, status=529, error="busy"),
        Attempt(number=2, started_at=2.5, duration=0.25, waited=0.5, time_to_first_event=0.125, request_id="req_1"),
    ),
    timings={"prompt_ms": 1.25},
    extra={"system_fingerprint": "fp", "nothing": None},
)
ANSWER = CachedAnswer(
    result=RESULT,
    provider="openai",
    model="gpt-4.1-mini-2025",
    pieces=("Because ", "\u00e9", "\ud800."),
    cost_usd=Decimal("0.0000125"),
    created_at=1_795_000_000.125,
    expires_at=1_795_000_060.125,
)


def test_every_field_comes_back() -> None:
    """Tool calls, thoughts, raw values, usage, costs and pieces; the types are the same too."""
    assert decode_answer(encode_answer(ANSWER)) == ANSWER


@pytest.mark.parametrize(
    "record", [RESULT, RESULT.usage, RESULT.rate_limit, ANSWER], ids=lambda record: type(record).__name__
)
def test_the_example_leaves_no_field_at_its_default(record: Any) -> None:
    """A field that is added to the types has to be kept too, so the test above has to see it."""
    same = [
        item.name
        for item in fields(record)
        if getattr(record, item.name)
        == (item.default_factory() if item.default_factory is not MISSING else item.default)
    ]
    assert same == []


def test_an_answer_with_nothing_comes_back_as_nothing() -> None:
    """Unknown stays unknown, and is not zero."""
    bare = CachedAnswer(result=InferenceResult(), provider="p", model=None, created_at=0.0)
    assert decode_answer(encode_answer(bare)) == bare


def test_a_stream_is_replayed_in_its_pieces_and_a_whole_answer_in_one() -> None:
    """The reader of a stream sees what the first one saw."""
    assert ANSWER.replayed_pieces == ("Because ", "\u00e9", "\ud800.")
    assert replace(ANSWER, pieces=()).replayed_pieces == (RESULT.text,)
    assert replace(ANSWER, pieces=(), result=InferenceResult()).replayed_pieces == ()


def test_what_belonged_to_the_exchange_is_not_replayed() -> None:
    """A hit has no attempts, and says nothing of a rate limit that has long been another one."""
    replayed = ANSWER.replayed_result
    assert (replayed.attempts, replayed.rate_limit) == ((), None)
    assert replace(replayed, attempts=RESULT.attempts, rate_limit=RESULT.rate_limit) == RESULT


@given(st.data())
def test_a_damaged_entry_is_noticed(data: st.DataObject) -> None:
    """Any byte that is another one, and any end that is missing."""
    entry = bytearray(encode_answer(ANSWER))
    place = data.draw(st.integers(0, len(entry) - 1))
    if data.draw(st.booleans()):
        del entry[place:]
    else:
        entry[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(UnreadableEntryError):
        decode_answer(bytes(entry))


@given(st.binary(max_size=200))
def test_foreign_bytes_are_noticed(data: bytes) -> None:
    """Whatever else stands under a key."""
    with pytest.raises(UnreadableEntryError):
        decode_answer(data)
