"""What the log says of an experiment: figures by hand, and the whole way from a call to a report."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer
from airframe.types import Usage
from avionics.calls import CallHistory, CallLog
from avionics.llm import LLMGateway
from avionics.llm.experiments.report import ExperimentReport, Figure, VariantReport
from avionics.llm.providers import MockProvider
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted
from avionics.settings import Settings

FinishedCall: TypeAlias = tuple[CallStarted, CallFinished]
Configure: TypeAlias = Callable[..., Settings]
MakeCall: TypeAlias = Callable[..., FinishedCall]
MakeAttempt: TypeAlias = Callable[..., AttemptFinished]

# R's data set PlantGrowth: see tests/avionics/experiments/test_intervals.py.
CONTROL = [4.17, 5.58, 5.18, 6.11, 4.50, 4.61, 5.17, 4.53, 5.33, 5.14]
TREATED = [4.81, 4.17, 4.41, 3.59, 5.87, 3.83, 6.03, 4.89, 4.32, 4.69]


class Log:
    """A call log, and what is told to it."""

    def __init__(self, settings: Settings, make_call: MakeCall) -> None:
        self._settings = settings
        self._log = CallLog(settings)
        self._make_call = make_call

    def call(self, variant: str | None, *attempts: AttemptFinished, **fields: Any) -> str:
        """One more call; returns its id."""
        start, end = self._make_call(*attempts, variant=variant, **fields)
        self._log.call_started(start).call_finished(end)
        return start.call_id

    def rated(self, variant: str, metric: str, value: float, **fields: Any) -> None:
        """A call that is given this value."""
        self._log.record_feedback(self.call(variant, **fields), metric, value)

    def report(self, **options: Any) -> ExperimentReport:
        """The report on the experiment `e`."""
        self._log.close()
        with CallHistory(self._settings) as history:
            return history.experiment_report("e", **options)


@pytest.fixture
def log(configure: Configure, make_call: MakeCall) -> Log:
    """An empty log; a test that takes it runs on SQLite and on PostgreSQL."""
    return Log(configure(), make_call)


def of(report: ExperimentReport, variant: str) -> VariantReport:
    (found,) = [each for each in report.variants if each.variant == variant]
    return found


def mean(figure: Figure | None) -> tuple[float, float | None, float | None]:
    assert figure is not None
    return figure.mean.value, figure.mean.low, figure.mean.high


def difference(figure: Figure | None) -> tuple[float, float | None, float | None]:
    assert figure is not None
    assert figure.difference is not None
    return figure.difference.value, figure.difference.low, figure.difference.high


def test_feedback_is_compared_with_that_of_the_control(log: Log) -> None:
    """R: `t.test(trt1, ctrl)` of PlantGrowth gives -1.0295162 to 0.2875162."""
    for value in CONTROL:
        log.rated("e/control", "weight", value)
    for value in TREATED:
        log.rated("e/treated", "weight", value)
    report = log.report()
    assert (report.control, [each.variant for each in report.variants]) == ("control", ["control", "treated"])
    assert mean(of(report, "control").feedback["weight"]) == pytest.approx((5.032, 4.61488156, 5.44911844))
    assert difference(of(report, "treated").feedback["weight"]) == pytest.approx((-0.371, -1.0295162, 0.2875162))
    assert of(report, "control").feedback["weight"].difference is None
    assert any(remark.startswith("treated, weight: no difference is shown") for remark in report.remarks)
    assert any(remark.startswith("treated has 10 sessions: fewer than 30 are few") for remark in report.remarks)


def test_errors_are_shares(log: Log, make_attempt: MakeAttempt) -> None:
    """Newcombe 1998, table II (b): 9 of 10 against 3 of 10 differ by 0.1705 to 0.8090. Who left is not counted."""
    failed = make_attempt(category=ErrorCategory.SERVER, usage=None, cost_usd=Decimal(0))
    for variant, failures in (("e/control", 3), ("e/v", 9)):
        for number in range(10):
            log.call(variant, *([failed] if number < failures else []))
    log.call("e/v", outcome="abandoned")
    log.call("e/v", outcome="cancelled")
    report = log.report()
    assert (of(report, "v").calls, of(report, "v").left) == (12, 2)
    assert difference(of(report, "v").errors) == pytest.approx((0.6, 0.1705, 0.8090), abs=5e-5)
    assert "v, errors: greater than the control's." in report.remarks


def test_a_session_counts_once(log: Log) -> None:
    """However many calls it made: its value is their mean, and ten calls of one session do not look like ten."""
    for value in (1, 0, 1, 1):
        log.rated("e/control", "helpful", value, session_id="s")
    log.rated("e/control", "helpful", 0, session_id=None, conversation_id="c")
    log.rated("e/control", "helpful", 1, session_id="", conversation_id="c")
    log.rated("e/control", "helpful", 1)
    (variant,) = log.report().variants
    assert (variant.calls, variant.sessions) == (7, 3)
    assert variant.feedback["helpful"].mean.count == 3
    assert variant.feedback["helpful"].mean.value == pytest.approx((0.75 + 0.5 + 1) / 3)


def test_an_error_rate_stays_a_rate(log: Log, make_attempt: MakeAttempt) -> None:
    """Where some calls of a session failed, Student's interval is used, which by itself would go below 0."""
    for session in range(4):
        for number in range(4):
            failed = make_attempt(category=ErrorCategory.SERVER if (session, number) == (0, 0) else None)
            log.call("e/control", failed, session_id=str(session))
    (variant,) = log.report().variants
    assert variant.errors is not None
    assert (variant.errors.mean.value, variant.errors.mean.low) == (1 / 16, 0)
    assert variant.errors.mean.high == pytest.approx(1 / 16 + 3.182446 / 16, rel=1e-5)  # t(0.975, 3), and s = 1/8


def test_speed_and_cost_are_those_of_backends(log: Log, make_attempt: MakeAttempt) -> None:
    """By nearest rank over the answers; hits of the cache and unknown prices are counted beside."""
    second = 1_000_000_000
    for number in range(1, 21):
        attempt = make_attempt(started_at_ns=0, cost_usd=Decimal(number) / 1000)
        log.call("e/control", attempt, ended_at_ns=number * second)
    log.call("e/control", make_attempt(started_at_ns=0, cost_usd=None), ended_at_ns=second)
    log.call("e/control", attempts=(), cache="hit", started_at_ns=0, ended_at_ns=99 * second)
    (variant,) = log.report().variants
    assert (variant.cached, variant.unpriced) == (1, 1)
    assert (variant.p50, variant.p95) == (10, 19)  # of 1, 1, 2, ..., 20: the 11th and the 20th
    assert mean(variant.cost_usd)[0] == pytest.approx(0.0105)


def test_too_little_is_called_so(log: Log) -> None:
    """One value has no interval, ten answers no 95th percentile, and nothing at all says that."""
    log.rated("e/control", "weight", 3.5)
    report = log.report()
    (variant,) = report.variants
    assert mean(variant.feedback["weight"]) == (3.5, None, None)
    assert (variant.p50, variant.p95) == (1.0, None)
    assert "control has 1 sessions: fewer than 30 are few, and intervals of means are rough." in report.remarks


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_experiment_without_calls_has_an_empty_report(log: Log) -> None:
    """Calls outside of experiments, and those of others whose names are alike, are not its calls."""
    for variant in (None, "ee/control", "E/control", "e_/x"):
        log.call(variant)
    report = log.report()
    assert (report.control, report.variants) == (None, [])
    assert report.remarks == ["No call of this experiment is in the log."]


def test_copies_stand_beside_the_variants(log: Log) -> None:
    """Last, under a name of their own; who is compared with whom can be said."""
    for variant in ("e/shadow:b", "e/b", "e/a"):
        log.call(variant)
    report = log.report(control="b")
    assert [each.variant for each in report.variants] == ["b", "a", "shadow:b"]
    assert "Copies have answers that nobody saw: they compare in errors, time and cost." in report.remarks


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_variants_that_did_not_get_their_sessions_are_told(log: Log) -> None:
    """5 of 50 are what a weight of 1:9 gives, and not what 1:1 does; copies have no weight."""
    for number in range(50):
        log.call("e/a" if number < 5 else "e/b")
        log.call("e/shadow:b")
    as_weighed = log.report(weights={"a": 1, "b": 9, "c": 0})
    otherwise = log.report(weights={"a": 1, "b": 1})
    assert [remark for remark in as_weighed.remarks if "of 50 sessions" in remark] == []
    assert [remark[:50] for remark in otherwise.remarks if "of 50 sessions" in remark] == [
        "a has 5 of 50 sessions, by its weight about 25: un",
        "b has 45 of 50 sessions, by its weight about 25: u",
    ]


def test_one_metric_and_one_time_may_be_asked_for(log: Log, make_attempt: MakeAttempt) -> None:
    """Calls before and after do not count, nor does other feedback."""
    for moment in (10, 20, 30):
        call = make_attempt(started_at_ns=moment)
        log.call("e/a", call)
    log.rated("e/a", "helpful", 1, started_at_ns=20)
    log.rated("e/a", "length", 5, started_at_ns=20)
    (variant,) = log.report(metric="helpful", since_ns=20, until_ns=30).variants
    assert (variant.calls, set(variant.feedback)) == (3, {"helpful"})


@pytest.mark.anyio
async def test_from_a_call_to_the_report(configure: Configure) -> None:
    """The gateway chooses the variant, the log remembers it, feedback finds its call, copies are told apart."""
    variants = [{"name": "control"}, {"name": "v", "provider": "openai"}]
    shadow = {"to": "v", "share": 1, "concurrency": 100, "patience": 60}
    plan = Settings(
        experiments={"e": {"variants": variants, "shadow": shadow}},
        prices=[{"provider": "openai", "input_per_million": 1, "output_per_million": 1}],
    )
    settings = configure().model_copy(update={"experiments": plan.experiments, "prices": plan.prices})
    answer = Answer(text="a", usage=Usage(input_tokens=10, output_tokens=10))
    providers = {name: MockProvider([answer] * 60, name=name) for name in ("llamaserver", "openai")}
    async with LLMGateway(settings, observers=[CallLog(settings)], providers=providers) as gateway:
        for number in range(40):
            response = await gateway.complete("Why?", session_id=f"s{number}")
            helpful = response.provider == "openai"
            gateway.record_feedback(response.call_id, "helpful", helpful, comment="so it seems")
    with CallHistory(settings) as history:
        report = history.experiment_report("e")
    control, variant = of(report, "control"), of(report, "v")
    assert control.calls + variant.calls == 40
    assert (mean(control.feedback["helpful"])[0], mean(variant.feedback["helpful"])[0]) == (0, 1)
    assert of(report, "shadow:v").calls == control.calls
    assert "v, helpful: greater than the control's." in report.remarks


@pytest.mark.anyio
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_feedback_is_not_lost_while_the_database_is_down(configure: Configure, tmp_path: Path) -> None:
    """It waits with its call, and whoever gives it does not notice."""
    settings = configure()
    (tmp_path / "calls.db").mkdir()  # no database can be here
    log, provider = CallLog(settings), MockProvider([Answer(text="a")])
    async with LLMGateway(settings, observers=[log], providers={"llamaserver": provider}) as gateway:
        call_id = (await gateway.complete("Why?")).call_id
        gateway.record_feedback(call_id, "helpful", 1)
    log.close()
    (tmp_path / "calls.db").rmdir()
    with CallHistory(settings) as history:
        assert [one.value for one in history.call(call_id).feedback] == [1]
