"""The records are plain facts: they do not change, and they cross a process boundary."""

from __future__ import annotations

import dataclasses
import pickle
from decimal import Decimal

import pytest

from airframe.types import InferenceRequest, InferenceResult, Message, TextPart
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted

ATTEMPT = AttemptFinished(
    number=1,
    reason="first",
    provider="openai",
    model=None,
    server_address="api.example",
    server_port=443,
    started_at_ns=1,
    duration=0.5,
    cost_usd=Decimal("0.1"),
)
STARTED = CallStarted(
    call_id="1",
    started_at_ns=1,
    provider="openai",
    model=None,
    server_address=None,
    server_port=None,
    request=InferenceRequest(messages=[Message("user", "Hi")]),
    agent_name=None,
    streamed=False,
)
FINISHED = CallFinished(
    ended_at_ns=2, outcome="success", result=InferenceResult(content=[TextPart("a")]), attempts=(ATTEMPT,)
)


@pytest.mark.parametrize("record", [STARTED, ATTEMPT, FINISHED], ids=lambda record: type(record).__name__)
def test_a_record_is_immutable_and_pickles(record: CallStarted | AttemptFinished | CallFinished) -> None:
    """An observer can keep it or send it on, and cannot change it for the next one."""
    assert pickle.loads(pickle.dumps(record)) == record
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.provider = "other"  # type: ignore[misc]  # the point of this test


def test_what_is_not_said_is_unknown() -> None:
    """No field defaults to zero."""
    defaults = {
        field.name: field.default for record in (AttemptFinished, CallFinished) for field in dataclasses.fields(record)
    }
    assert {defaults[name] for name in ("usage", "cost_usd", "time_to_first_event", "category", "status")} == {None}
    assert ATTEMPT.usage_source == "unknown"
