"""The fake server: what a script says arrives through real adapters, whoever is played."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from airframe import (
    Adapter,
    AirframeError,
    ConnectionFailedError,
    ErrorCategory,
    FinishReason,
    HealthState,
    InferenceRequest,
    InferenceResult,
    LlamaServerAdapter,
    Message,
    OllamaAdapter,
    OpenAIChatAdapter,
    ToolCall,
    ToolSpec,
    Usage,
    create_adapter,
)
from airframe.testing import Answer, Failure, Script, ScriptedAdapter, Step
from airframe.testing.mutators import cut_after, rate_limited, split_utf8
from airframe.testing.server import DIALECTS, FakeServer
from airframe.types import TokenEvent, ToolResultPart

pytestmark = pytest.mark.anyio

QUESTION = InferenceRequest(messages=[Message("user", "What is the weather in Bodø?")], model="small")
CALLS = [
    ToolCall(id="call_1", name="get_weather", arguments='{"city":"Bodø"}'),
    ToolCall(id="call_2", name="get_time", arguments="{}"),
]
USAGE = Usage(input_tokens=40, output_tokens=4)
ANSWERS = {
    "text": Answer(text="It is raining."),
    "pieces": Answer(chunks=["It is ", "☔ raining", "."], usage=USAGE),
    "thought": Answer(chunks=["Rain", "."], reasoning=["As ", "always."], usage=USAGE, model="large-2"),
    "cut": Answer(text="It is", finish_reason=FinishReason.LENGTH),
    "nothing": Answer(),
}
CALLING = {
    "calls": Answer(tool_calls=CALLS, usage=USAGE),
    "all": Answer(chunks=["Let me ", "look."], reasoning="Which city?", tool_calls=CALLS, usage=USAGE),
}
# The native completion answers with plain text.
CASES = [
    *((kind, name) for kind in DIALECTS for name in (*ANSWERS, *CALLING)),
    *(("llama_server, native", name) for name in ANSWERS),
]


def adapter_of(kind: str) -> Adapter:
    if kind.endswith("native"):
        return LlamaServerAdapter(api_type="native", max_retries=0)
    return create_adapter(kind, max_retries=0)


async def ask(
    kind: str, server: FakeServer, *, streamed: bool, request: InferenceRequest = QUESTION
) -> InferenceResult:
    endpoint = server.endpoint(kind.partition(",")[0])
    async with adapter_of(kind) as adapter:
        if not streamed:
            return await adapter.infer(endpoint, request)
        async with adapter.stream_infer(endpoint, request) as stream:
            async for _ in stream:
                pass
        return stream.result


def meaning(result: InferenceResult) -> dict[str, object]:
    """What every format can say of an answer."""
    calls = [(call.id, call.name, call.parsed_arguments) for call in result.tool_calls]
    return {
        "text": result.text,
        "reasoning": result.reasoning,
        "calls": calls,
        "finish": result.finish_reason,
        "model": result.model,
        "tokens": (result.usage.input_tokens, result.usage.output_tokens),
        "warnings": list(result.warnings),
    }


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("kind", "name"), CASES)
async def test_an_answer_is_the_same_from_adapter_and_server(kind: str, name: str, streamed: bool) -> None:
    """A script means the same to `ScriptedAdapter` and to a server that is asked over a socket."""
    answer = {**ANSWERS, **CALLING}[name]
    with FakeServer([answer]) as server:
        got = await ask(kind, server, streamed=streamed)
        expected = await ScriptedAdapter([answer]).infer(server.endpoint(), QUESTION)
    assert meaning(got) == meaning(expected)


async def test_pieces_arrive_as_the_script_has_them() -> None:
    """A stream is cut where the script cuts it, in every dialect."""
    for kind in DIALECTS:
        with FakeServer([ANSWERS["pieces"]]) as server:
            async with adapter_of(kind) as adapter:
                stream = adapter.stream_infer(server.endpoint(kind), QUESTION)
                said = [event.text async for event in stream if isinstance(event, TokenEvent)]
        assert said == ["It is ", "☔ raining", "."], kind


UNSAYABLE = {ErrorCategory.TLS, ErrorCategory.CANCELLED}
# What a backend has no word for, its clients take for something else.
NEAREST = {
    ("openai", ErrorCategory.LOADING): ErrorCategory.OVERLOADED,
    ("openai_responses", ErrorCategory.LOADING): ErrorCategory.OVERLOADED,
    ("anthropic", ErrorCategory.LOADING): ErrorCategory.OVERLOADED,
    ("llama_server", ErrorCategory.CONTENT_FILTER): ErrorCategory.INVALID_REQUEST,
    ("ollama", ErrorCategory.LOADING): ErrorCategory.OVERLOADED,
    ("ollama", ErrorCategory.CONTEXT_LENGTH): ErrorCategory.INVALID_REQUEST,
    ("ollama", ErrorCategory.CONTENT_FILTER): ErrorCategory.INVALID_REQUEST,
}


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("kind", DIALECTS)
async def test_a_failure_keeps_its_category(kind: str, streamed: bool) -> None:
    """An error by category comes in the backend's own words, and the adapter knows it again."""
    categories = [category for category in ErrorCategory if category not in UNSAYABLE]
    with FakeServer([Failure(category) for category in categories]) as server:
        for category in categories:
            with pytest.raises(AirframeError) as caught:
                await ask(kind, server, streamed=streamed)
            assert caught.value.category is NEAREST.get((kind, category), category)


# Inside a stream there is no status to tell by.
TOLD_BY_CODE = {
    "openai": {"conflict", "timeout"},
    "openai_responses": {"conflict", "timeout"},
    "anthropic": set[str](),
    "llama_server": set[str](),
    "ollama": {*ErrorCategory} - {"server", "unsupported", "connection", "protocol", "unknown"},
}


@pytest.mark.parametrize("kind", DIALECTS)
async def test_a_failure_after_output_keeps_what_was_said(kind: str) -> None:
    """What was said before an error arrives, and the error is classified by its own words."""
    categories = [category for category in ErrorCategory if category not in UNSAYABLE]
    script = [Failure(category, chunks=["It is ", "rain"]) for category in categories]
    with FakeServer(script) as server:
        for category in categories:
            with pytest.raises(AirframeError) as caught:
                await ask(kind, server, streamed=True)
            assert caught.value.partial is not None
            assert caught.value.partial.text == "It is rain"
            assert caught.value.committed
            expected = NEAREST.get((kind, category), category)
            if category in TOLD_BY_CODE[kind]:
                expected = ErrorCategory.UNKNOWN
            assert caught.value.category is expected, category


async def test_details_of_a_failure_arrive() -> None:
    """Words, status, code and wait are those of the script."""
    failure = Failure(ErrorCategory.RATE_LIMIT, message="Slow down.", status=430, code="slow_down", retry_after=7.5)
    with FakeServer([failure]) as server, pytest.raises(AirframeError, match="Slow down") as caught:
        await ask("openai", server, streamed=False)
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (430, "slow_down", 7.5)


async def test_a_lost_connection_is_lost() -> None:
    """A scripted connection failure is a real one, before and after output."""
    script = [Failure(ErrorCategory.CONNECTION), Failure(ErrorCategory.CONNECTION, chunks=["It"])]
    with FakeServer(script) as server:
        for _ in script:
            with pytest.raises(ConnectionFailedError):
                await ask("anthropic", server, streamed=True)


async def test_details_of_an_answer_arrive() -> None:
    """Ids, cost and the finer counts are those of the script, where the format has a place for them."""
    usage = Usage(input_tokens=40, output_tokens=9, cache_read_tokens=30, reasoning_tokens=5)
    answer = Answer(
        text="Rain.", usage=usage, response_id="r-1", request_id="q-1", reported_cost=Decimal("0.25"), model="m-1"
    )
    for kind in ("openai", "openai_responses", "anthropic"):
        with FakeServer([answer, answer]) as server:
            for streamed in (True, False):
                result = await ask(kind, server, streamed=streamed)
                assert (result.response_id, result.request_id, result.model) == ("r-1", "q-1", "m-1"), kind
                assert result.reported_cost == Decimal("0.25"), kind
                counts = result.usage
                assert (counts.input_tokens, counts.cache_read_tokens, counts.reasoning_tokens) == (40, 30, 5), kind


async def test_a_refusal_is_said_as_one() -> None:
    """A refusal is a finish reason of Anthropic's, and a field of OpenAI's."""
    answer = Answer(text="No.", finish_reason=FinishReason.REFUSAL)
    with FakeServer([answer, answer]) as server:
        assert (await ask("anthropic", server, streamed=True)).finish_reason is FinishReason.REFUSAL
        refused = await ask("openai", server, streamed=False)
    assert (refused.finish_reason, refused.refusal) == (FinishReason.REFUSAL, "No.")


@pytest.mark.parametrize("kind", DIALECTS)
async def test_a_script_answers_according_to_the_question(kind: str) -> None:
    """A function of a script gets words, tools, calls and results as they were asked, whatever the format."""
    asked = InferenceRequest(
        model="small",
        messages=[
            Message("system", "Be brief."),
            Message("user", "Weather?"),
            Message("assistant", [CALLS[0]]),
            Message.tool("call_1", "rain"),
        ],
        tools=[ToolSpec(name="get_weather", description="Asks.", parameters={"type": "object"})],
        max_tokens=77,
    )
    seen: list[InferenceRequest] = []

    def step(request: InferenceRequest) -> str:
        seen.append(request)
        return f"You asked: {request.messages[1].text}"

    with FakeServer([step]) as server:
        result = await ask(kind, server, streamed=True, request=asked)
    assert result.text == "You asked: Weather?"
    assert server.requests == seen
    (got,) = seen
    assert [message.role for message in got.messages] == ["system", "user", "assistant", "tool"]
    assert got.messages[0].text == "Be brief."
    (call,) = got.messages[2].parts
    assert isinstance(call, ToolCall)
    assert (call.id, call.name, call.parsed_arguments) == ("call_1", "get_weather", {"city": "Bodø"})
    (answer,) = got.messages[3].parts
    assert isinstance(answer, ToolResultPart)
    assert (answer.tool_call_id, answer.content) == ("call_1", "rain")
    assert (got.model, got.max_tokens, got.tools) == ("small", 77, asked.tools)


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "among all"])
@pytest.mark.parametrize("kind", DIALECTS)
async def test_models_and_health(kind: str, alone: bool) -> None:
    """The server is well and lists the models of its script, alone in its dialect or among all of them."""
    with FakeServer(Script([], models=["tiny", "large"]), dialect=kind if alone else None) as server:
        async with adapter_of(kind) as adapter:
            models = await adapter.list_models(server.endpoint(kind))
            report = await adapter.check_health(server.endpoint(kind))
    assert [model.id for model in models] == ["tiny", "large"]
    assert report.state is HealthState.HEALTHY, report.detail


async def test_what_local_servers_tell_of_themselves() -> None:
    """Props, slots and templates of llama-server, and what Ollama's model can do."""
    with FakeServer(Script([], models=["tiny"])) as server:
        async with LlamaServerAdapter() as llama, OllamaAdapter() as ollama:
            endpoint = server.endpoint("llama_server")
            assert (await llama.props(endpoint)).slots == 1
            assert [slot.processing for slot in await llama.slots(endpoint)] == [False]
            assert "Bodø" in await llama.apply_template(endpoint, QUESTION)
            assert "tools" in (await ollama.show(server.endpoint("ollama"), "tiny")).capabilities


@pytest.mark.parametrize("kind", DIALECTS)
async def test_faults_of_a_script_happen(kind: str) -> None:
    """Answers with faults are broken on their way, with the same seed always in the same way."""
    answer = Answer(chunks=["It is ", "☔."], faults=split_utf8() | cut_after(events=1))
    with FakeServer([answer, answer]) as server:
        bodies: list[str] = []
        for _ in range(2):
            with pytest.raises(AirframeError) as caught:
                await ask(kind, server, streamed=True)
            assert caught.value.category is ErrorCategory.PROTOCOL
            assert caught.value.partial is not None
            bodies.append(caught.value.partial.text)
    assert bodies[0] == bodies[1]


async def test_who_asks_again_gets_what_comes_after_the_fault() -> None:
    """A fault that makes several replies of one answer gives them out one after the other."""
    with FakeServer(["Rain.", "Sun."], faults=rate_limited(retry_after=0.01, style="milliseconds")) as server:
        async with OpenAIChatAdapter(max_retries=1) as adapter:
            first = await adapter.infer(server.endpoint(), QUESTION)
            second = await adapter.infer(server.endpoint(), QUESTION)
    assert (first.text, second.text) == ("Rain.", "Sun.")
    assert [attempt.category for attempt in first.attempts] == [ErrorCategory.RATE_LIMIT, None]
    assert len(server.requests) == 4


# -- mistakes


async def test_a_call_too_many_is_refused_and_told() -> None:
    """Without a step left, the client gets an error that is not repeated, and the context raises it."""
    server = FakeServer(["Rain."])
    server.start()
    async with OpenAIChatAdapter(max_retries=3) as adapter:
        await adapter.infer(server.endpoint(), QUESTION)
        with pytest.raises(AirframeError, match="no step for call 2"):
            await adapter.infer(server.endpoint(), QUESTION)
    server.stop()
    assert len(server.received) == 2
    with pytest.raises(RuntimeError, match="no step for call 2"):
        server.assert_played()


def test_steps_that_are_left_are_told() -> None:
    """Leaving the context fails when the script was not played to its end."""
    with pytest.raises(AssertionError, match="1 of 1 steps are left"), FakeServer(["Rain."]):
        pass


UNSPEAKABLE: Sequence[tuple[str, Step, str]] = [
    ("ollama", Answer(text="No.", finish_reason=FinishReason.PAUSE), "finish reason 'pause'"),
    ("llama_server, native", Answer(tool_calls=CALLS), "plain text"),
    ("anthropic", Answer(tool_calls=[ToolCall(id="1", name="f", arguments="{")]), "no JSON object"),
    ("openai", Failure(ErrorCategory.TLS), "tls"),
]


@pytest.mark.parametrize(("kind", "step", "words"), UNSPEAKABLE)
async def test_what_a_format_cannot_say_is_refused(kind: str, step: Step, words: str) -> None:
    """A step that has no place in the format is a mistake in the script, and named as one."""
    with pytest.raises(ValueError, match=words), FakeServer([step]) as server, pytest.raises(AirframeError):
        await ask(kind, server, streamed=False)


def test_an_unknown_dialect_is_named() -> None:
    """The error lists the dialects that there are."""
    with pytest.raises(ValueError, match="openai, openai_responses, anthropic, llama_server, ollama"):
        FakeServer(dialect="gemini")
