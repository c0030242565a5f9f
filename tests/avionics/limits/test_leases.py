"""A slot in a shared store is kept for as long as the call that holds it is there, and no longer."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from avionics.llm.limits.claims import SlotClaim
from avionics.llm.limits.leases import LeaseKeeper
from avionics.llm.limits.store import Holder, StoreUnavailableError

PATIENCE = 30.0  # seconds; no more than a safety net


class Renewals:
    """What a store is asked to renew."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.ids: list[set[str]] = []
        self._came = threading.Condition()

    def __call__(self, holders: Sequence[Holder]) -> None:
        with self._came:
            self.ids.append({holder.id for holder in holders})
            self._came.notify_all()
        if self.fails:
            raise StoreUnavailableError("down")

    def wait_for(self, ids: set[str]) -> bool:
        """Whether from now on exactly these come."""
        with self._came:
            self.ids.clear()
            return self._came.wait_for(lambda: ids in self.ids, timeout=PATIENCE)


def holder() -> Holder:
    return Holder([SlotClaim(key="slots", slots=1)])


def keepers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "avionics-limits-leases"]


def test_leases_are_renewed_while_their_holders_exist() -> None:
    """One that has ended, and one that was dropped without a word, are not; nor does a store that fails end it."""
    renewals = Renewals(fails=True)
    keeper = LeaseKeeper(renewals, every=0.001)
    first, second, third = holder(), holder(), holder()
    for each in (first, second, third):
        keeper.keep(each)
    del each
    assert renewals.wait_for({first.id, second.id, third.id})
    keeper.drop(second)
    assert renewals.wait_for({first.id, third.id})
    del third
    assert renewals.wait_for({first.id})
    keeper.close()


def test_the_thread_is_there_only_while_it_is_needed() -> None:
    """It ends with the last holder, and comes back with the next."""
    before = set(keepers())
    renewals = Renewals()
    keeper = LeaseKeeper(renewals, every=0.001)
    for _ in range(2):
        held = holder()
        keeper.keep(held)
        assert renewals.wait_for({held.id})
        threads = set(keepers()) - before
        del held
        for thread in threads:
            thread.join(PATIENCE)
        assert set(keepers()) - before == set()
    keeper.close()
