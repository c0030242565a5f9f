"""Calls as lines of the log, with fields for programs that read logs."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.types import Usage
from avionics.errors import LLMError
from avionics.llm import LLMGateway, MockProvider
from avionics.settings import Settings
from avionics.telemetry import CallLogger

pytestmark = pytest.mark.anyio

PROMPT, ANSWER = "marker-of-the-prompt", "marker-of-the-answer"


def gateway(*script: Step) -> LLMGateway:
    provider = MockProvider(script, name="openai", default_model="gpt-4.1-mini")
    return LLMGateway(Settings(llm_provider="openai"), (), observers=[CallLogger()], providers={"openai": provider})


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return dict(vars(record))


async def test_a_call_is_a_line_with_its_facts(caplog: pytest.LogCaptureFixture) -> None:
    """One line at INFO on `avionics.call`; a program finds the facts as fields of the record."""
    caplog.set_level(logging.INFO, "avionics.call")
    answer = Answer(text=ANSWER, usage=Usage(input_tokens=1000, output_tokens=10))
    response = await gateway(answer).complete(PROMPT, agent_name="planner", tenant="acme", conversation_id="c-1")
    (record,) = caplog.records
    told = fields(record)
    assert (record.name, record.levelname) == ("avionics.call", "INFO")
    assert {name: told[name] for name in ("call_id", "outcome", "provider", "model", "agent_name", "tenant")} == {
        "call_id": response.metadata["call_id"],
        "outcome": "success",
        "provider": "openai",
        "model": "gpt-4.1-mini",
        "agent_name": "planner",
        "tenant": "acme",
    }
    assert (told["attempts"], told["input_tokens"], told["output_tokens"]) == (1, 1000, 10)
    assert told["cost_usd"] == response.cost_usd
    assert told["error_type"] is None
    assert told["duration"] >= 0


async def test_a_failed_call_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever called gets the error raised; the line names its category."""
    caplog.set_level(logging.DEBUG, "avionics.call")
    with pytest.raises(LLMError):
        await gateway(Failure(ErrorCategory.BILLING, message=PROMPT)).complete(PROMPT)
    attempt, call = caplog.records
    assert [record.levelname for record in (attempt, call)] == ["DEBUG", "INFO"]
    assert fields(attempt)["attempt"] == 1
    for record in (attempt, call):
        assert fields(record)["error_type"] == "billing"
        assert "billing" in record.getMessage()


async def test_lines_hold_nothing_that_was_said(caplog: pytest.LogCaptureFixture) -> None:
    """Neither in their text nor in their fields."""
    caplog.set_level(logging.DEBUG, "avionics.call")
    await gateway(Answer(text=ANSWER)).complete(PROMPT)
    with pytest.raises(LLMError):
        await gateway(Failure(ErrorCategory.SERVER, message=f"{PROMPT} {ANSWER}")).complete(PROMPT)
    everything = "".join(str(fields(record)) + record.getMessage() for record in caplog.records)
    assert len(caplog.records) == 4
    assert [marker for marker in (PROMPT, ANSWER) if marker in everything] == []


async def test_nothing_is_logged_that_nobody_listens_to(caplog: pytest.LogCaptureFixture) -> None:
    """By default a call leaves no line."""
    caplog.set_level(logging.WARNING)
    caplog.set_level(logging.NOTSET, "avionics.call")
    await gateway(Answer(text=ANSWER)).complete(PROMPT)
    assert caplog.records == []
