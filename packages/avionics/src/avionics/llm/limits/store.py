"""What a store of counters promises."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Protocol

from avionics.errors import AvionicsError
from avionics.llm.limits.bookkeeping import Refusal
from avionics.llm.limits.claims import Claim, SlotClaim, Standing

__all__ = ["LEASE", "Holder", "Store", "StoreUnavailableError", "Ticket"]

LEASE = 60.0
"""Seconds for which a slot stays taken after its holder's process was last heard of."""


class StoreUnavailableError(AvionicsError):
    """The store cannot be used now. The message says why, without a password."""


class Holder:
    """Who holds slots. A slot is held for as long as its holder exists, so one that is dropped holds none."""

    __slots__ = ("__weakref__", "id", "keys")

    def __init__(self, claims: Sequence[Claim]) -> None:
        self.id = secrets.token_hex(8)
        self.keys = tuple(claim.key for claim in claims if isinstance(claim, SlotClaim))


class Ticket:
    """Claims that were granted at a moment of the store's clock, and who holds the slots among them."""

    __slots__ = ("claims", "holder", "taken_at")

    def __init__(self, claims: Sequence[Claim], holder: Holder, taken_at: int) -> None:
        self.claims = claims
        self.holder = holder
        self.taken_at = taken_at


class Store(Protocol):
    """Counters, whoever shares them. Safe to use from several threads; each method is one transaction.

    All raise `StoreUnavailableError` in bounded time, except `known`, which speaks to nobody.
    """

    is_shared: bool
    """Whether others share it, so that its methods wait for something outside of this process."""

    def take(self, claims: Sequence[Claim], holder: Holder) -> Ticket | Refusal:
        """All of the claims, or none."""
        ...

    def settle(self, ticket: Ticket, used: Sequence[int]) -> None:
        """What was used of each claim of the ticket. Once for each ticket."""
        ...

    def renew(self, holders: Sequence[Holder]) -> None:
        """These hold their slots for another `LEASE`."""
        ...

    def known(self, keys: Sequence[str]) -> Mapping[str, Standing]:
        """How counters stood when this process last heard of them; those that it never heard of are not in it."""
        ...

    def close(self) -> None:
        """Let go of what is held open. The store may be used again afterwards."""
        ...
