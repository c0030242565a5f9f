"""The board that all calls of a gateway share: what it counts, and who may try a deployment that was not well."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airframe.errors import ErrorCategory
from avionics.llm.routing import DeploymentHealth, HealthBoard


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def board_with_half_open(clock: Clock) -> HealthBoard:
    board = HealthBoard(clock=clock)
    for _ in range(5):
        board.begin("a")
        board.failure("a", category=ErrorCategory.SERVER, duration=0.0)
    clock.now += 5
    assert board.state("a") == "half_open"
    return board


def test_it_knows_who_is_busy_and_how_they_fare() -> None:
    """What begins is in flight until it ends, in whichever way; who was never asked is well."""
    board = HealthBoard(clock=Clock())
    for _ in range(4):
        board.begin("a")
    assert board.health("a").in_flight == 4
    board.success("a", duration=2.0, first_event=0.5, tokens=30)
    board.failure("a", category=ErrorCategory.TIMEOUT, duration=9.0)
    board.left("a")
    health = board.snapshot()["a"]
    assert (health.in_flight, health.failures_in_row, health.outcomes.counts(100.0, 60.0)) == (1, 1, (1, 2))
    assert (health.latency.value, health.first_event.value, health.tokens_per_second.value) == (2.0, 0.5, 20.0)
    assert board.health("b") == DeploymentHealth()
    assert board.state("b") == "closed"
    assert list(board.snapshot()) == ["a"]


ENDS: list[tuple[Callable[[HealthBoard], None], str]] = [
    (lambda board: board.success("a", duration=0.5), "closed"),
    (lambda board: board.failure("a", category=ErrorCategory.SERVER, duration=0.5), "open"),
    (lambda board: board.failure("a", category=ErrorCategory.INVALID_REQUEST, duration=0.5), "half_open"),
    (lambda board: board.left("a", duration=0.5), "half_open"),
    (lambda board: board.left("a"), "half_open"),
]


@pytest.mark.parametrize(
    ("end", "state"),
    ENDS,
    ids=["answered", "failed", "failed by itself", "cancelled", "cancelled, nobody knows when it began"],
)
def test_one_call_at_a_time_tries_a_deployment(end: Callable[[HealthBoard], None], state: str) -> None:
    """Until it ends, however it ends; what says nothing of the deployment leaves the trial to the next call."""
    clock = Clock()
    board = board_with_half_open(clock)
    assert board.claim_probe("a")
    board.begin("a")
    assert not board.claim_probe("a")
    clock.now += 1
    end(board)
    assert board.state("a") == state
    assert board.claim_probe("a")
    assert board.claim_probe("never asked")


def test_what_began_before_does_not_end_the_trial() -> None:
    """A call that hung since before the outage fails while another call tries the deployment."""
    clock = Clock()
    board = HealthBoard(clock=clock)
    board.begin("a")
    clock.now += 1
    for _ in range(5):
        board.begin("a")
        board.failure("a", category=ErrorCategory.SERVER, duration=0.0)
    clock.now += 5
    assert board.claim_probe("a")
    board.begin("a")
    clock.now += 1
    board.failure("a", category=ErrorCategory.TIMEOUT, duration=7.0)
    assert board.state("a") == "half_open"
    assert not board.claim_probe("a")


def test_a_trial_that_nobody_reports_on_is_over_after_five_minutes() -> None:
    """Else a deployment could be lost for ever."""
    clock = Clock()
    board = board_with_half_open(clock)
    assert board.claim_probe("a")
    clock.now += 299
    assert not board.claim_probe("a")
    clock.now += 1
    assert board.claim_probe("a")


def test_threads_lose_no_count_and_share_one_trial() -> None:
    """Eight threads, 200 exchanges each; then all of them want to try a deployment."""
    clock = Clock()
    board = board_with_half_open(clock)
    start, claims = threading.Barrier(8), list[bool]()

    def work() -> None:
        start.wait()
        claims.append(board.claim_probe("a"))
        for number in range(200):
            board.begin("b")
            if number % 2:
                board.success("b", duration=1.0)
            else:
                board.failure("b", category=ErrorCategory.SERVER)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert claims.count(True) == 1
    assert (board.health("b").in_flight, board.health("b").outcomes.counts(clock.now, 60.0)) == (0, (800, 1600))


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["ask", "answer", "fail", "leave"]), st.floats(0, 60), st.sampled_from(ErrorCategory)),
    max_size=80,
)


@settings(deadline=None)
@given(OPERATIONS)
def test_it_is_never_stuck(operations: list[tuple[str, float, ErrorCategory]]) -> None:
    """Whatever calls do and leave undone, at most one tries at a time, and within ten minutes somebody may again."""
    clock, begun = Clock(), list[float]()
    board = HealthBoard(clock=clock)
    for operation, pause, category in operations:
        clock.now += pause
        if operation == "ask":
            half_open = board.state("a") == "half_open"
            if board.claim_probe("a"):
                board.begin("a")
                begun.append(clock.now)
                assert not half_open or not board.claim_probe("a")
        elif begun:
            duration = clock.now - begun.pop()
            match operation:
                case "answer":
                    board.success("a", duration=duration)
                case "fail":
                    board.failure("a", category=category, duration=duration)
                case _:
                    board.left("a", duration=duration)
        assert board.health("a").in_flight == len(begun)
    clock.now += 600
    assert board.state("a") != "open"
    assert board.claim_probe("a")


def test_it_remembers_a_thousand_deployments() -> None:
    """Calls may name any model; who is busy is kept, and of the others who was used last."""
    board = HealthBoard(clock=Clock())
    board.begin("busy")
    for number in range(1500):
        board.begin(str(number))
        board.left(str(number))
    known = board.snapshot()
    assert len(known) == 1000
    assert {"busy", "1499"} <= known.keys()
    assert "0" not in known
    oldest, next_oldest = list(known)[1:3]  # behind the busy one
    for name in (oldest, "new"):
        board.begin(name)
        board.left(name)
    assert oldest in board.snapshot()
    assert next_oldest not in board.snapshot()
