"""A line for each call, with everything about it and nothing of it."""

from __future__ import annotations

import itertools
import logging

import pytest

from airframe.errors import ErrorCategory
from airframe.types import Message
from avionics.errors import LLMServerError
from avionics.llm.middleware import LogCalls
from avionics.llm.middleware.rehearsal import Rehearsal

pytestmark = pytest.mark.anyio


@pytest.fixture
def log_calls(caplog: pytest.LogCaptureFixture) -> LogCalls:
    caplog.set_level(logging.DEBUG, "test.calls")
    seconds = itertools.count(10.0, 1.5)
    return LogCalls(logging.getLogger("test.calls"), clock=lambda: next(seconds))


async def test_an_answer(streamed: bool, log_calls: LogCalls, caplog: pytest.LogCaptureFixture) -> None:
    """One line, with fields to read and to filter by; what is unknown is not in it, and neither is what was said."""
    await Rehearsal(["secret", " answer"]).play(
        log_calls, messages=[Message("system", "secret rule")], question="secret question", streamed=streamed
    )
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    fields = {"call_id": "rehearsal", "streamed": streamed, "seconds": 1.5, "finish_reason": "stop", "tool_calls": 0}
    assert vars(record)["call"] == fields
    line = "call answered: call_id=rehearsal streamed={} seconds=1.5 finish_reason=stop tool_calls=0"
    assert record.getMessage() == line.format(streamed)
    assert "secret" not in str(vars(record))


async def test_a_failure(streamed: bool, log_calls: LogCalls, caplog: pytest.LogCaptureFixture) -> None:
    """A warning with the class, the category and who was asked; the words of the error may hold anything."""
    error = LLMServerError("secret", provider="openai", category=ErrorCategory.OVERLOADED, status=529)
    with pytest.raises(LLMServerError):
        await Rehearsal(error=error).play(log_calls, streamed=streamed)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    fields = {"error": "LLMServerError", "category": "overloaded", "status": 529, "provider": "openai"}
    assert fields.items() <= vars(record)["call"].items()
    assert "secret" not in str(vars(record))


async def test_a_logger_that_fails_harms_no_call(streamed: bool) -> None:
    """A log is never worth a call."""

    class Broken(logging.Logger):
        def log(self, *args: object, **kwargs: object) -> None:
            raise OSError("the disk is full")

    played = await Rehearsal().play(LogCalls(Broken("broken")), streamed=streamed)
    assert played.result.text == "Because."
