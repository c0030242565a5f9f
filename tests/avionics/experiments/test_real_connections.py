"""Copies over real connections, to a server that has them wait."""

from __future__ import annotations

import threading

import pytest
from anyio import to_thread

from airframe.testing import Answer
from airframe.testing.plugin import ServerMaker
from airframe.types import InferenceRequest
from avionics.llm import LLMGateway
from avionics.settings import Settings
from avionics.testing import RecordingObserver

pytestmark = pytest.mark.anyio

PATIENCE = 60
"""Seconds, for what never comes if something is broken."""


async def test_a_server_that_hangs_holds_up_nobody(airframe_server: ServerMaker) -> None:
    """Calls go on while their copies wait; closing cuts the copies off, and all is on record."""
    arrived, may_answer = threading.Event(), threading.Event()

    def hang(_request: InferenceRequest) -> Answer:
        arrived.set()
        may_answer.wait(PATIENCE)
        return Answer(text="late")

    quick = airframe_server([Answer(text="a")] * 3, dialect="llama_server")
    slow = airframe_server([hang], dialect="llama_server")
    settings = Settings(
        providers={
            "llamaserver": {"base_url": quick.base_url},
            "slow": {"kind": "llama_server", "base_url": slow.base_url},
        },
        experiments={
            "e": {
                "variants": [{"name": "control"}, {"name": "v", "weight": 0, "provider": "slow"}],
                "shadow": {"to": "v", "share": 1, "concurrency": 1, "patience": 0},
            }
        },
    )
    recorder = RecordingObserver()
    try:
        async with LLMGateway(settings, observers=[recorder]) as gateway:
            for _ in range(3):
                assert (await gateway.complete("Why?")).text == "a"
            assert await to_thread.run_sync(arrived.wait, PATIENCE)
            stats = gateway.shadow_stats()["e"]
            assert (stats.under_way, stats.crowded_out) == (1, 2)
        assert gateway.shadow_stats()["e"].under_way == 0
    finally:
        may_answer.set()
    assert [end.outcome for end in recorder.finished if end.provider == "llamaserver"] == ["success"] * 3
    assert {end.outcome for end in recorder.finished if end.provider == "slow"} == {"cancelled"}
