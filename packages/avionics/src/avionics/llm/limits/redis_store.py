"""Counters in Redis, for all who share it, by its own clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any, cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import RedisError
from redis.retry import Retry

from airframe.redaction import redact
from avionics.errors import ConfigurationError
from avionics.llm.limits.bookkeeping import LONGEST_DEBT, Refusal
from avionics.llm.limits.claims import MINUTE, BudgetClaim, Claim, RateClaim, SlotClaim, Standing
from avionics.llm.limits.last_known import LastKnown
from avionics.llm.limits.microseconds import Clock, microseconds
from avionics.llm.limits.store import LEASE, Holder, StoreUnavailableError, Ticket

__all__ = ["RedisStore"]


class RedisStore:
    """Counters under keys that begin with `{prefix}:limits:`; the braces keep them on one machine of a Redis cluster.

    Nothing is ever sent twice: a command whose answer was lost may have been carried out.

    Args:
        url: as redis-py reads it.
        prefix: what keys begin with.
        timeout: seconds for a connection, and for each command.
        clock: for tests; None goes by the server's, so that the clocks of those who share it may differ.

    Raises `ConfigurationError` for a URL that cannot be read.
    """

    is_shared = True

    def __init__(self, url: str, *, prefix: str, timeout: float, clock: Clock | None = None) -> None:
        try:
            self._redis: Redis = cast("Any", Redis).from_url(  # its options have no types
                url,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:  # its message may repeat a password
            raise ConfigurationError("limits.store: not a URL that can be read; expected redis://HOST:6379/0") from None
        self._take = _script(self._redis, "take.lua")
        self._settle = _script(self._redis, "settle.lua")
        self._renew = _script(self._redis, "renew.lua")
        self._prefix = f"{{{prefix}}}:limits:"
        self._clock = clock
        self._known = LastKnown()

    def take(self, claims: Sequence[Claim], holder: Holder) -> Ticket | Refusal:
        """All of the claims, or none."""
        arguments = [self._now(), holder.id, microseconds(LEASE), LONGEST_DEBT, *_flat(map(_claimed, claims))]
        now, verdict, places, wait, standings = _run(self._take, self._keys(claims), arguments)
        self._heard(claims, standings)
        if verdict == b"granted":
            return Ticket(claims, holder, int(now))
        return Refusal(places=tuple(places), of_budget=verdict == b"budget", wait=int(wait) if wait else None)

    def settle(self, ticket: Ticket, used: Sequence[int]) -> None:
        """What was used of each claim of the ticket."""
        booked = map(_used, ticket.claims, used)
        arguments = [self._now(), ticket.holder.id, ticket.taken_at, LONGEST_DEBT, MINUTE, *_flat(booked)]
        self._heard(ticket.claims, _run(self._settle, self._keys(ticket.claims), arguments))

    def renew(self, holders: Sequence[Holder]) -> None:
        """These hold their slots for another lease."""
        slots = [(self._prefix + key, holder.id) for holder in holders for key in holder.keys]
        arguments = [self._now(), microseconds(LEASE), *(holder for _, holder in slots)]
        _run(self._renew, [key for key, _ in slots], arguments)

    def known(self, keys: Sequence[str]) -> Mapping[str, Standing]:
        """How counters stood when this process last heard of them."""
        return self._known.of(keys)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _now(self) -> int | str:
        return "" if self._clock is None else microseconds(self._clock())

    def _keys(self, claims: Sequence[Claim]) -> Sequence[str]:
        return [self._prefix + claim.key for claim in claims]

    def _heard(self, claims: Sequence[Claim], figures: Sequence[bytes]) -> None:
        for claim, first, second in zip(claims, figures[::2], figures[1::2], strict=True):
            self._known.heard(claim.key, _standing(claim, int(first), int(second)))


def _script(redis: Redis, name: str) -> Script:
    return redis.register_script((files("avionics.llm.limits") / name).read_text(encoding="utf-8"))


def _run(script: Script, keys: Sequence[str], arguments: Sequence[int | str]) -> Any:
    try:
        return script(keys=keys, args=arguments)
    except (RedisError, OSError) as error:
        words = str(error).partition("\n")[0]
        raise StoreUnavailableError(redact(f"{type(error).__name__}: {words}")) from None


def _claimed(claim: Claim) -> tuple[str, int, int, int | str]:
    """Kind, amount, limit, end."""
    match claim:
        case RateClaim():
            return "rate", claim.duration(claim.amount), claim.duration(claim.capacity), ""
        case SlotClaim():
            return "slot", 1, claim.slots, ""
        case BudgetClaim():
            return "budget", claim.amount, claim.budget, "" if claim.ends_at is None else claim.ends_at


def _used(claim: Claim, units: int) -> tuple[str, int, int, int | str]:
    """Kind, claimed, used, end."""
    match claim:
        case RateClaim():
            return "rate", claim.duration(claim.amount), claim.duration(units), ""
        case SlotClaim():
            return "slot", 1, 0, ""
        case BudgetClaim():
            return "budget", claim.amount, units, "" if claim.ends_at is None else claim.ends_at


def _flat(rows: Iterable[tuple[str, int, int, int | str]]) -> Sequence[int | str]:
    return [value for row in rows for value in row]


def _standing(claim: Claim, first: int, second: int) -> Standing:
    match claim:
        case RateClaim():
            return Standing(whole_at=first)
        case SlotClaim():
            return Standing(taken=first)
        case BudgetClaim():
            return Standing(spent=first, reserved=second)
