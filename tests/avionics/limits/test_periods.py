"""Days and months follow each other without gap, whatever the clocks of a country do at midnight."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from avionics.llm.limits.periods import Per, period_of, zone

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/Havana",  # at one o'clock it becomes midnight again
    "Asia/Beirut",  # there is no midnight on one day of the year
    "Australia/Lord_Howe",  # half an hour of summer time
    "Pacific/Apia",  # skipped a day of 2011
]


@pytest.mark.parametrize("per", ["day", "month"])
@settings(max_examples=300, deadline=None)
@given(moment=st.floats(1_300_000_000, 2_100_000_000), name=st.sampled_from(ZONES))
@example(moment=1_325_235_600.0, name="Pacific/Apia")
def test_the_next_begins_where_one_ends(per: Per, moment: float, name: str) -> None:
    """A second before the end it is still the same, and at the end it is another one."""
    where = zone(name)
    period = period_of(per, moment, where)
    assert period.ends_at is not None
    end = period.ends_at.timestamp()
    assert moment < end <= moment + (26 if per == "day" else 32 * 24) * 3600
    assert period_of(per, end - 1, where) == period
    following = period_of(per, end, where)
    assert following.name > period.name
    assert following.ends_at
    assert following.ends_at > period.ends_at
