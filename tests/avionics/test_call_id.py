"""Ids of calls."""

from __future__ import annotations

import time
import uuid

from avionics.llm.call_id import new_call_id


def test_an_id_is_a_uuid_of_version_7_that_tells_its_time() -> None:
    """RFC 9562: 48 bits of milliseconds, the version, the variant."""
    before = time.time_ns() // 1_000_000
    id = uuid.UUID(new_call_id())
    after = time.time_ns() // 1_000_000
    assert (id.version, id.variant) == (7, uuid.RFC_4122)
    assert before <= id.int >> 80 <= after


def test_ids_sort_by_the_time_at_which_they_were_made() -> None:
    """To less than a microsecond; and none comes twice."""
    ids: list[str] = []
    for _ in range(1000):
        ids.append(new_call_id())
        moment = time.perf_counter_ns()
        while time.perf_counter_ns() < moment + 1000:
            pass
    assert sorted(ids) == ids
    assert len(set(ids)) == len(ids)
