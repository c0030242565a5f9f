"""All stores count alike: in memory, in SQLite, in Redis."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airframe.testing.clock import Clock
from avionics.llm.limits.bookkeeping import Refusal
from avionics.llm.limits.claims import BudgetClaim, Claim, RateClaim, SlotClaim, Standing
from avionics.llm.limits.memory_store import MemoryStore
from avionics.llm.limits.store import LEASE, Holder, Store, Ticket


def rate(amount: int = 1, *, per_minute: int = 60, capacity: int = 60, key: str = "rate") -> RateClaim:
    return RateClaim(key=key, amount=amount, per_minute=per_minute, capacity=capacity)


def budget(amount: int, *, of: int = 100, ends_at: int | None = None) -> BudgetClaim:
    return BudgetClaim(key="budget", amount=amount, budget=of, ends_at=ends_at)


SLOT = SlotClaim(key="slots", slots=2)


def take(store: Store, *claims: Claim) -> Ticket | Refusal:
    return store.take(claims, Holder(claims))


def granted(store: Store, *claims: Claim) -> Ticket:
    ticket = take(store, *claims)
    assert isinstance(ticket, Ticket)
    return ticket


def refused(store: Store, *claims: Claim) -> Refusal:
    refusal = take(store, *claims)
    assert isinstance(refusal, Refusal)
    return refusal


def spending(store: Store) -> tuple[int, int]:
    standing = store.known(["budget"]).get("budget", Standing())
    return standing.spent, standing.reserved


def test_a_whole_minute_may_be_used_at_once(store: Store) -> None:
    """Neither one unit less, whatever the rate, nor one more."""
    for _ in range(7):
        granted(store, rate(per_minute=7, capacity=7))
    assert refused(store, rate(per_minute=7, capacity=7)).places == (0,)


def test_units_flow_in_evenly(store: Store, clock: Clock) -> None:
    """At sixty a minute the next one is there in a second, and a refusal says so, to the microsecond."""
    granted(store, rate(60))
    assert refused(store, rate()).wait == 1_000_000
    clock.now += 0.999_999
    assert refused(store, rate()).wait == 1
    clock.now += 0.000_001
    granted(store, rate())
    assert refused(store, rate(5)).wait == 5_000_000


def test_all_claims_are_granted_or_none(store: Store) -> None:
    """A refused call has taken nothing from those that had room."""
    granted(store, rate(60))
    refusal = refused(store, budget(10), SLOT, rate(), rate(key="other"))
    assert (refusal.places, refusal.of_budget) == ((2,), False)
    assert spending(store) == (0, 0)
    _first = granted(store, SLOT, rate(60, key="other"))
    _second = granted(store, SLOT)


def test_a_budget_refuses_before_anything_else(store: Store) -> None:
    """Waiting does not bring it back, so nobody is told to wait."""
    granted(store, rate(60), budget(95))
    refusal = refused(store, rate(), budget(6))
    assert (refusal.places, refusal.of_budget, refusal.wait) == ((1,), True, None)
    granted(store, budget(5))


def test_what_costs_nothing_passes_an_overspent_budget(store: Store) -> None:
    """A call that used more than it had said spends too much; a free one goes on."""
    ticket = granted(store, budget(100))
    store.settle(ticket, [130])
    assert spending(store) == (130, 0)
    granted(store, budget(0))
    assert refused(store, budget(1)).of_budget


def test_settling_books_what_was_used(store: Store) -> None:
    """What was reserved beyond is there for others again."""
    ticket = granted(store, budget(80))
    assert spending(store) == (0, 80)
    store.settle(ticket, [30])
    assert spending(store) == (30, 0)
    granted(store, budget(70))


def test_slots_are_given_back(store: Store) -> None:
    """Two at a time: a third goes when one of the two has ended."""
    first, _second = granted(store, SLOT), granted(store, SLOT)
    assert refused(store, SLOT).wait is None
    store.settle(first, [1])
    _third = granted(store, SLOT)
    assert refused(store, SLOT).places == (0,)


def test_unused_units_come_back_within_the_minute(store: Store, clock: Clock) -> None:
    """A call that took less than it had said makes room at once; after a minute the room is there anyway."""
    ticket = granted(store, rate(60))
    clock.now += 10
    store.settle(ticket, [20])
    long = granted(store, rate(50))
    refused(store, rate())
    clock.now += 60
    granted(store, rate(60))
    store.settle(long, [0])
    refused(store, rate())


def test_units_used_beyond_are_owed(store: Store, clock: Clock) -> None:
    """They are paid before the next call, but nobody waits for more than two minutes of them."""
    store.settle(granted(store, rate(10)), [70])
    assert refused(store, rate(1)).wait == 11_000_000
    store.settle(granted(store, rate(0, key="far")), [100_000])
    assert refused(store, rate(60, key="far")).wait == 120_000_000


def test_a_clock_that_is_put_back_does_not_stop_calls(store: Store, clock: Clock) -> None:
    """What was counted at a time that is now to come counts no more."""
    granted(store, rate(60))
    clock.now -= 30
    assert refused(store, rate()).wait == 31_000_000
    clock.now -= 86_400
    granted(store, rate(60))
    refused(store, rate())


def test_a_dropped_holder_holds_no_slot(store: Store, clock: Clock) -> None:
    """Whoever is gone without a word frees it: at once in this process, when the lease ends elsewhere."""
    tickets = [granted(store, SLOT), granted(store, SLOT)]
    refused(store, SLOT)
    tickets.clear()
    if store.is_shared:
        refused(store, SLOT)
        clock.now += LEASE
    _ticket = granted(store, SLOT)
    granted(store, SLOT)


def test_two_see_each_other(pair: tuple[Store, Store]) -> None:
    """What one process takes, another does not have."""
    left, right = pair
    ticket = granted(left, rate(60), budget(60), SLOT)
    refused(right, rate())
    assert refused(right, budget(41)).of_budget
    store_ticket = granted(right, budget(40), SLOT)
    refused(left, SLOT)
    left.settle(ticket, [60, 10, 1])
    right.settle(store_ticket, [40, 1])
    granted(right, budget(50))
    assert spending(right) == (50, 50)


def test_a_lease_is_renewed(pair: tuple[Store, Store], clock: Clock) -> None:
    """Whoever is there keeps the slot for as long as the call takes; who comes too late has lost it."""
    left, right = pair
    kept, lost = granted(left, SLOT), granted(left, SLOT)
    clock.now += LEASE - 1
    left.renew([kept.holder])
    clock.now += 2
    taken = granted(right, SLOT)
    refused(right, SLOT)
    left.renew([lost.holder])
    right.settle(taken, [1])
    _ticket = granted(right, SLOT)
    clock.now += LEASE - 3
    refused(right, SLOT)


def test_threads_do_not_overspend(store: Store) -> None:
    """However many ask at the same moment, as much is granted as there is."""
    grants: list[Ticket] = []
    start = threading.Barrier(8)

    def spend() -> None:
        start.wait()
        for _ in range(20):
            ticket = take(store, budget(3, of=100), rate(1, per_minute=40, capacity=40))
            if isinstance(ticket, Ticket):
                grants.append(ticket)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(grants) == 33
    assert spending(store) == (0, 99)


CLAIMS: st.SearchStrategy[Claim] = st.one_of(
    st.builds(rate, st.integers(0, 8), per_minute=st.just(7), capacity=st.just(7)),
    st.builds(rate, st.integers(0, 900), per_minute=st.just(1_000), capacity=st.just(600), key=st.just("tokens")),
    st.builds(budget, st.integers(0, 60)),
    st.just(SLOT),
)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.lists(CLAIMS, min_size=1, max_size=4, unique_by=lambda claim: claim.key)),
        st.tuples(st.just("settle"), st.tuples(st.integers(0, 3), st.integers(0, 70))),
        st.tuples(st.just("pass"), st.integers(0, 40_000_000)),
    ),
    max_size=25,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_every_store_decides_as_memory_does(
    steps: Sequence[tuple[str, Any]], pair: tuple[Store, Store], clock: Clock
) -> None:
    """The scripts for Redis say the same as the Python that they stand for, and SQLite keeps every figure."""
    memory, shared, example = MemoryStore(lambda: clock.now), pair[0], uuid.uuid4().hex
    held: list[tuple[Ticket, Ticket]] = []
    for kind, what in steps:
        match kind, what:
            case "take", wanted:
                claims: list[Claim] = [own(claim, example) for claim in wanted]
                here, there = take(memory, *claims), take(shared, *claims)
                if isinstance(here, Ticket) and isinstance(there, Ticket):
                    assert here.taken_at == there.taken_at
                    held.append((here, there))
                else:
                    assert here == there
                keys = [claim.key for claim in claims]
                assert figures(memory, keys, clock) == figures(shared, keys, clock)
            case "settle", (int(place), int(units)) if held:
                here, there = held.pop(place % len(held))
                used = [units for _ in here.claims]
                memory.settle(here, used)
                shared.settle(there, used)
                keys = [claim.key for claim in here.claims]
                assert figures(memory, keys, clock) == figures(shared, keys, clock)
            case "pass", int(passed):
                clock.now += min(passed / 1_000_000, (LEASE - 1) / 25)  # so that no lease ends
            case _:
                pass
    for here, there in held:
        memory.settle(here, [0] * len(here.claims))
        shared.settle(there, [0] * len(there.claims))


def own(claim: Claim, example: str) -> Claim:
    """The claim on a counter that no other example has."""
    return replace(claim, key=f"{claim.key}:{example}")


def figures(store: Store, keys: Sequence[str], clock: Clock) -> Sequence[tuple[int, ...]]:
    """As they count: an allowance that is whole is whole, since whenever."""
    now = round(clock.now * 1_000_000)
    known = store.known(keys)
    return [
        (max(found.whole_at, now), found.taken, found.spent, found.reserved)
        for found in (known.get(key, Standing()) for key in keys)
    ]
