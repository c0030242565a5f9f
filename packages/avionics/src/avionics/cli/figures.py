"""Numbers as people read them."""

from __future__ import annotations

from decimal import Decimal

from airframe.types import Usage
from avionics.llm.records import AttemptFinished, CallFinished

__all__ = ["attempt_line", "call_summary", "milliseconds", "money", "rounded_money", "tokens"]


def milliseconds(seconds: float | None) -> str:
    """Such as `12 ms`, `3.4 s`, or `?` for unknown."""
    if seconds is None:
        return "?"
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def money(usd: Decimal | None) -> str:
    """Such as `$0.000041`, `$0`, or `price unknown`: all digits, because a call costs little."""
    if usd is None:
        return "price unknown"
    return f"${usd.normalize():f}" if usd else "$0"


def rounded_money(usd: Decimal) -> str:
    """Such as `$12.35`, `$0.0415` or `$0`: three digits that count, and cents from a dollar on."""
    if usd == 0:
        return "$0"
    digits = 2 if abs(usd) >= 1 else 2 - usd.adjusted()
    return f"{'-' if usd < 0 else ''}${abs(usd):,.{digits}f}"


def tokens(usage: Usage | None) -> str:
    """Such as `22 + 20 tokens` for prompt and answer."""
    if usage is None or (usage.input_tokens is None and usage.output_tokens is None):
        return "tokens unknown"
    parts = ("?" if count is None else str(count) for count in (usage.input_tokens, usage.output_tokens))
    return f"{' + '.join(parts)} tokens"


def call_summary(end: CallFinished) -> str:
    """One line: who answered, what it used and cost, how long it took."""
    duration = sum(attempt.duration for attempt in end.attempts)
    return ", ".join(
        [f"{end.provider} {end.model or ''}".strip(), tokens(end.usage), money(end.cost_usd), milliseconds(duration)]
    )


def attempt_line(attempt: AttemptFinished) -> str:
    """What became of one attempt: `ok`, or its category and status."""
    if attempt.category is None:
        return "ok"
    return f"{attempt.category}" + (f" (HTTP {attempt.status})" if attempt.status else "")
