"""What people thought of answers: it goes the way of the calls, and is summed up for each variant and metric."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from avionics.calls import CallHistory, CallLog
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted
from avionics.settings import Settings

FinishedCall: TypeAlias = tuple[CallStarted, CallFinished]
Configure: TypeAlias = Callable[..., Settings]
MakeCall: TypeAlias = Callable[..., FinishedCall]
MakeAttempt: TypeAlias = Callable[..., AttemptFinished]

NOON = 1_795_176_000 * 1_000_000_000
LATER, EVER = 2**61, 2**62  # in 2043 and 2116


def tell(log: CallLog, *calls: FinishedCall) -> list[str]:
    """Tells the log of these calls; returns their ids."""
    for start, end in calls:
        log.call_started(start).call_finished(end)
    return [start.call_id for start, _ in calls]


def test_feedback_is_kept_with_its_call(configure: Configure, make_call: MakeCall) -> None:
    """It is told to the log as calls are, and is there after as long."""
    settings = configure()
    log = CallLog(settings)
    (call,) = tell(log, make_call())
    log.record_feedback(call, "helpful", 1, comment="very")
    log.record_feedback(call, "reviewer", None, comment="too long")
    log.close()
    with CallHistory(settings) as history:
        found = [(one.metric, one.value, one.comment) for one in history.call(call).feedback]
    assert found == [("helpful", 1.0, "very"), ("reviewer", None, "too long")]


def test_feedback_may_come_before_its_call(configure: Configure, make_call: MakeCall) -> None:
    """The call waits in another process, or in a file; until it comes, nobody is shown what was thought of it."""
    settings = configure()
    call = make_call()
    log = CallLog(settings)
    log.record_feedback(call[0].call_id, "helpful", 1)
    log.flush()
    with CallHistory(settings) as history:
        assert history.feedback_scores() == []
        tell(log, call)
        log.close()
        assert [score.mean for score in history.feedback_scores()] == [1]
        assert len(history.call(call[0].call_id).feedback) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_feedback_waits_while_the_database_is_down(configure: Configure, tmp_path: Path, make_call: MakeCall) -> None:
    """In the file in which calls wait; it comes home with them, once."""
    settings = configure()
    (tmp_path / "calls.db").mkdir()  # no database can be here
    log = CallLog(settings)
    (call,) = tell(log, make_call())
    log.record_feedback(call, "helpful", 0.25)
    log.close()
    (tmp_path / "calls.db").rmdir()
    for _ in range(2):
        with CallHistory(settings) as history:
            assert [one.value for one in history.call(call).feedback] == [0.25]


@pytest.mark.parametrize(
    ("value", "comment", "words"),
    [
        (float("nan"), None, "value: nan of 'helpful' has no mean"),
        (float("-inf"), "low", "value: -inf of 'helpful' has no mean"),
        (1e200, None, "has no mean with others; say None"),
        (None, None, "neither a value nor a comment"),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_cannot_be_summed_up_is_refused(
    configure: Configure, value: float | None, comment: str | None, words: str
) -> None:
    """At once, where the mistake is, and in words that name it."""
    log = CallLog(configure())
    with pytest.raises(ValueError, match=words):
        log.record_feedback("a", "helpful", value, comment=comment)
    log.close()


def test_scores_are_told_by_variant_and_metric(
    configure: Configure, make_call: MakeCall, make_attempt: MakeAttempt
) -> None:
    """Mean, deviation, and how many; of one metric or all, and of calls of a time. A comment has no value."""
    settings = configure()
    log = CallLog(settings)
    warm, warm_too, plain, other = tell(
        log,
        *(
            make_call(make_attempt(started_at_ns=NOON + number), variant=variant)
            for number, variant in enumerate(["tone/warm", "tone/warm", "tone/plain", None])
        ),
    )
    for call, metric, value in (
        (warm, "helpful", 1),
        (warm, "helpful", 0),
        (warm_too, "helpful", 1),
        (warm, "length", 300),
        (plain, "helpful", 0.5),
        (other, "helpful", 9),
    ):
        log.record_feedback(call, metric, value)
    log.record_feedback(plain, "helpful", None, comment="hm")
    log.record_feedback("nobody", "helpful", 5)
    log.close()
    with CallHistory(settings) as history:
        scores, helpful = history.feedback_scores(), history.feedback_scores("helpful")
        of_a_time = history.feedback_scores(since_ns=NOON + 1, until_ns=NOON + 3)
    values = [(one.variant, one.metric, one.calls, one.count, one.mean) for one in scores]
    assert values == [
        (None, "helpful", 1, 1, 9),
        ("tone/plain", "helpful", 1, 1, 0.5),
        ("tone/warm", "helpful", 2, 3, pytest.approx(2 / 3)),
        ("tone/warm", "length", 1, 1, 300),
    ]
    assert [one.stddev for one in scores] == [None, None, pytest.approx(statistics.stdev([1, 0, 1])), None]
    assert helpful == [one for one in scores if one.metric == "helpful"]
    assert [(one.variant, one.count) for one in of_a_time] == [("tone/plain", 1), ("tone/warm", 1)]


@given(st.lists(st.integers(-(10**6), 10**6).map(lambda value: 1e9 + value / 16), min_size=2, max_size=30))
@examples(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_deviation_is_that_of_the_values(configure: Configure, make_call: MakeCall, values: list[float]) -> None:
    """Also of values that lie close together and far from zero, where sums of squares lose it."""
    settings = configure()
    log = CallLog(settings)
    (call,) = tell(log, make_call())
    for value in values:
        log.record_feedback(call, "score", value)
    log.close()
    with CallHistory(settings) as history:
        (score,) = history.feedback_scores()
        history.prune(EVER)
    assert (score.variant, score.metric, score.calls, score.count) == (None, "score", 1, len(values))
    assert score.mean == pytest.approx(statistics.fmean(values))
    assert score.stddev == pytest.approx(statistics.stdev(values), rel=1e-6, abs=1e-6)


def test_feedback_is_forgotten_with_its_call(
    configure: Configure, make_call: MakeCall, make_attempt: MakeAttempt
) -> None:
    """And, when it is as old, that on a call that never came."""
    settings = configure()
    log = CallLog(settings)
    old, new = tell(log, make_call(make_attempt(started_at_ns=LATER)), make_call(make_attempt(started_at_ns=EVER)))
    for call in (old, new, "never"):
        log.record_feedback(call, "helpful", 1)
    log.flush()
    with CallHistory(settings) as history:
        assert history.prune(LATER + 1) == 1
        tell(log, make_call(make_attempt(started_at_ns=EVER), call_id="never"))
        log.close()
        assert {call.id: len(history.call(call.id).feedback) for call in history.calls()} == {new: 1, "never": 0}
