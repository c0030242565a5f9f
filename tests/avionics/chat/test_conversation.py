"""A conversation tells a model as much as the limits allow, and forgets nothing that belongs together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airframe.errors import InvalidRequestError
from airframe.types import (
    AudioPart,
    FilePart,
    HostedToolPart,
    ImagePart,
    JSONValue,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    SearchHit,
    TextPart,
    ToolCall,
    ToolResultPart,
)
from avionics.errors import ConfigurationError
from avionics.llm import Conversation, ConversationContext


def call(*ids: str) -> Message:
    return Message("assistant", tuple(ToolCall(id=id, name="look_up") for id in ids))


def one_token(_message: Message) -> int:
    return 1


class TestSaying:
    """Adding to it and reading it."""

    def test_it_is_told_in_order_after_the_system_message(self) -> None:
        """Who says what is kept, and tools answer their calls."""
        conversation = Conversation("Be brief.")
        conversation.add_user_message("Why?")
        conversation.add_assistant_message([ToolCall(id="1", name="look_up")])
        conversation.add_tool_message("1", "Rayleigh", is_error=True)
        conversation.add_assistant_message("Rayleigh.")
        assert [(message.role, message.text) for message in conversation.get_messages()] == [
            ("system", "Be brief."),
            ("user", "Why?"),
            ("assistant", ""),
            ("tool", ""),
            ("assistant", "Rayleigh."),
        ]
        assert conversation.get_messages()[3] == Message.tool("1", "Rayleigh", is_error=True)

    def test_it_has_another_name(self) -> None:
        """Both names mean the same class."""
        assert ConversationContext is Conversation

    def test_what_is_told_may_be_changed_by_whoever_asks(self) -> None:
        """The list is the caller's own."""
        conversation = Conversation("Be brief.")
        conversation.get_messages().clear()
        assert len(conversation.get_messages()) == 1

    def test_clearing_leaves_the_system_message(self) -> None:
        """A new beginning under the same instructions."""
        conversation = Conversation("Be brief.")
        conversation.add_user_message("Why?")
        conversation.clear()
        assert conversation.get_messages() == [Message("system", "Be brief.")]

    @pytest.mark.parametrize("limits", [{"max_turns": 0}, {"token_budget": -1}])
    def test_a_limit_that_allows_nothing_is_an_error(self, limits: dict[str, Any]) -> None:
        """The message names the limit."""
        with pytest.raises(ConfigurationError, match=next(iter(limits))):
            Conversation(**limits)


class TestPruning:
    """What is left out when there is too much."""

    @staticmethod
    def long(**limits: Any) -> Conversation:
        conversation = Conversation("Be brief.", count=one_token, **limits)
        for number in range(1, 4):
            conversation.add_user_message(f"question {number}")
            conversation.add(call(f"c{number}"), Message.tool(f"c{number}", "found"))
            conversation.add_assistant_message(f"answer {number}")
        return conversation

    def test_the_last_turns_are_told(self) -> None:
        """A turn is a question and all that follows up to the next one."""
        conversation = self.long(max_turns=2)
        texts = [message.text for message in conversation.get_messages()]
        assert texts == ["Be brief.", "question 2", "", "", "answer 2", "question 3", "", "", "answer 3"]
        assert len(conversation.history) == 12

    @pytest.mark.parametrize(("budget", "told"), [(13, 13), (12, 9), (9, 9), (8, 5), (5, 5), (4, 3), (1, 3)])
    def test_a_budget_leaves_out_whole_turns_then_steps_of_the_last_one(self, budget: int, told: int) -> None:
        """The system message, the last question and the last step are told in any case."""
        messages = self.long(token_budget=budget).get_messages()
        assert len(messages) == told
        assert (messages[0].text, messages[-1].text) == ("Be brief.", "answer 3")

    def test_both_limits_hold(self) -> None:
        """Whichever is the tighter one."""
        assert len(self.long(max_turns=1, token_budget=13).get_messages()) == 5
        assert len(self.long(max_turns=3, token_budget=5).get_messages()) == 5

    def test_instructions_in_the_middle_stay(self) -> None:
        """A system message holds from where it was said, however long ago."""
        conversation = Conversation("Be brief.", max_turns=1)
        conversation.add(Message("user", "a"), Message("developer", "In French."), Message("user", "b"))
        assert [message.text for message in conversation.get_messages()] == ["Be brief.", "In French.", "b"]

    def test_a_question_in_the_middle_of_a_call_parts_nothing(self) -> None:
        """A user who interrupts a tool begins no turn."""
        conversation = Conversation(max_turns=1)
        conversation.add(Message("user", "a"), call("1"), Message("user", "b"), Message.tool("1", "found"))
        assert len(conversation.get_messages()) == 4

    def test_an_id_that_comes_again_is_another_call(self) -> None:
        """Some servers number their calls anew in each answer."""
        conversation = Conversation(max_turns=1)
        for question in ("a", "b"):
            conversation.add(Message("user", question), call("0"), Message.tool("0", "found"))
        assert [message.text for message in conversation.get_messages()] == ["b", "", ""]


ids = st.sampled_from("abc")
turns = st.one_of(
    st.just(Message("user", "?")),
    st.just(Message("assistant", "!")),
    st.just(Message("system", "rule")),
    st.lists(ids, min_size=1, max_size=2, unique=True).map(lambda names: call(*names)),
    ids.map(lambda id: Message.tool(id, "found")),
)


def positions(told: Sequence[Message], said: Sequence[Message]) -> list[int]:
    """Where the messages stand that were told."""
    by_identity = {id(message): position for position, message in enumerate(said)}
    return [by_identity[id(message)] for message in told]


def pairs(said: Sequence[Message]) -> list[tuple[int, int]]:
    """Each result with the last call of its id before it."""
    called: dict[str, int] = {}
    found: list[tuple[int, int]] = []
    for position, message in enumerate(said):
        for part in message.parts:
            if isinstance(part, ToolCall):
                called[part.id] = position
            elif isinstance(part, ToolResultPart) and part.tool_call_id in called:
                found.append((called[part.tool_call_id], position))
    return found


@given(
    said=st.lists(turns, max_size=16),
    max_turns=st.none() | st.integers(1, 4),
    token_budget=st.none() | st.integers(1, 12),
)
def test_no_limit_parts_a_call_from_its_result_or_drops_an_instruction(
    said: list[Message], max_turns: int | None, token_budget: int | None
) -> None:
    """Whatever was said in whatever order: both or neither, instructions always, the last message too, in order."""
    said = [Message(message.role, message.content) for message in said]  # each its own object
    conversation = Conversation("Be brief.", max_turns=max_turns, token_budget=token_budget, count=one_token)
    conversation.add(*said)
    first, *told = conversation.get_messages()
    kept = positions(told, said)
    assert first == Message("system", "Be brief.")
    assert kept == sorted(kept)
    assert [pair for pair in pairs(said) if (pair[0] in kept) != (pair[1] in kept)] == []
    assert {at for at, message in enumerate(said) if message.role == "system"} <= set(kept)
    assert not said or len(said) - 1 in kept
    if max_turns is None and token_budget is None:
        assert len(kept) == len(said)


@pytest.mark.anyio
class TestCompacting:
    """Forgetting for good, with or without a summary."""

    @staticmethod
    def pruned() -> Conversation:
        conversation = Conversation("Be brief.", max_turns=1)
        for question in ("one", "two", "three"):
            conversation.add(Message("user", question), Message("assistant", f"answer {question}"))
        return conversation

    async def test_what_is_forgotten_becomes_a_summary(self) -> None:
        """The model is told it after the system message, and the next summary has the earlier one in it."""
        seen: list[list[str]] = []

        async def summarize(messages: Sequence[Message]) -> str:
            seen.append([message.text for message in messages])
            return f"summary {len(seen)}"

        conversation = self.pruned()
        conversation.summarize = summarize
        await conversation.compact()
        assert [message.text for message in conversation.history] == ["three", "answer three"]
        assert conversation.get_messages()[0].text.splitlines()[-1] == "summary 1"
        conversation.add_user_message("four")
        await conversation.compact()
        assert seen == [["one", "answer one", "two", "answer two"], ["summary 1", "three", "answer three"]]
        assert conversation.summary == "summary 2"

    async def test_a_summary_may_be_made_at_once(self) -> None:
        """A plain function will do."""

        def summarize(messages: Sequence[Message]) -> str:
            return f"{len(messages)} messages"

        conversation = self.pruned()
        conversation.summarize = summarize
        await conversation.compact()
        assert conversation.summary == "4 messages"

    async def test_without_a_summary_it_is_forgotten(self) -> None:
        """What is told stays the same."""
        conversation = self.pruned()
        before = conversation.get_messages()
        await conversation.compact()
        assert (conversation.get_messages(), len(conversation.history)) == (before, 2)

    async def test_a_summary_that_fails_forgets_nothing(self) -> None:
        """Its error is the caller's to see."""

        def fail(_messages: Sequence[Message]) -> str:
            raise RuntimeError("no")

        conversation = self.pruned()
        conversation.summarize = fail
        with pytest.raises(RuntimeError, match="no"):
            await conversation.compact()
        assert len(conversation.history) == 6

    async def test_what_is_said_meanwhile_is_kept(self) -> None:
        """A summary takes time, and people go on talking."""
        conversation = self.pruned()

        async def summarize(_messages: Sequence[Message]) -> str:
            conversation.add_user_message("meanwhile")
            return "summary"

        conversation.summarize = summarize
        await conversation.compact()
        assert [message.text for message in conversation.history] == ["three", "answer three", "meanwhile"]


# -- saving

text = st.text(max_size=8)
some = st.none() | text
raw = st.recursive(
    st.none() | st.booleans() | st.integers() | text, lambda leaf: st.lists(leaf, max_size=2), max_leaves=4
)
documents = st.dictionaries(text, raw, max_size=3)
data = st.binary(min_size=1, max_size=8)
texts = st.builds(TextPart, text, phase=some, item_id=some, citations=st.lists(documents, max_size=2).map(list))
images = st.builds(ImagePart, url=text) | st.builds(ImagePart, data=data, media_type=st.just("image/png"))
files = (
    st.builds(FilePart, url=text, filename=some)
    | st.builds(FilePart, file_id=text, citations=st.none() | st.booleans())
    | st.builds(FilePart, data=data, media_type=some, context=some)
)
hits = st.builds(SearchHit, text=some, score=st.none() | st.floats(0, 1), raw=documents)
parts: st.SearchStrategy[Part] = st.one_of(
    texts.filter(lambda part: bool(part.citations)) | st.builds(TextPart, text),
    images,
    files,
    st.builds(AudioPart, data=data, format=text.filter(bool), transcript=some) | st.builds(AudioPart, id=text),
    st.builds(ReasoningPart, text=text, issuer=some, signature=some, id=some, redacted=st.booleans(), raw=raw),
    st.builds(RefusalPart, text),
    st.builds(
        ToolCall,
        id=text,
        name=text,
        arguments=text,
        complete=st.booleans(),
        id_generated=st.booleans(),
        item_id=some,
        caller=st.none() | documents,
    ),
    st.builds(
        ToolResultPart,
        tool_call_id=text,
        content=text | st.lists(st.builds(TextPart, text) | images | files, max_size=2).map(tuple),
        is_error=st.booleans(),
        name=some,
    ),
    st.builds(
        HostedToolPart, kind=text, issuer=text, id=some, hits=st.lists(hits, max_size=2).map(tuple), raw=documents
    ),
)
messages = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    text | st.lists(parts, max_size=3).map(tuple),
    name=st.none() | text.filter(bool),
    cache=st.sampled_from([None, "default", "1h"]),
)


@given(said=st.lists(messages, max_size=4), system=some, summary=some)
def test_a_saved_conversation_is_the_same(said: list[Message], system: str | None, summary: str | None) -> None:
    """Every part with every field goes through JSON and back."""
    conversation = Conversation(system, max_turns=3, token_budget=500)
    conversation.summary = summary
    conversation.add(*said)
    again = Conversation.from_json(conversation.to_json())
    assert list(again.history) == said
    assert (again.system, again.summary, again.max_turns, again.token_budget) == (system, summary, 3, 500)


def test_it_goes_through_a_file(tmp_path: Path) -> None:
    """Saved by one process, loaded by another."""
    conversation = Conversation("Sei kurz. ✓")
    conversation.add_user_message([ImagePart(data=b"\x89PNG", media_type="image/png")])
    conversation.save(tmp_path / "talk.json")
    assert Conversation.load(tmp_path / "talk.json").get_messages() == conversation.get_messages()


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{}",
        '{"format": "avionics-conversation-1", "messages": [{"content": "no role"}]}',
        '{"format": "avionics-conversation-1", "messages": [{"role": "user", "content": [{"type": "hologram"}]}]}',
        '{"format": "avionics-conversation-1", "messages": [{"role": "user", "content": [{"type": "text", "a": 1}]}]}',
        '{"format": "avionics-conversation-1", "messages": 5}',
        '{"format": "avionics-conversation-1", "messages": [{"role": "nobody"}]}',
    ],
)
def test_what_is_no_saved_conversation_is_one_clear_error(document: str) -> None:
    """Neither a traceback from inside nor a conversation with holes."""
    with pytest.raises(InvalidRequestError, match=r"not a saved|Message\.role"):
        Conversation.from_json(document)


def test_json_values_are_kept_as_they_are() -> None:
    """What a backend said in its own form goes back to it unchanged."""
    own: JSONValue = {"type": "reasoning", "encrypted": ["a", {"b": None}]}
    conversation = Conversation()
    conversation.add_assistant_message([ReasoningPart(issuer="openai", signature="s", raw=own)])
    (message,) = Conversation.from_json(conversation.to_json()).history
    (part,) = message.parts
    assert isinstance(part, ReasoningPart)
    assert part.raw == own
