"""When a node counts as down, and when it is tried again."""

from __future__ import annotations

import pytest

from airframe.endpoints import HealthReport, HealthState, ServerLoad
from airframe.errors import ErrorCategory
from avionics.llm.nodes.state import NodeState, began, ended, marked, probed, why_not
from avionics.settings.nodes import NodeHealthSettings

HEALTH = NodeHealthSettings(failures=3, first_wait=1.0, longest_wait=8.0, interval=5.0)
WELL = HealthReport(state=HealthState.HEALTHY)
GONE = HealthReport(state=HealthState.UNREACHABLE, detail="refused")
LOADING = HealthReport(state=HealthState.LOADING)


def failing(state: NodeState, *categories: ErrorCategory, now: float = 100.0) -> NodeState:
    """The state after calls that failed."""
    for category in categories:
        state = ended(began(state), category, now, HEALTH)
    return state


class TestCalls:
    """What calls say of a node."""

    @pytest.mark.parametrize(
        ("categories", "is_down"),
        [
            ([ErrorCategory.CONNECTION], True),
            ([ErrorCategory.TIMEOUT] * 2, False),
            ([ErrorCategory.TIMEOUT, ErrorCategory.SERVER, ErrorCategory.OVERLOADED], True),
            ([ErrorCategory.INVALID_REQUEST] * 9, False),
            ([ErrorCategory.CANCELLED] * 9, False),
            ([ErrorCategory.CONTEXT_LENGTH, ErrorCategory.NOT_FOUND, ErrorCategory.CONTENT_FILTER], False),
        ],
    )
    def test_its_own_failures_take_it_down(self, categories: list[ErrorCategory], is_down: bool) -> None:
        """A refused connection at once, other failures of its own after three; the caller's mistakes never."""
        state = failing(NodeState(), *categories)
        assert (why_not(state, 100.0, probed=False) is not None) is is_down
        assert state.in_flight == 0

    def test_an_answer_ends_the_row(self) -> None:
        """Two failures, an answer and two failures are not three in a row."""
        state = failing(NodeState(), ErrorCategory.TIMEOUT, ErrorCategory.TIMEOUT)
        state = ended(began(state), None, 100.0, HEALTH)
        assert why_not(failing(state, ErrorCategory.TIMEOUT, ErrorCategory.TIMEOUT), 100.0, probed=False) is None

    def test_each_further_setback_doubles_the_wait_up_to_a_limit(self) -> None:
        """1, 2, 4, 8, 8 seconds, and 1 again once a call was answered."""
        state, now, waits = NodeState(), 100.0, list[float]()
        for _ in range(5):
            state = failing(state, ErrorCategory.CONNECTION, now=now)
            assert state.down is not None
            waits.append(state.down.retry_at - now)
            now = state.down.retry_at
        assert waits == [1, 2, 4, 8, 8]
        state = failing(ended(began(state), None, now, HEALTH), ErrorCategory.CONNECTION, now=now)
        assert state.down is not None
        assert state.down.retry_at - now == 1

    def test_calls_that_fail_together_are_one_setback(self) -> None:
        """Ten calls that were under way when it went down do not make it wait a thousand times as long."""
        state = failing(NodeState(), *[ErrorCategory.CONNECTION] * 10)
        assert state.setbacks == 1

    def test_without_probes_one_call_tries_it_again(self) -> None:
        """When its wait is over, and no second one while the first is under way."""
        state = failing(NodeState(), ErrorCategory.CONNECTION)
        assert "tried again in 1 s" in (why_not(state, 100.0, probed=False) or "")
        assert why_not(state, 101.0, probed=False) is None
        assert "being tried again" in (why_not(began(state), 101.0, probed=False) or "")
        assert why_not(ended(began(state), None, 101.0, HEALTH), 101.0, probed=False) is None


class TestProbes:
    """What probes say of a node."""

    def test_a_probe_takes_it_down_and_brings_it_back(self) -> None:
        """While somebody probes, no call is risked on a node that is down."""
        state = probed(NodeState(), GONE, None, 100.0, HEALTH)
        assert "refused" in (why_not(state, 200.0, probed=True) or "")
        assert state.probe_at == 101.0
        assert why_not(probed(state, WELL, None, 101.0, HEALTH), 101.0, probed=True) is None

    def test_failed_probes_are_less_and_less_frequent(self) -> None:
        """A node that stays away is not asked all the time; well again, it is asked in the usual interval."""
        state, now, waits = NodeState(), 100.0, list[float]()
        for report in (GONE, GONE, GONE, GONE, GONE, WELL):
            state = probed(state, report, None, now, HEALTH)
            assert state.probe_at is not None
            waits.append(state.probe_at - now)
            now = state.probe_at
        assert waits == [1, 2, 4, 8, 8, 5]

    def test_a_node_that_answers_probes_and_fails_calls_waits_longer_and_longer(self) -> None:
        """A healthy probe alone does not forgive: else it would be sent three calls every second."""
        state, now = NodeState(), 100.0
        for wait in (1, 2, 4):
            state = failing(state, *[ErrorCategory.SERVER] * 3, now=now)
            assert state.down is not None
            assert state.down.retry_at - now == wait
            now = state.down.retry_at
            state = probed(state, WELL, None, now, HEALTH)

    def test_an_old_trouble_is_forgotten(self) -> None:
        """After being well for longer than the longest wait, the first wait is short again."""
        state = probed(NodeState(), GONE, None, 100.0, HEALTH)
        state = probed(state, GONE, None, 101.0, HEALTH)
        state = probed(state, WELL, None, 103.0, HEALTH)
        state = probed(state, GONE, None, 112.0, HEALTH)
        assert state.down is not None
        assert state.down.retry_at == 113.0

    def test_a_node_that_loads_is_not_asked_and_is_no_failure(self) -> None:
        """It is looked at again soon; if nobody probes any more, a call may try."""
        state = probed(NodeState(), LOADING, None, 100.0, HEALTH)
        assert why_not(state, 100.0, probed=True) == "it loads its model"
        assert (state.probe_at, state.setbacks) == (101.0, 0)
        assert why_not(state, 101.0, probed=False) is None
        assert why_not(probed(state, WELL, None, 101.0, HEALTH), 101.0, probed=True) is None


class TestMarks:
    """What somebody says of a node."""

    def test_a_mark_stays_until_it_is_taken_away(self) -> None:
        """Neither a healthy probe nor an answer takes it away; marked healthy, it is asked at once."""
        state = marked(failing(NodeState(), ErrorCategory.CONNECTION), healthy=False)
        state = ended(probed(state, WELL, None, 100.0, HEALTH), None, 100.0, HEALTH)
        assert why_not(state, 1e9, probed=False) == "marked unhealthy"
        state = failing(state, ErrorCategory.CONNECTION)
        assert why_not(marked(state, healthy=True), 100.0, probed=True) is None


class TestWork:
    """How much is to be done at a node."""

    def test_what_it_said_and_what_happened_since(self) -> None:
        """Requests of others are known from the probe, our own ones at once, and none is counted twice."""
        state = probed(began(NodeState()), WELL, ServerLoad(slots=4, busy_slots=3, waiting=1), 100.0, HEALTH)
        assert state.work_at(100.0, HEALTH) == 4
        assert began(began(state)).work_at(100.0, HEALTH) == 6
        assert ended(state, None, 100.0, HEALTH).work_at(100.0, HEALTH) == 3

    def test_an_old_report_is_not_believed(self) -> None:
        """Then only our own calls are known."""
        state = probed(began(NodeState()), WELL, ServerLoad(busy_slots=9, loaded_models=("m",)), 100.0, HEALTH)
        assert state.load_at(115.0, HEALTH).loaded_models == ("m",)
        assert (state.work_at(115.1, HEALTH), state.load_at(115.1, HEALTH)) == (1, ServerLoad())

    def test_a_server_that_is_too_busy_to_tell_its_slots_is_not_free(self) -> None:
        """What it told before holds, as long as it is fresh; then it is unknown."""
        full = ServerLoad(slots=2, busy_slots=2)
        state = probed(NodeState(), WELL, full, 100.0, HEALTH)
        state = probed(state, WELL, ServerLoad(slots=2), 110.0, HEALTH)
        assert state.load_at(110.0, HEALTH) == full
        assert probed(state, WELL, None, 116.0, HEALTH).load_at(116.0, HEALTH) == ServerLoad()
        assert probed(state, WELL, ServerLoad(slots=2, busy_slots=0), 110.0, HEALTH).work_at(110.0, HEALTH) == 0

    def test_speed_is_a_moving_average_of_answers(self) -> None:
        """Short answers say nothing about it, and an old one is forgotten."""
        state = NodeState()
        for tokens, seconds in ((100, 10.0), (200, 10.0), (2, 10.0), (None, 1.0), (50, None)):
            state = ended(state, None, 100.0, HEALTH, tokens=tokens, seconds=seconds)
        assert state.speed_at(100.0, HEALTH) == pytest.approx(13.0)
        assert state.speed_at(400.1, HEALTH) is None
