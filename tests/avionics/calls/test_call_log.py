"""The call log: what a gateway's calls leave behind, on SQLite and on PostgreSQL."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import TypeAlias

import anyio
import pytest
from sqlalchemy import func, select

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure
from airframe.types import InferenceRequest, InferenceResult, Message, TextPart, Usage
from avionics.calls import CallHistory, CallLog, LoggedCall
from avionics.calls.database import open_database, reading
from avionics.calls.location import database_url
from avionics.calls.tables import content
from avionics.errors import LLMError
from avionics.llm import LLMGateway
from avionics.llm.content_filter import ContentFilter
from avionics.llm.providers import MockProvider
from avionics.llm.records import AttemptFinished, CallFinished, CallStarted
from avionics.settings import Settings

pytestmark = pytest.mark.anyio

Configure: TypeAlias = Callable[..., Settings]
MakeCall: TypeAlias = Callable[..., tuple[CallStarted, CallFinished]]
MakeAttempt: TypeAlias = Callable[..., AttemptFinished]

USAGE = Usage(input_tokens=1000, output_tokens=10, cache_read_tokens=0)
LOTS = 10**30


def log_calls(
    settings: Settings, *calls: tuple[CallStarted, CallFinished], capture: ContentFilter | None = None
) -> None:
    """Tells a log of these calls and closes it."""
    log = CallLog(settings, capture=capture)
    for start, end in calls:
        log.call_started(start).call_finished(end)
    log.close()


def logged(settings: Settings) -> list[LoggedCall]:
    with CallHistory(settings) as history:
        return list(history.calls())


def rows_of_content(settings: Settings) -> int:
    engine = open_database(database_url(settings.database))
    with reading(engine) as connection:
        count = connection.scalar(select(func.count()).select_from(content))
    engine.dispose()
    return count or 0


class TestCalls:
    """One row per call, one per attempt."""

    async def test_a_call_is_logged_with_its_facts(self, configure: Configure) -> None:
        """Who asked for whom, by which route, what was used, and what it cost."""
        settings = configure()
        provider = MockProvider([Answer(text="a", usage=USAGE, model="gpt-4.1-mini-2025-04-14")], name="openai")
        log = CallLog(settings)
        gateway = LLMGateway(Settings(llm_provider="openai"), ["mock"], observers=[log], providers={"openai": provider})
        response = await gateway.complete(
            "Why?", agent_name="planner", tenant="acme", conversation_id="c-1", model="gpt-4.1-mini"
        )
        await gateway.aclose()
        (call,) = logged(settings)
        assert call.id == response.metadata["call_id"]
        assert (call.agent, call.tenant, call.conversation_id) == ("planner", "acme", "c-1")
        assert (call.route, call.provider, call.model) == ("openai,mock", "openai", "gpt-4.1-mini-2025-04-14")
        assert (call.outcome, call.category, call.finish_reason, call.streamed) == ("success", None, "stop", False)
        assert (call.usage, call.usage_source) == (USAGE, "reported")
        assert (call.cost_usd, call.estimated, call.unpriced) == (Decimal("0.000416"), 0, 0)
        assert (call.config_hash is not None, call.error, call.prompt_id, call.answer_id) == (True, None, None, None)
        with CallHistory(settings) as history:
            (attempt,) = history.call(call.id).attempts
        assert (attempt.call_id, attempt.number, attempt.reason) == (call.id, 1, "first")
        assert (attempt.server_address, attempt.server_port) == ("mock.invalid", 80)
        assert (attempt.cost_source, attempt.price_version is not None) == ("catalog", True)
        log.close()

    async def test_every_attempt_of_a_fallback_is_a_row(self, configure: Configure) -> None:
        """The one that failed says why, and the call says how many there were."""
        settings = configure()
        log = CallLog(settings)
        gateway = LLMGateway(
            Settings(llm_provider="openai"),
            ["llamaserver"],
            observers=[log],
            providers={
                "openai": MockProvider([Failure(ErrorCategory.OVERLOADED, code="busy")], name="openai"),
                "llamaserver": MockProvider([Answer(text="a", usage=USAGE)], name="llamaserver"),
            },
        )
        await gateway.complete("Why?")
        log.close()
        (call,) = logged(settings)
        assert (call.provider, call.outcome, call.attempts) == ("llamaserver", "success", 2)
        with CallHistory(settings) as history:
            first, second = history.attempts()
        assert (first.provider, first.category, first.error_code) == ("openai", "overloaded", "busy")
        assert (second.provider, second.reason, second.category) == ("llamaserver", "fallback", None)

    async def test_a_call_that_fails_or_is_left_is_logged_as_such(self, configure: Configure) -> None:
        """One row each for an error, a cancelled call, a stream that was left and one that nobody closed."""
        settings = configure()
        log = CallLog(settings)
        pieces = Answer(chunks=["The ", "sky"], usage=USAGE)
        provider = MockProvider([Failure(ErrorCategory.AUTH), pieces, pieces, pieces], name="mock")
        gateway = LLMGateway(Settings(llm_provider="mock"), observers=[log], providers={"mock": provider})
        with pytest.raises(LLMError):
            await gateway.complete("Why?")
        with anyio.CancelScope() as scope:
            scope.cancel()
            await gateway.complete("Why?")
        async with gateway.complete_stream("Why?") as stream:
            await anext(stream)
        stream = gateway.complete_stream("Why?")
        await anext(stream)
        del stream
        gc.collect()
        await gateway.aclose()  # or the next turn of the event loop
        log.close()
        calls = logged(settings)
        assert [(call.outcome, call.category) for call in calls] == [
            ("error", "auth"),
            ("cancelled", "cancelled"),
            ("abandoned", "cancelled"),
            ("abandoned", "cancelled"),
        ]
        assert [call.attempts for call in calls] == [1, 1, 1, 1]
        assert [call.usage_source for call in calls[2:]] == ["estimated", "estimated"]

    async def test_a_gateway_that_is_told_of_nobody_logs_its_calls(self, configure: Configure) -> None:
        """Closing it has them written; switched off, nothing is."""
        settings = configure()
        for enabled in (True, False):
            options = settings.call_log.model_copy(update={"enabled": enabled})
            switched = settings.model_copy(update={"call_log": options}).asking("mock")
            async with LLMGateway(switched) as gateway:
                await gateway.complete("Why?")
        assert [call.provider for call in logged(settings)] == ["mock"]

    def test_what_the_columns_cannot_hold_is_made_to_fit(
        self, configure: Configure, make_call: MakeCall, make_attempt: MakeAttempt
    ) -> None:
        """Half characters, NUL, commands, long names and impossible numbers are logged, and never executed."""
        settings = configure(capture_content=True)
        hostile = "'); DROP TABLE call; --\0\ud800" + "x" * 1000
        attempt = make_attempt(
            provider=hostile,
            model=hostile,
            error=hostile,
            request_id=hostile,
            response_id=hostile,
            response_model=hostile,
            status=10**9,
            usage=Usage(input_tokens=LOTS, output_tokens=7),
        )
        words = [Message("user", [TextPart(hostile), TextPart("y" * 10_000_000)])]
        call = make_call(
            attempt,
            agent_name=hostile,
            tenant=hostile,
            conversation_id=hostile,
            request=InferenceRequest(messages=words),
            error=hostile,
        )
        log_calls(settings, call, make_call(make_attempt(started_at_ns=call[0].started_at_ns + 1)))
        first, second = logged(settings)
        assert (first.agent or "").startswith("'); DROP TABLE call; --\N{REPLACEMENT CHARACTER}?xxx")
        assert len(first.agent or "") == 256
        assert (first.usage.input_tokens, first.usage.output_tokens) == (None, 7)
        assert second.agent == "planner"

    def test_a_call_that_is_told_twice_is_logged_once(self, configure: Configure, make_call: MakeCall) -> None:
        """A row is known by its call's id."""
        settings = configure()
        call = make_call()
        log_calls(settings, call, call)
        log_calls(settings, call)
        assert [one.attempts for one in logged(settings)] == [1]


class TestContent:
    """What was said is kept where somebody asked for it, and once."""

    def test_a_conversation_that_grows_is_stored_once(self, configure: Configure, make_call: MakeCall) -> None:
        """Each call adds its new messages, and every call gives back all of its own."""
        settings = configure(capture_content=True)
        said: list[Message] = []
        calls: list[tuple[CallStarted, CallFinished]] = []
        for turn in range(10):
            said.append(Message("user", f"question {turn}"))
            result = InferenceResult(content=[TextPart(f"answer {turn}")])
            calls.append(make_call(request=InferenceRequest(messages=tuple(said)), result=result))
            said.append(result.message)
        log_calls(settings, *calls)
        with CallHistory(settings) as history:
            messages = [history.call(start.call_id).messages for start, _ in calls]
        assert [len(one) for one in messages] == [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]
        assert messages[-1][:2] == messages[0]
        assert [message["role"] for message in messages[0]] == ["user", "assistant"]
        assert rows_of_content(settings) == 20

    def test_what_is_kept_goes_through_the_filter(self, configure: Configure, make_call: MakeCall) -> None:
        """Keys are taken out, then what the hook takes out, then what is too much."""
        settings = configure(capture_content=True)
        capture = ContentFilter(most_characters=20, redact=lambda text: text.replace("Rosebud", "[name]"))
        call = make_call(
            request=InferenceRequest(messages=[Message("user", "Rosebud sk-abcdefghijklmnop " + "x" * 99)])
        )
        log_calls(settings, call, capture=capture)
        with CallHistory(settings) as history:
            (message,) = history.call(call[0].call_id).messages
        text = str(message["content"])
        assert text.startswith("[name] [redacted] xx")
        assert "xxx" not in text

    def test_a_hook_that_raises_costs_the_words_and_not_the_call(
        self, configure: Configure, make_call: MakeCall, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The figures are logged, and the failure is reported once."""

        def broken(_text: str) -> str:
            raise ValueError("hook")

        settings = configure(capture_content=True)
        log_calls(settings, make_call(), make_call(), capture=ContentFilter(redact=broken))
        assert [call.prompt_id for call in logged(settings)] == [None, None]
        assert [record.message for record in caplog.records if "captured" in record.message] == [
            "what was said in a call cannot be captured; further calls are not reported"
        ]


class TestLife:
    """A log has threads and connections only while it is used."""

    def test_flush_has_all_calls_written(self, configure: Configure, make_call: MakeCall) -> None:
        """What has ended by then can be read."""
        settings = configure(flush_interval=60)
        log = CallLog(settings)
        start, end = make_call()
        log.call_started(start).call_finished(end)
        log.flush()
        assert [call.id for call in logged(settings)] == [start.call_id]
        log.close()

    def test_a_closed_log_may_be_used_again(self, configure: Configure, make_call: MakeCall) -> None:
        """It starts anew with the next call."""
        settings = configure()
        log = CallLog(settings)
        for start, end in (make_call(), make_call()):
            log.call_started(start).call_finished(end)
            log.close()
        log.close()
        assert len(logged(settings)) == 2

    def test_a_forgotten_log_writes_what_it_holds_and_ends(self, configure: Configure, make_call: MakeCall) -> None:
        """Nobody needs to close it, and its threads end."""
        settings = configure(flush_interval=60)
        before = set(threading.enumerate())
        log = CallLog(settings)
        start, end = make_call()
        log.call_started(start).call_finished(end)
        started = set(threading.enumerate()) - before
        assert started
        del log
        gc.collect()
        for thread in started:
            thread.join(20)
        assert [call.id for call in logged(settings)] == [start.call_id]
        assert not any(thread.is_alive() for thread in started)

    def test_nothing_happens_before_the_first_call(self, configure: Configure) -> None:
        """A log that is made and not used touches neither disk nor server."""
        before = threading.active_count()
        CallLog(configure()).close()
        assert threading.active_count() == before

    def test_its_own_words_are_those_of_logging(
        self, configure: Configure, make_call: MakeCall, caplog: pytest.LogCaptureFixture
    ) -> None:
        """All is well, and nothing is said above the level of details."""
        log_calls(configure(), make_call())
        ours = [record for record in caplog.records if record.name.startswith("avionics")]
        assert [record for record in ours if record.levelno > logging.INFO] == []
