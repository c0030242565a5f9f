"""A chat remembers what was said, lets others look into its calls, and counts what it used."""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import anyio
import pytest
from typing_extensions import override

from airframe.adapters import AnthropicAdapter, OpenAIChatAdapter
from airframe.endpoints import EndpointSpec
from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.testing.playback import PlaybackTransport
from airframe.testing.reply import Reply
from airframe.types import InferenceRequest, Message, ToolCall, ToolSpec, Usage
from avionics.errors import ConfigurationValidationError, LLMInvalidRequestError, LLMServerError
from avionics.llm import Chat, ChatExtension, CompletionResult, Conversation, LLMConfig, LLMProvider, MockProvider
from avionics.settings import ReasoningSettings

pytestmark = pytest.mark.anyio


def chat(*script: Step, **options: Any) -> Chat:
    """A chat whose model answers with these steps, one call after the other."""
    return Chat(MockProvider(script, name="openai", default_model="gpt-4.1-mini"), **options)


def asked(chat: Chat) -> Sequence[InferenceRequest]:
    """What its model was asked, in order."""
    assert isinstance(chat.provider, MockProvider)
    return chat.provider.script.requests


async def say(chat: Chat, text: str, *, streamed: bool) -> str:
    """Say something in one of the two ways; gives the answer."""
    if not streamed:
        return (await chat.send_user_message(text)).content
    async with chat.stream_user_message(text) as stream:
        said = "".join([chunk.text async for chunk in stream])
        assert said == stream.result.content
        return said


both_ways = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@both_ways
async def test_what_was_said_is_told_again(streamed: bool) -> None:
    """Each question comes after all questions and answers before it."""
    talk = chat(Answer(text="Rayleigh."), Answer(text="Less."), conversation=Conversation("Be brief."))
    assert await say(talk, "Why is the sky blue?", streamed=streamed) == "Rayleigh."
    assert await say(talk, "And at night?", streamed=streamed) == "Less."
    assert [(message.role, message.text) for message in asked(talk)[1].messages] == [
        ("system", "Be brief."),
        ("user", "Why is the sky blue?"),
        ("assistant", "Rayleigh."),
        ("user", "And at night?"),
    ]
    assert talk.conversation.history[-1].text == "Less."


@both_ways
async def test_a_question_that_fails_is_taken_back(streamed: bool) -> None:
    """So it can be asked again, and is told once."""
    talk = chat(Failure(ErrorCategory.SERVER), Answer(text="Rayleigh."))
    with pytest.raises(LLMServerError):
        await say(talk, "Why?", streamed=streamed)
    assert len(talk.conversation) == 0
    assert await say(talk, "Why?", streamed=streamed) == "Rayleigh."
    assert [message.text for message in asked(talk)[1].messages] == ["Why?"]


async def test_a_stream_that_is_left_takes_its_question_back() -> None:
    """Half an answer is none; closing, and forgetting the stream, both leave it."""
    talk = chat(Answer(chunks=["One ", "two."]), Answer(chunks=["One ", "two."]), Answer(text="Whole."))
    async with talk.stream_user_message("Count.") as stream:
        await anext(stream)
    assert len(talk.conversation) == 0
    forgotten = talk.stream_user_message("Count.")
    await anext(forgotten)
    del stream, forgotten
    gc.collect()
    assert len(talk.conversation) == 0
    assert (await talk.send_user_message("Count.")).content == "Whole."


async def test_a_second_question_waits_for_the_first_answer() -> None:
    """Two questions at a time would mix their answers; the second one is told to wait, and harms nothing."""
    talk = chat(Answer(chunks=["One ", "two."]))
    async with talk.stream_user_message("Count.") as stream:
        await anext(stream)
        with pytest.raises(RuntimeError, match="waits for an answer"):
            await talk.send_user_message("Hello?")
        assert "".join([chunk.text async for chunk in stream]) == "two."
    assert [message.text for message in talk.conversation.history] == ["Count.", "One two."]


async def test_being_cancelled_takes_the_question_back() -> None:
    """Nobody waits for the answer any more."""
    talk = chat(Answer(text="Late."))

    async def never(_request: InferenceRequest) -> InferenceRequest:
        await anyio.sleep_forever()
        raise AssertionError

    talk.before_invoke(never)
    with anyio.move_on_after(0.01):
        await talk.send_user_message("Why?")
    assert len(talk.conversation) == 0


async def test_tools_are_answered_and_the_model_goes_on() -> None:
    """`invoke` asks with the conversation as it is."""
    talk = chat(Answer(tool_calls=[ToolCall(id="1", name="look_up")]), Answer(text="Rayleigh."))
    answer = await talk.send_user_message("Why?", tools=[ToolSpec(name="look_up")])
    assert answer.has_tool_calls
    talk.conversation.add_tool_message("1", "scattering")
    assert (await talk.invoke()).content == "Rayleigh."
    assert [message.role for message in asked(talk)[1].messages] == ["user", "assistant", "tool"]
    assert len(asked(talk)[0].tools) == 1


async def test_going_on_may_be_streamed() -> None:
    """`stream` is the same, piece by piece; what was there before a failure stays."""
    talk = chat(Failure(ErrorCategory.SERVER), Answer(chunks=["a", "b"]))
    talk.conversation.add_user_message("Why?")
    with pytest.raises(LLMServerError):
        async for _ in talk.stream():
            pass
    assert [chunk.text async for chunk in talk.stream()][:2] == ["a", "b"]
    assert [message.text for message in talk.conversation.history] == ["Why?", "ab"]


class TestConfig:
    """How the model is asked."""

    async def test_the_config_is_asked_for_and_a_call_wins_over_it(self) -> None:
        """System message, sampling, stop and reasoning; the call's own options first."""
        config = LLMConfig(
            system="Be brief.", temperature=0.1, stop=("x",), reasoning=ReasoningSettings(effort="low"), seed=3
        )
        talk = Chat(MockProvider([Answer(text="a")] * 2), config=config)
        await talk.send_user_message("Why?")
        await talk.send_user_message("Why?", temperature=0.0, max_tokens=7, top_k=0)
        first, second = asked(talk)
        assert first.messages[0] == Message("system", "Be brief.")
        assert (first.temperature, first.stop, first.seed, first.max_tokens) == (0.1, ("x",), 3, None)
        assert first.reasoning is not None
        assert first.reasoning.effort == "low"
        assert (second.temperature, second.max_tokens, second.top_k) == (0.0, 7, 0)

    async def test_the_conversation_has_the_last_word_on_the_system_message(self) -> None:
        """One that was loaded goes on as it began."""
        talk = chat(Answer(text="a"), config=LLMConfig(system="Be brief."), conversation=Conversation("Be kind."))
        await talk.send_user_message("Why?")
        assert [message.text for message in asked(talk)[0].messages] == ["Be kind.", "Why?"]

    async def test_everything_wrong_with_it_is_told_at_once(self) -> None:
        """Before anything is sent, every field that the model does not take."""
        config = LLMConfig(temperature=0.2, stop=("x",), max_tokens=200_000)
        talk = Chat(MockProvider([], name="openai", default_model="gpt-5"), config=config)
        with pytest.raises(ConfigurationValidationError) as caught:
            talk.validate_config()
        assert [problem.split(";")[0].split(",")[0] for problem in caught.value.problems] == [
            "gpt-5 does not take temperature",
            "gpt-5 does not take stop",
            "gpt-5 answers with at most 128000 tokens",
        ]
        Chat(talk.provider, config=LLMConfig(max_tokens=5)).validate_config()

    async def test_options_that_make_no_request_are_an_error_and_change_nothing(self) -> None:
        """The field is named, and the question taken back."""
        talk = chat()
        with pytest.raises(LLMInvalidRequestError, match="max_tokens"):
            await talk.send_user_message("Why?", max_tokens=0)
        assert len(talk.conversation) == 0


class TestHooks:
    """Who looks into the calls."""

    @both_ways
    async def test_a_function_may_change_what_is_asked(self, streamed: bool) -> None:
        """In the order in which they were registered, plain or a coroutine; None changes nothing."""
        talk = chat(Answer(text="a"))

        @talk.before_invoke
        def warmer(request: InferenceRequest) -> InferenceRequest:
            return replace(request, temperature=0.5)

        @talk.before_invoke
        async def doubled(request: InferenceRequest) -> InferenceRequest:
            return replace(request, temperature=(request.temperature or 0) * 2)

        @talk.before_invoke
        def looker(_request: InferenceRequest) -> None:
            return None

        await say(talk, "Why?", streamed=streamed)
        assert [hook.__name__ for hook in (warmer, doubled, looker)] == ["warmer", "doubled", "looker"]
        assert asked(talk)[0].temperature == 1.0

    @both_ways
    async def test_a_function_that_objects_stops_the_call(self, streamed: bool) -> None:
        """Nothing is sent, and the question is taken back."""
        talk = chat()

        @talk.before_invoke
        def guard(_request: InferenceRequest) -> None:
            raise PermissionError("not that")

        with pytest.raises(PermissionError, match="not that"):
            await say(talk, "Why?", streamed=streamed)
        assert (asked(talk), len(talk.conversation)) == ([], 0)
        assert callable(guard)

    @both_ways
    async def test_a_function_after_an_answer_sees_it_and_harms_nobody(
        self, streamed: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What it raises is logged; the answer is handed out, and others see it too."""
        talk, seen = chat(Answer(text="a")), list[str]()

        @talk.after_invoke
        def broken(_result: CompletionResult[None]) -> None:
            raise RuntimeError("no")

        @talk.after_invoke
        async def listener(result: CompletionResult[None]) -> None:
            seen.append(result.content)

        with caplog.at_level(logging.ERROR):
            assert await say(talk, "Why?", streamed=streamed) == "a"
        assert seen == ["a"]
        assert "the answer is handed out all the same" in caplog.text
        assert broken is not listener

    async def test_an_extension_sees_failures_too(self) -> None:
        """Before, after, and when nothing comes; registered with the chat, or later."""

        class Witness(ChatExtension):
            def __init__(self) -> None:
                self.seen: list[str] = []

            @override
            async def before_invoke(self, request: InferenceRequest) -> InferenceRequest:
                self.seen.append("before")
                return request

            @override
            async def after_invoke(self, result: CompletionResult[None], /) -> None:
                self.seen.append(f"after {result.content}")

            @override
            async def invoke_failed(self, error: Exception, /) -> None:
                self.seen.append(f"failed {type(error).__name__}")

        early, late = Witness(), Witness()
        talk = chat(Failure(ErrorCategory.SERVER), Answer(text="a"), extensions=[early])
        talk.register(late)
        with pytest.raises(LLMServerError):
            await talk.send_user_message("Why?")
        await talk.send_user_message("Why?")
        assert early.seen == late.seen == ["before", "failed LLMServerError", "before", "after a"]


class TestUsage:
    """What a chat used."""

    @both_ways
    async def test_tokens_and_cost_add_up(self, streamed: bool) -> None:
        """At list prices: 400 tokens of GPT-4.1 mini's input are 0.00016 USD, 50 of its output 0.00008."""
        usage = Usage(input_tokens=400, output_tokens=50)
        talk = chat(Answer(text="a", usage=usage), Answer(text="b", usage=usage))
        for question in "ab":
            await say(talk, question, streamed=streamed)
        assert (talk.usage.calls, talk.usage.usage.input_tokens, talk.usage.usage.output_tokens) == (2, 800, 100)
        assert (talk.usage.cost_usd, talk.usage.calls_without_cost) == (Decimal("0.00048"), 0)

    async def test_an_unknown_cost_is_not_free(self) -> None:
        """It is counted apart, and left out of the sum."""
        talk = Chat(MockProvider([Answer(text="a", usage=Usage(input_tokens=1))], name="openai", default_model="mine"))
        await talk.send_user_message("Why?")
        assert (talk.usage.cost_usd, talk.usage.calls_without_cost) == (Decimal(0), 1)

    async def test_a_failed_call_counts_as_far_as_it_came(self) -> None:
        """What a broken answer is known to have used was used."""
        talk = chat(Failure(ErrorCategory.SERVER, chunks=["Ray"], usage=Usage(input_tokens=9)))
        with pytest.raises(LLMServerError):
            await talk.send_user_message("Why?")
        assert (talk.usage.calls, talk.usage.usage.input_tokens) == (1, 9)


async def test_old_turns_are_summarized_before_a_call() -> None:
    """The model is told the summary and the last turns; a summary that fails leaves the chat going."""

    def summarize(messages: Sequence[Message]) -> str:
        if any(message.text == "two" for message in messages):
            raise RuntimeError("no")
        return f"they spoke of {messages[0].text}"

    conversation = Conversation(max_turns=1, summarize=summarize)
    talk = chat(Answer(text="a"), Failure(ErrorCategory.SERVER), *[Answer(text="a")] * 2, conversation=conversation)
    await talk.send_user_message("one")
    with pytest.raises(LLMServerError):
        await talk.send_user_message("lost")
    assert (conversation.summary, len(conversation)) == ("they spoke of one", 0)
    for question in ("two", "three"):
        await talk.send_user_message(question)
    texts = [message.text for message in asked(talk)[3].messages]
    assert texts[-1] == "three"
    assert "they spoke of one" in texts[0]
    assert [message.text for message in conversation.history] == ["two", "a", "three", "a"]


async def test_another_model_goes_on_without_what_it_cannot_read() -> None:
    """Claude's signed thought is not sent to GPT, which says so; Claude gets it back when it is asked again."""
    thought = {"type": "thinking", "thinking": "Blue...", "signature": "c2lnbmVk"}
    bodies: dict[str, list[dict[str, Any]]] = {"anthropic": [], "openai": []}
    answers = {
        "anthropic": {
            "id": "1",
            "content": [thought, {"type": "text", "text": "Rayleigh."}],
            "stop_reason": "end_turn",
        },
        "openai": {
            "id": "2",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Mie."}, "finish_reason": "stop"}],
        },
    }

    def answer(endpoint: EndpointSpec, request: Any) -> Reply:
        kind = str(endpoint.backend_kind)
        bodies[kind].append(json.loads(request.body))
        return Reply.of(json.dumps(answers[kind]).encode())

    class Provider(LLMProvider):
        name = kind = "probed"

    transport = PlaybackTransport(answer)
    claude = Provider(
        AnthropicAdapter(transport=transport),
        EndpointSpec(base_url="https://api.anthropic.com", backend_kind="anthropic"),
        default_model="claude-opus-5",
    )
    gpt = Provider(
        OpenAIChatAdapter(transport=transport),
        EndpointSpec(base_url="https://api.openai.com/v1", backend_kind="openai"),
        default_model="gpt-4.1",
    )
    talk = Chat(claude)
    await talk.send_user_message("Why is the sky blue?")
    talk.switch_model(provider=gpt)
    second = await talk.send_user_message("And the clouds white?")
    assert [warning.subject for warning in second.warnings] == ["ReasoningPart"]
    assert "c2lnbmVk" not in json.dumps(bodies["openai"])
    assert bodies["openai"][0]["messages"][1] == {"role": "assistant", "content": "Rayleigh."}
    talk.switch_model("claude-opus-4-8", provider=claude)
    third = await talk.send_user_message("Sure?")
    assert bodies["anthropic"][1]["messages"][1]["content"][0] == thought
    assert (bodies["anthropic"][1]["model"], third.warnings) == ("claude-opus-4-8", ())
