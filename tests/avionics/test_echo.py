"""A continued answer is told without what it repeats of its beginning."""

from __future__ import annotations

import pytest

from avionics.llm.echo import EchoFilter


@pytest.mark.parametrize(
    ("said", "pieces", "new"),
    [
        ("", ["a", "b"], "ab"),
        ("The sky ", ["The sky ", "is"], "is"),
        ("The sky ", ["The", " sky", " is"], "is"),
        ("The sky ", ["The sky is", " blue"], "is blue"),
        ("The sky ", ["is", " blue"], "is blue"),
        ("The sky ", ["The", " sea"], "The sea"),
        ("The sky ", ["The", " sky"], "The sky"),
        ("aa", ["a", "b"], "ab"),
    ],
)
def test_only_the_whole_beginning_is_left_out(said: str, pieces: list[str], new: str) -> None:
    """In whichever pieces it comes; what only looks like it is told."""
    echo = EchoFilter(said)
    assert "".join([*map(echo.feed, pieces), echo.finish()]) == new
