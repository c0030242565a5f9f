"""Bars on one time axis."""

from __future__ import annotations

__all__ = ["time_bar"]

_WIDTH = 20


def time_bar(began: float, ended: float, *, of: tuple[float, float], stroke: str) -> str:
    """A bar of `stroke`s from `began` to `ended`, behind as many blanks as there is time before it.

    All times are in the same unit; `of` is the whole that the axis shows.
    """
    whole = max(of[1] - of[0], 1e-9)
    before = min(max(round((began - of[0]) / whole * _WIDTH), 0), _WIDTH - 1)
    length = round((ended - began) / whole * _WIDTH)
    return " " * before + stroke * min(max(length, 1), _WIDTH - before)
