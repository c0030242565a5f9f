"""Sums over logged calls: they add up, whatever became of the calls."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import fields, replace
from decimal import Decimal
from itertools import repeat
from typing import Any, TypeAlias

import anyio
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.testing.virtual_time import LoopClock, virtual_backend
from airframe.types import Usage
from avionics.calls import CallFilter, CallHistory, Repriced, UsageTotals
from avionics.calls.location import database_url
from avionics.calls.rows import call_rows
from avionics.calls.store import CallStore
from avionics.calls.usage import DIMENSIONS, Dimension
from avionics.errors import LLMError
from avionics.llm import LLMGateway
from avionics.llm.providers import MockProvider
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted
from avionics.settings import Settings
from avionics.testing import RecordingObserver

Configure: TypeAlias = Callable[..., Settings]
MakeCall: TypeAlias = Callable[..., tuple[CallStarted, CallFinished]]
MakeAttempt: TypeAlias = Callable[..., AttemptFinished]

DAY = 86_400 * 1_000_000_000
NOON = 1_795_176_000 * 1_000_000_000  # 2026-11-20 12:00 UTC
EVER = 2**62

counts = st.none() | st.integers(0, 200_000)
usages = st.builds(Usage, input_tokens=counts, output_tokens=counts, cache_read_tokens=st.none() | st.integers(0, 50))
delays = st.sampled_from([0.0, 1.0, 3.0, 10.0])
models = st.sampled_from(["gpt-4.1-mini", "gpt-5", "nobody-lists-this"])
answers = st.builds(
    Answer,
    chunks=st.lists(st.sampled_from(["a", "bc"]), max_size=3),
    usage=usages,
    model=models,
    reported_cost=st.none() | st.decimals("0", "2", places=12),
    delay=delays,
)
failures = st.builds(
    Failure,
    st.sampled_from([ErrorCategory.AUTH, ErrorCategory.CONNECTION, ErrorCategory.INVALID_REQUEST]),
    chunks=st.lists(st.just("a"), max_size=2),
    usage=usages,
    delay=delays,
)
steps = answers | failures
ways = st.sampled_from(["whole", "stream", "leave", "cancel", "late", "twice"])
scripts = st.lists(st.tuples(steps, steps, ways), max_size=6)


@pytest.fixture
def write(configure: Configure) -> Callable[..., Settings]:
    """Writes calls at once; returns the settings of the database."""
    settings = configure()

    def written(*calls: tuple[CallStarted, CallFinished]) -> Settings:
        store = CallStore(database_url(settings.database))
        store.write([call_rows(*call) for call in calls])
        store.close()
        return settings

    return written


@given(scripts)
@examples(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_everything_adds_up(write: Callable[..., Settings], script: Sequence[tuple[Step, Step, str]]) -> None:
    """A call is the sum of its attempts, a total that of its calls, by whatever they are summed up."""
    assert_sums(write, script)


def assert_sums(write: Callable[..., Settings], script: Sequence[tuple[Step, Step, str]]) -> RecordingObserver:
    recorder = RecordingObserver()
    backend, options = virtual_backend("asyncio")
    anyio.run(make_calls, script, recorder, backend=backend, backend_options=dict(options))
    assert len(recorder.started) == len(recorder.finished) >= len(script)
    settings = write(*zip(recorder.started, recorder.finished, strict=True))
    with CallHistory(settings) as history:
        try:
            calls, attempts = list(history.calls()), list(history.attempts())
            reports = [history.usage(by) for by in (None, *DIMENSIONS)]
        finally:
            history.prune(EVER)
    assert len(calls) == len(recorder.finished)
    ends = {start.call_id: end for start, end in zip(recorder.started, recorder.finished, strict=True)}
    for call in calls:
        of_it = [one for one in attempts if one.call_id == call.id]
        end = ends[call.id]
        assert len(of_it) == call.attempts == len(end.attempts)
        for name in ("cost_usd", "cost_low_usd", "cost_high_usd", "cost_estimated_usd"):
            assert getattr(call, name) == known_sum(getattr(one, name) for one in of_it)
        for field in fields(Usage):
            if field.name != "raw":
                summed = known_sum(getattr(one.usage, field.name) for one in of_it)
                assert getattr(call.usage, field.name) == summed
                assert not of_it or summed == getattr(end.usage or Usage(), field.name)
        assert call.unpriced == sum(one.unpriced for one in of_it)
        if end.cost_usd is not None and call.cost_usd is not None:
            assert abs(call.cost_usd - end.cost_usd) <= len(of_it) * Decimal("0.5e-9")
            assert (call.cost_low_usd or 0) <= call.cost_usd <= (call.cost_high_usd or 0)
    total = UsageTotals(
        calls=len(calls),
        attempts=len(attempts),
        input_tokens=sum(call.usage.input_tokens or 0 for call in calls),
        output_tokens=sum(call.usage.output_tokens or 0 for call in calls),
        cache_read_tokens=sum(call.usage.cache_read_tokens or 0 for call in calls),
        cost_usd=sum((call.cost_usd or Decimal(0) for call in calls), Decimal(0)),
        cost_low_usd=sum((call.cost_low_usd or Decimal(0) for call in calls), Decimal(0)),
        cost_high_usd=sum((call.cost_high_usd or Decimal(0) for call in calls), Decimal(0)),
        cost_estimated_usd=sum((call.cost_estimated_usd or Decimal(0) for call in calls), Decimal(0)),
        estimated=sum(call.estimated for call in calls),
        unpriced=sum(call.unpriced for call in calls),
        cache_hits=sum(call.cache == "hit" for call in calls),
        saved_usd=sum((call.saved_usd or Decimal(0) for call in calls), Decimal(0)),
    )
    assert [replace(report.totals, failures=0) for report in reports] == [total] * len(reports)
    return recorder


async def make_calls(script: Sequence[tuple[Step, Step, str]], recorder: RecordingObserver) -> None:
    both = {"deployments": [{"provider": "openai"}, {"provider": "llamaserver"}], "hedge": {"after": 2}}
    settings = Settings(
        agents={"default": {"route": "both"}}, routing={"routes": {"both": both}}, cache={"backend": "memory"}
    )
    for number, (first, second, way) in enumerate(script):
        providers = {
            "openai": MockProvider(repeat(first), name="openai", default_model="gpt-4.1-mini", clock=LoopClock()),
            "llamaserver": MockProvider(repeat(second), name="llamaserver", default_model="tiny", clock=LoopClock()),
        }
        gateway = LLMGateway(settings, observers=[recorder], providers=providers)
        about: dict[str, Any] = {"agent_name": f"agent {number % 2}", "tenant": "acme" if number % 3 else None}
        with suppress(LLMError), anyio.CancelScope() as scope:
            match way:
                case "whole":
                    await gateway.complete("Why?", **about)
                case "twice":
                    for _ in range(2):
                        await gateway.complete("Why?", **about, temperature=0)
                case "cancel":
                    scope.cancel()
                    await gateway.complete("Why?", **about)
                case "late":
                    scope.deadline = anyio.current_time() + 5
                    await gateway.complete("Why?", **about)
                case _:
                    async with gateway.complete_stream("Why?", **about) as stream:
                        async for _ in stream:
                            if way == "leave":
                                break


def known_sum(values: Iterable[Any]) -> Any:
    """None when there are values, and none is known."""
    all_of_them = list(values)
    known = [value for value in all_of_them if value is not None]
    return sum(known) if known or not all_of_them else None


def test_hedges_and_hits_are_among_what_adds_up(write: Callable[..., Settings]) -> None:
    """A silent first one is joined by the second, and both are paid for; the same question again costs nothing."""
    usage = Usage(input_tokens=1000, output_tokens=10)
    silent = Answer(text="late", delay=10, usage=usage, model="gpt-4.1-mini")
    script = [(silent, Answer(text="a", delay=1, usage=usage, model="tiny"), "whole")]
    script += [(Answer(text="a", usage=usage, model="gpt-4.1-mini"), silent, "twice")]
    recorder = assert_sums(write, script)
    hedged, asked, hit = recorder.finished
    assert sorted((one.reason, one.usage_source) for one in hedged.attempts) == [
        ("first", "estimated"),
        ("hedge", "reported"),
    ]
    assert (asked.cache, hit.cache, hit.saved_usd, len(hit.attempts)) == ("miss", "hit", Decimal("0.000416"), 0)


def test_groups_are_sorted_and_nothing_unknown_is_hidden(
    write: Callable[..., Settings], make_call: MakeCall, make_attempt: MakeAttempt
) -> None:
    """The dearest first; what has no known cost is counted, not priced at nothing."""
    settings = write(
        make_call(make_attempt(model=None, response_model="small"), agent_name=None),
        make_call(make_attempt(model="large", cost_usd=Decimal(3)), agent_name="planner"),
        make_call(make_attempt(model="secret", cost_usd=None), agent_name="planner"),
        make_call(make_attempt(usage=None, usage_source="unknown", cost_usd=None, category=ErrorCategory.AUTH)),
    )
    with CallHistory(settings) as history:
        models, agents = history.usage("model"), history.usage("agent")
    assert [(group.key, group.totals.cost_usd) for group in models.groups] == [
        ("large", Decimal(3)),
        ("small", Decimal("0.000416")),
        ("gpt-4.1-mini", Decimal(0)),
        ("secret", Decimal(0)),
    ]
    assert [group.totals.unpriced for group in models.groups] == [0, 0, 0, 1]
    assert [(group.key, group.totals.calls, group.totals.failures) for group in agents.groups] == [
        ("planner", 3, 1),
        (None, 1, 0),
    ]


def test_a_fallback_is_counted_by_model_where_it_was_paid_for(
    write: Callable[..., Settings], make_call: MakeCall, make_attempt: MakeAttempt
) -> None:
    """A call has one beginning; its attempts cost where they were made."""
    first = make_attempt(usage_source="estimated", cost_low_usd=Decimal(0), category=ErrorCategory.SERVER)
    settings = write(make_call(first, make_attempt(2, provider="llamaserver", model="tiny", cost_usd=Decimal(0))))
    with CallHistory(settings) as history:
        groups = history.usage("provider").groups
    assert [(group.key, group.totals.calls, group.totals.attempts, group.totals.failures) for group in groups] == [
        ("openai", 1, 1, 1),
        ("llamaserver", 0, 1, 0),
    ]
    paid = groups[0].totals
    assert (paid.estimated, paid.cost_estimated_usd, paid.cost_low_usd, paid.cost_high_usd) == (
        1,
        Decimal("0.000416"),
        Decimal(0),
        Decimal("0.000416"),
    )


def test_what_the_response_cache_saved_is_in_every_report(
    write: Callable[..., Settings], make_call: MakeCall, make_attempt: MakeAttempt
) -> None:
    """A hit has no attempt, costs nothing, and counts where its answer came from."""
    hit: dict[str, Any] = {"cache": "hit", "attempts": (), "usage": None, "cost_usd": Decimal(0), "deployment": "fast"}
    settings = write(
        make_call(make_attempt(deployment="fast"), cache="miss", deployment="fast"),
        make_call(**hit, saved_usd=Decimal("0.000416")),
        make_call(**hit, saved_usd=None),
    )
    with CallHistory(settings) as history:
        reports = {by: history.usage(by) for by in DIMENSIONS}
        calls = list(history.calls())
    groups = [group for by in ("agent", "model", "provider", "deployment") for group in reports[by].groups]
    assert [group.key for group in groups] == ["planner", "gpt-4.1-mini", "openai", "fast"]
    expected = UsageTotals(
        calls=3,
        attempts=1,
        input_tokens=1000,
        output_tokens=10,
        cost_usd=Decimal("0.000416"),
        cost_low_usd=Decimal("0.000416"),
        cost_high_usd=Decimal("0.000416"),
        cache_hits=2,
        saved_usd=Decimal("0.000416"),
    )
    assert [report.totals for report in reports.values()] == [expected] * len(DIMENSIONS)
    assert [(call.cost_usd, call.usage.input_tokens) for call in calls[1:]] == [(Decimal(0), 0)] * 2


def test_calls_of_an_experiment_are_told_apart(
    write: Callable[..., Settings], make_call: MakeCall, make_attempt: MakeAttempt
) -> None:
    """By variant; the calls of no experiment are a group of their own."""
    settings = write(*(make_call(variant=variant) for variant in ("tone/warm", "tone/plain", "tone/warm", None)))
    with CallHistory(settings) as history:
        groups = history.usage("variant").groups
    assert {group.key: group.totals.calls for group in groups} == {"tone/warm": 2, "tone/plain": 1, None: 1}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("by", DIMENSIONS)
def test_sqlite_reads_sums_in_order_and_from_an_index(
    write: Callable[..., Settings], make_call: MakeCall, by: Dimension
) -> None:
    """Sorting a million calls takes a second; of calls without attempts, which are few, alone the groups are sorted."""
    settings = write(make_call())
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        if "GROUP BY" in statement:
            asked.append((statement, parameters))

    with CallHistory(settings) as history:
        event.listen(Engine, "before_cursor_execute", note)
        history.usage(by, since_ns=NOON)
        event.remove(Engine, "before_cursor_execute", note)
    with closing(sqlite3.connect(database_url(settings.database).removeprefix("sqlite:///"))) as database:
        plans = [
            " ".join(row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))
            for statement, parameters in asked
        ]
    assert "COVERING INDEX ix_" in plans[0]
    assert "TEMP B-TREE" not in plans[0]
    assert ["ix_call_without_attempts" in plan for plan in plans[1:]] in ([], [True])


def test_days_are_those_of_utc_without_gaps(
    write: Callable[..., Settings], make_call: MakeCall, make_attempt: MakeAttempt
) -> None:
    """A day on which nothing happened is a day."""
    moments = (NOON, NOON + DAY // 2 - 1, NOON + DAY // 2, NOON + 3 * DAY)
    settings = write(*(make_call(make_attempt(started_at_ns=moment)) for moment in moments))
    with CallHistory(settings) as history:
        days = [(group.key, group.totals.calls) for group in history.usage("day").groups]
    assert days == [("2026-11-20", 2), ("2026-11-21", 1), ("2026-11-22", 0), ("2026-11-23", 1)]


def test_a_report_may_be_of_a_time(
    write: Callable[..., Settings], make_call: MakeCall, make_attempt: MakeAttempt
) -> None:
    """From its beginning on, up to its end; the same by calls and by attempts."""
    settings = write(*(make_call(make_attempt(started_at_ns=NOON + hour)) for hour in range(5)))
    with CallHistory(settings) as history:
        counted = {
            by: history.usage(by, since_ns=NOON + 1, until_ns=NOON + 4).totals.calls for by in (None, *DIMENSIONS)
        }
        nothing = history.usage("day", since_ns=NOON + DAY)
    assert set(counted.values()) == {3}
    assert (nothing.groups, nothing.totals) == ([], UsageTotals())


def test_other_prices_change_attempts_calls_and_totals_alike(
    write: Callable[..., Settings], make_call: MakeCall, make_attempt: MakeAttempt
) -> None:
    """A figure that becomes known is in the sums, one that becomes unknown is counted as that."""
    attempts = [make_attempt(cost_usd=None), make_attempt(2, usage_source="estimated", cost_usd=Decimal(1))]
    settings = write(make_call(*attempts), make_call(agent_name="other"))
    with CallHistory(settings) as history:
        figures = [
            Repriced(
                call_id=one.call_id,
                number=one.number,
                cost_usd=Decimal(one.number) / 3 if one.number == 1 else Decimal(8),
                cost_low_usd=Decimal(0),
                cost_high_usd=None,
                cost_source="user",
                price_version="mine",
            )
            for one in history.attempts(CallFilter(agent="planner"))
        ]
        assert history.reprice(figures) == 2
        (call, other) = history.calls()
        first, second, untouched = history.attempts()
        assert (first.cost_usd, first.unpriced, first.cost_estimated_usd) == (Decimal("0.333333333"), 0, Decimal(0))
        assert (second.cost_usd, second.cost_estimated_usd) == (Decimal(8), Decimal(8))
        assert (first.cost_source, first.price_version, untouched.price_version) == ("user", "mine", "a list")
        assert (call.cost_usd, call.cost_low_usd, call.unpriced) == (Decimal("8.333333333"), Decimal(0), 0)
        assert other.cost_usd == Decimal("0.000416")
        history.reprice([replace(figures[0], cost_usd=None, cost_low_usd=None)])
        (call, _) = history.calls()
        assert (call.cost_usd, call.unpriced) == (Decimal(8), 1)
        assert history.usage().totals.unpriced == 1
