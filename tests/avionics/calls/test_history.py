"""Asking for single calls, noting what somebody thought of them, and forgetting them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

import pytest
from sqlalchemy import func, select

from airframe.types import InferenceRequest, InferenceResult, Message, TextPart
from avionics.calls import CallFilter, CallHistory, CallLog, UnknownCallError, retention
from avionics.calls.database import open_database, reading
from avionics.calls.location import database_url
from avionics.calls.tables import attempt, content, feedback
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted
from avionics.settings import Settings

FinishedCall: TypeAlias = tuple[CallStarted, CallFinished]
Configure: TypeAlias = Callable[..., Settings]
MakeCall: TypeAlias = Callable[..., FinishedCall]
MakeAttempt: TypeAlias = Callable[..., AttemptFinished]

NOON = 1_795_176_000 * 1_000_000_000
HOUR = 3600 * 1_000_000_000


def log_calls(settings: Settings, *calls: FinishedCall) -> None:
    log = CallLog(settings)
    for start, end in calls:
        log.call_started(start).call_finished(end)
    log.close()


def test_a_call_is_found_by_its_id_or_a_part_of_it(configure: Configure, make_call: MakeCall) -> None:
    """By its end above all: the beginning of an id is the time."""
    settings = configure()
    first, second = make_call(), make_call()
    log_calls(settings, first, second)
    with CallHistory(settings) as history:
        whole = first[0].call_id
        assert {history.call(part).call.id for part in (whole, whole[-12:])} == {whole}
        with pytest.raises(UnknownCallError, match=r"no call goes by the id 'nothing_like%'"):
            history.call("nothing_like%")
        with pytest.raises(UnknownCallError, match="several calls go by the id"):
            history.call("01")


def test_the_last_calls_are_given_oldest_first(
    configure: Configure, make_call: MakeCall, make_attempt: MakeAttempt
) -> None:
    """Of those that are asked for."""
    settings = configure()
    calls = [
        make_call(
            make_attempt(started_at_ns=NOON + hour * HOUR), agent_name=agent, variant=f"tone/{hour}", session_id="s"
        )
        for hour, agent in enumerate(["planner", "critic", "planner", "planner"])
    ]
    log_calls(settings, *reversed(calls))
    ids = [start.call_id for start, _ in calls]
    with CallHistory(settings) as history:
        assert [call.id for call in history.calls()] == ids
        assert [call.id for call in history.calls(last=2)] == ids[2:]
        assert [call.id for call in history.calls(CallFilter(agent="planner"), last=2)] == ids[2:]
        assert [call.id for call in history.calls(CallFilter(agent="critic"))] == ids[1:2]
        assert [call.id for call in history.calls(CallFilter(variant="tone/3", session_id="s"))] == ids[3:]
        one_hour = CallFilter(since_ns=NOON + HOUR, until_ns=NOON + 2 * HOUR)
        assert [call.id for call in history.calls(one_hour)] == ids[1:2]
        assert [one.call_id for one in history.attempts(CallFilter(outcome="success", agent="critic"))] == ids[1:2]
        assert list(history.calls(CallFilter(tenant="nobody"))) == []


def test_feedback_is_kept_with_its_call(configure: Configure, make_call: MakeCall) -> None:
    """A value, a comment or both, by a metric; any number of them."""
    settings = configure()
    call = make_call()
    log_calls(settings, call)
    with CallHistory(settings) as history:
        history.record_feedback(call[0].call_id, "helpful", 0.5)
        history.record_feedback(call[0].call_id, "reviewer", None, comment="too long")
        given = history.call(call[0].call_id).feedback
        with pytest.raises(UnknownCallError):
            history.record_feedback("nobody", "helpful", 1)
    assert [(one.metric, one.value, one.comment) for one in given] == [
        ("helpful", 0.5, None),
        ("reviewer", None, "too long"),
    ]
    assert given[0].given_at_ns <= given[1].given_at_ns


class TestRetention:
    """Old calls are forgotten with all that belongs to them."""

    def test_what_only_forgotten_calls_said_is_forgotten(
        self, configure: Configure, make_call: MakeCall, make_attempt: MakeAttempt, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A message that a later call said again stays, whole conversations do not lose their beginning."""
        monkeypatch.setattr(retention, "_SOME", 2)  # so that it takes several transactions
        settings = configure(capture_content=True)
        question, answer = Message("user", "Why?"), InferenceResult(content=[TextPart("Because.")])
        other = Message("user", "Something else?")
        old = [
            make_call(
                make_attempt(started_at_ns=NOON + number),
                request=InferenceRequest(messages=[question if number else other]),
                result=answer,
            )
            for number in range(4)
        ]
        follow_up = InferenceRequest(messages=[question, answer.message, Message("user", "And then?")])
        new = make_call(make_attempt(started_at_ns=NOON + HOUR), request=follow_up)
        log_calls(settings, *old, new)
        with CallHistory(settings) as history:
            history.record_feedback(old[0][0].call_id, "helpful", 1)
            assert history.prune(NOON + HOUR) == 4
            assert [call.id for call in history.calls()] == [new[0].call_id]
            messages = history.call(new[0].call_id).messages
            assert [message["role"] for message in messages] == ["user", "assistant", "user"]
            assert history.prune(NOON + HOUR) == 0
        assert rows(settings) == {"attempt": 1, "content": 3, "feedback": 0}

    def test_a_log_forgets_what_is_older_than_it_may_keep(self, configure: Configure, make_call: MakeCall) -> None:
        """`retention_days` is obeyed when calls are written."""
        settings = configure(retention_days=1)
        old, new = make_call(started_at_ns=time.time_ns() - 25 * HOUR), make_call(started_at_ns=time.time_ns())
        log_calls(settings, old)
        log_calls(settings, new)
        with CallHistory(settings) as history:
            assert [call.id for call in history.calls()] == [new[0].call_id]


def rows(settings: Settings) -> dict[str, int]:
    engine = open_database(database_url(settings.database))
    with reading(engine) as connection:
        counted = {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in (attempt, content, feedback)
        }
    engine.dispose()
    return counted
