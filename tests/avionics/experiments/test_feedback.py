"""Feedback through the gateway: to whom it is told, and what is refused."""

from __future__ import annotations

import logging

import pytest

from airframe.testing import Answer
from avionics.llm import LLMGateway
from avionics.llm.providers import MockProvider
from avionics.llm.sync import SyncGateway
from avionics.settings import Settings
from avionics.testing import RecordingObserver


class Listener(RecordingObserver):
    """An observer that wants to know what was thought of answers."""

    def __init__(self, *, broken: bool = False) -> None:
        super().__init__()
        self.broken = broken
        self.heard: list[tuple[str, str, float | None, str | None]] = []

    def record_feedback(self, call_id: str, metric: str, value: float | None, *, comment: str | None = None) -> None:
        """Keeps it, or fails."""
        if self.broken:
            raise RuntimeError("no room")
        self.heard.append((call_id, metric, value, comment))


def gateway_of(*observers: RecordingObserver) -> LLMGateway:
    """A gateway that has these observers and no others."""
    provider = MockProvider([Answer(text="a")])
    return LLMGateway(Settings(), observers=observers, providers={"llamaserver": provider})


@pytest.mark.anyio
async def test_who_wants_to_know_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """One that fails is reported once and keeps nobody from hearing; one that does not want to know is left alone."""
    listener = Listener()
    async with gateway_of(Listener(broken=True), RecordingObserver(), listener) as gateway:
        response = await gateway.complete("Why?")
        with caplog.at_level(logging.ERROR):
            gateway.record_feedback(response.call_id, "helpful", 1)
            gateway.record_feedback(response.call_id, "remark", None, "too long")
    assert listener.heard == [(response.call_id, "helpful", 1.0, None), (response.call_id, "remark", None, "too long")]
    assert len([record for record in caplog.records if "Listener failed" in record.message]) == 1


def test_without_an_event_loop_it_is_the_same() -> None:
    """The synchronous facade has it too."""
    listener = Listener()
    with SyncGateway(gateway_of(listener)) as gateway:
        gateway.record_feedback(gateway.complete("Why?").call_id, "helpful", 0)
    assert [metric for _, metric, _, _ in listener.heard] == ["helpful"]


@pytest.mark.parametrize(
    ("call_id", "metric", "value", "words"),
    [
        ("a", "helpful", float("nan"), "value: nan"),
        ("a", "helpful", float("inf"), "value: inf"),
        ("a", "helpful", None, "neither a value nor a comment"),
        ("a", " ", 1.0, "metric: must not be empty"),
        ("", "helpful", 1.0, "call_id: must not be empty"),
    ],
)
def test_what_nobody_could_sum_up_is_refused(call_id: str, metric: str, value: float | None, words: str) -> None:
    """In words that name it, though nobody listens who would mind."""
    with pytest.raises(ValueError, match=words):
        gateway_of().record_feedback(call_id, metric, value)
