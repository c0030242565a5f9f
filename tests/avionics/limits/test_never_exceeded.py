"""Whatever happens in whichever order, no more is granted than the limits allow."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from avionics.llm.limits.claims import BudgetClaim, Claim, RateClaim, SlotClaim
from avionics.llm.limits.memory_store import MemoryStore
from avionics.llm.limits.store import Holder, Ticket

BUDGET = 1_000
START = 2_000_000_000.0


class Calls(RuleBasedStateMachine):
    """Calls begin, end well, fail unbilled, and vanish, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.store = MemoryStore(lambda: self.now)
        self.under_way: list[tuple[Ticket, int]] = []
        self.vanished = 0
        self.spent = 0

    @initialize()
    def begin(self) -> None:
        self.call(0)

    @rule(amount=st.integers(0, 400))
    def call(self, amount: int) -> None:
        claims: list[Claim] = [
            BudgetClaim(key="budget", amount=amount, budget=BUDGET, ends_at=None),
            SlotClaim(key="slots", slots=5),
        ]
        ticket = self.store.take(claims, Holder(claims))
        fits = self.committed + amount <= BUDGET and len(self.under_way) < 5
        assert isinstance(ticket, Ticket) == fits
        if isinstance(ticket, Ticket):
            self.under_way.append((ticket, amount))

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 4), share=st.floats(0, 1))
    def end(self, which: int, share: float) -> None:
        ticket, amount = self.under_way.pop(which % len(self.under_way))
        used = int(amount * share)
        self.store.settle(ticket, [used, 1])
        self.spent += used

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 4))
    def fail_unbilled(self, which: int) -> None:
        ticket, _ = self.under_way.pop(which % len(self.under_way))
        self.store.settle(ticket, [0, 0])

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 4))
    def vanish(self, which: int) -> None:
        _, amount = self.under_way.pop(which % len(self.under_way))
        self.vanished += amount

    @property
    def committed(self) -> int:
        return self.spent + self.vanished + sum(amount for _, amount in self.under_way)

    @invariant()
    def what_is_spent_and_reserved_is_known_and_within_the_budget(self) -> None:
        standings = self.store.known(["budget", "slots"])
        if standings:
            budget = standings["budget"]
            assert budget.spent == self.spent
            assert budget.spent + budget.reserved == self.committed <= BUDGET
            assert standings["slots"].taken == len(self.under_way) <= 5


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@settings(max_examples=150, deadline=None)
@given(
    per_minute=st.integers(1, 100_000),
    share=st.floats(0.05, 1),
    asked=st.lists(st.tuples(st.integers(0, 30_000_000), st.floats(0, 1)), max_size=60),
)
def test_no_stretch_of_time_sees_more_than_its_share(
    per_minute: int, share: float, asked: Sequence[tuple[int, float]]
) -> None:
    """In any stretch, no more is granted than may be used at once and flows in meanwhile."""
    now = START
    store = MemoryStore(lambda: now)
    capacity = max(1, int(per_minute * share))
    granted: list[tuple[int, int]] = []
    for pause, part in asked:
        now += pause / 1_000_000
        amount = int(capacity * part)
        claim = RateClaim(key="rate", amount=amount, per_minute=per_minute, capacity=capacity)
        ticket = store.take([claim], Holder([claim]))
        if isinstance(ticket, Ticket):
            granted.append((ticket.taken_at, amount))
    for first, (start, _) in enumerate(granted):
        total = 0
        for moment, amount in granted[first:]:
            total += amount
            rounding = len(granted)  # a microsecond for each grant
            assert total * 60_000_000 <= capacity * 60_000_000 + (moment - start + rounding) * per_minute
