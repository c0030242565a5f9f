"""What is found in text, and what is not, as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avionics.llm.middleware.personal_data import DETECTORS, find_cards, passes_luhn

FOUND = {
    "EMAIL": [
        "ann@example.org",
        "ann.b+c_d%e-f@mail.example.co.uk",
        "j\u00f6rg@example.org",
        "a@b-c.de",
    ],
    "CARD": [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "378282246310005",
        "3782 822463 10005",
        "5555555555554444",
        "6011111111111117",
        "4222222222222",
    ],
    "PHONE": [
        "+1 555 123 4567",
        "+15551234567",
        "+49 (30) 1234567",
        "+44 20 7946 0958",
        "(555) 123-4567",
        "555-123-4567",
        "555.123.4567",
        "030 1234 5678",
    ],
    "KEY": [
        "sk-proj-abcdefghijklmnopqrstuvwx",
        "sk-ant-api03-abcdefghijklmnop",
        "sk_live_abcdefghijklmnop",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyA-abcdefghijklmnopqrstuvwxyz01234",
        "xoxb-123456789012-abcdef",
        "hf_abcdefghijklmnopqrst",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIB+/=\nMIIB\n-----END RSA PRIVATE KEY-----",
    ],
}

NOT_FOUND = [
    "2026-11-20T16:05:39.123Z",
    "20261120160539",
    "192.168.100.200",
    "1.234.567.8901",
    "550e8400-e29b-41d4-a716-446655440000",
    "4111111111111112",  # the wrong check digit
    "1234567812345670",  # the right one, but no issuer begins with 1
    "41111111111111111111111",
    "order 1234567890123456789012",
    "pi is 3.14159265358979",
    "a@b, @someone, ann at example dot org",
    "sk-learn and pk-1",
    "price: 1 000 000 000",
]

AROUND = ["{}", "Call {} now.", "({})", '"{}"', "a: {}, b", "{}\n", "<{}>"]


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in FOUND.items() for value in values])
def test_what_is_found(kind: str, value: str) -> None:
    """All of it and nothing around it, wherever it stands in a sentence."""
    for around in AROUND:
        text = around.format(value)
        assert [text[start:end] for start, end in DETECTORS[kind](text)] == [value], text


@pytest.mark.parametrize("text", NOT_FOUND)
def test_what_is_not_found(text: str) -> None:
    """Dates, versions, addresses of machines, ids and amounts are left alone."""
    assert [(kind, text[slice(*span)]) for kind, detect in DETECTORS.items() for span in detect(text)] == []


def test_a_card_between_other_numbers() -> None:
    """What stands beside it does not hide it."""
    text = "4111 1111 1111 1111 12/27 and 2024 5555 5555 5555 4444 123"
    assert [text[start:end] for start, end in find_cards(text)] == ["4111 1111 1111 1111", "5555 5555 5555 4444"]


@given(st.text(alphabet="0123456789", min_size=12, max_size=18))
def test_luhn_has_one_check_digit_and_notices_a_changed_one(number: str) -> None:
    """For any number exactly one last digit passes, and a single changed digit never does."""
    passing = [digit for digit in "0123456789" if passes_luhn(number + digit)]
    assert len(passing) == 1
    other = str((int(number[0]) + 1) % 10) + number[1:]
    assert not passes_luhn(other + passing[0])


@pytest.mark.parametrize("kind", DETECTORS)
@pytest.mark.parametrize(
    "piece", ["a", "1", "1 ", "1111 ", "eyJ-", "sk-", "a@", "a.", "+1", "(", "-----BEGIN PRIVATE KEY-----"]
)
def test_no_text_takes_for_ever(kind: str, piece: str) -> None:
    """Detectors are linear: a long text made to waste their time does not (the limit is the one of all tests)."""
    text = piece * (400_000 // len(piece))
    assert sum(1 for _ in DETECTORS[kind](text)) <= len(text)
