"""Money in the tables: whole billionths of a USD, so that sums are exact in every database."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import overload

__all__ = ["nano_usd", "usd"]

_NANO = Decimal(10) ** 9


@overload
def nano_usd(amount: Decimal) -> int: ...
@overload
def nano_usd(amount: Decimal | None) -> int | None: ...
def nano_usd(amount: Decimal | None) -> int | None:
    """Money as the tables have it; a half of the last digit goes to the even one. None is unknown."""
    return None if amount is None else int((amount * _NANO).to_integral_value(ROUND_HALF_EVEN))


@overload
def usd(nano: int) -> Decimal: ...
@overload
def usd(nano: int | None) -> Decimal | None: ...
def usd(nano: int | None) -> Decimal | None:
    """Money as the code has it. None is unknown."""
    return None if nano is None else Decimal(nano) / _NANO
