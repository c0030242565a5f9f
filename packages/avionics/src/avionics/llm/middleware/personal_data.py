"""Finding personal data and keys in text. Pure; linear in the length of the text, whatever stands in it.

Patterns find what is written in the usual ways, and no more: names, addresses and what is spelled out are not found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TypeAlias

__all__ = ["DETECTORS", "Detector", "find_cards", "passes_luhn", "pattern_detector"]

Detector: TypeAlias = Callable[[str], Iterable[tuple[int, int]]]
"""Gives the places of what it finds in a text, as start and end, in order and apart from each other."""

_KEY = re.compile(
    r"\b(?:sk|pk|rk|xai)[-_][A-Za-z0-9_-]{16,}"  # OpenAI, Anthropic, OpenRouter, xAI, Stripe
    r"|\b(?:gh[pousr]|gsk|hf)_[A-Za-z0-9]{16,}|\bgithub_pat_\w{22,}"  # GitHub, Groq, Hugging Face
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}|\bxox[abeprs]-[A-Za-z0-9-]{10,}"  # AWS, Google, Slack
    r"|(?<![\w-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"  # JSON Web Tokens
    r"|-----BEGIN (?:[A-Z]{1,12} ){0,3}PRIVATE KEY-----[^-]{1,20000}-----END (?:[A-Z]{1,12} ){0,3}PRIVATE KEY-----"
)
_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
_PHONE = re.compile(
    r"(?<![\w.+-])(?:"
    r"\+\d{1,3}(?:[ ./-]?\(\d{1,4}\))?(?:[ ./-]?\d){6,12}"  # international, as E.164 bounds it
    r"|\(\d{2,5}\)[ -]?\d{3,4}(?:[ -]?\d{3,5})"  # (555) 123-4567
    r"|\d{3}([ .-])\d{3}\1\d{4}"  # 555-123-4567
    r"|(?<!\d )0[1-9]\d{1,3}[ /-]\d{3,4}(?:[ -]?\d{2,5}){1,2}"  # 030 1234 5678
    r")(?!\w|[.-]\d)"
)
_DIGIT_GROUPS = re.compile(r"(?<![\w.+-])\d{4,19}(?:[ -]\d{1,19})*(?!\w|[.-]\d)")
_DIGITS = re.compile(r"\d+")
_CARD_DIGITS = range(13, 20)  # ISO/IEC 7812
_MOST_GROUPS = 5  # 19 digits in groups of four


def pattern_detector(pattern: re.Pattern[str]) -> Detector:
    """Finds what the pattern matches."""
    return lambda text: (match.span() for match in pattern.finditer(text))


def find_cards(text: str) -> Iterator[tuple[int, int]]:
    """Numbers of payment cards, in one or in groups: those that a card may have, with the right check digit."""
    for run in _DIGIT_GROUPS.finditer(text):
        groups = [match.span() for match in _DIGITS.finditer(text, *run.span())]
        first = 0
        while first < len(groups):
            lasts = range(min(len(groups), first + _MOST_GROUPS), first, -1)
            last = next((last for last in lasts if _is_card(text, groups[first:last])), first)
            if last > first:
                yield groups[first][0], groups[last - 1][1]
            first = max(last, first + 1)


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (doubled + sum(int(digit) for digit in digits[-1::-2])) % 10 == 0


def _is_card(text: str, groups: list[tuple[int, int]]) -> bool:
    digits = "".join(text[start:end] for start, end in groups)
    in_fours = all(end - start >= 4 for start, end in groups[:-1])
    return in_fours and len(digits) in _CARD_DIGITS and digits[0] in "23456" and passes_luhn(digits)


DETECTORS: Mapping[str, Detector] = MappingProxyType(
    {
        "KEY": pattern_detector(_KEY),
        "EMAIL": pattern_detector(_EMAIL),
        "CARD": find_cards,
        "PHONE": pattern_detector(_PHONE),
    }
)
"""What is found by default, by the name that its placeholders have. The first ones come first: a card is no phone."""
