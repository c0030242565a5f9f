"""Reasoning and tool calls that are marked in plain text, split out of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airframe.protocols.answer import AnswerDraft
from airframe.protocols.protocol import DecodeOptions
from airframe.types import (
    FinishReason,
    InferenceWarning,
    Markup,
    Part,
    ReasoningPart,
    StreamEvent,
    StreamEventType,
    TextPart,
    ToolCall,
)

HARMONY_TOOL_CALL = (
    "<|channel|>analysis<|message|>They want the weather.<|end|>"
    "<|start|>assistant<|channel|>commentary<|message|>One moment.<|end|>"
    "<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"
    '{"city":"Oslo"}<|call|>'
)
HARMONY_ANSWER = (
    "<|channel|>analysis<|message|>A greeting.<|end|><|start|>assistant<|channel|>final<|message|>Hello<|return|>"
)


def thought(text: str) -> ReasoningPart:
    return ReasoningPart(text=text, issuer="test")


def called(number: int, name: str, arguments: str) -> ToolCall:
    return ToolCall(id=f"call_{number}", name=name, arguments=arguments, id_generated=True)


MARKED: list[tuple[Markup, str, tuple[Part, ...]]] = [
    ("none", "a <think> b", (TextPart("a <think> b"),)),
    ("think", "plain, 1 < 2", (TextPart("plain, 1 < 2"),)),
    ("think", "<think>\nFirst, ...\n</think>\n\nHello", (thought("First, ...\n"), TextPart("Hello"))),
    ("think", "One <think>hm</think>two", (TextPart("One "), thought("hm"), TextPart("two"))),
    ("think", "<think></think>Hello", (TextPart("Hello"),)),
    ("think", "<think>cut", (thought("cut"),)),
    ("think", "Hello <thin", (TextPart("Hello <thin"),)),
    ("think_open", "First, ...</think>\nHello", (thought("First, ..."), TextPart("Hello"))),
    ("think_open", "<think>First</think>Hello", (thought("First"), TextPart("Hello"))),
    ("harmony", "Hello, to be <b>bold</b>", (TextPart("Hello, to be <b>bold</b>"),)),
    ("harmony", HARMONY_ANSWER, (thought("A greeting."), TextPart("Hello"))),
    (
        "harmony",
        HARMONY_TOOL_CALL,
        (thought("They want the weather."), TextPart("One moment."), called(0, "get_weather", '{"city":"Oslo"}')),
    ),
    (
        "harmony",
        " to=functions.look<|channel|>commentary json<|message|>{}<|call|>",
        (called(0, "look", "{}"),),
    ),
    (
        "harmony",
        "<|channel|>analysis to=python code<|message|>1+1<|call|>",
        (called(0, "python", "1+1"),),
    ),
    ("harmony", "<|channel|>final<|message|>Hel<|st", (TextPart("Hel<|st"),)),
    ("harmony", "<|start|>assistant", (TextPart("<|start|>assistant"),)),
]


@dataclass(frozen=True)
class Split:
    content: tuple[Part, ...]
    text: str
    reasoning: str
    arguments: str
    warnings: tuple[InferenceWarning, ...]


def split(markup: Markup, pieces: Iterable[str]) -> Split:
    """What becomes of a text that comes in these pieces: the parts of the answer, and what the events said."""
    draft = AnswerDraft(issuer="test", options=DecodeOptions(markup=markup))
    events: list[StreamEvent] = []
    for piece in pieces:
        draft.text(piece, events)
    draft.end_text(events)
    return Split(
        content=draft.content(complete=True),
        text="".join(event.text for event in events if event.type is StreamEventType.TOKEN),
        reasoning="".join(event.text for event in events if event.type is StreamEventType.REASONING),
        arguments="".join(event.arguments for event in events if event.type is StreamEventType.TOOL_CALL_DELTA),
        warnings=tuple(draft.warnings()),
    )


@pytest.mark.parametrize(("markup", "text", "content"), MARKED)
def test_split(markup: Markup, text: str, content: tuple[Part, ...]) -> None:
    """Thoughts, calls and words come apart, whole or character by character or cut in two anywhere."""
    assert split(markup, [text]).content == content
    assert split(markup, text).content == content
    for place in range(len(text)):
        assert split(markup, [text[:place], text[place:]]).content == content


@pytest.mark.parametrize(("markup", "text", "content"), MARKED)
def test_events_say_what_the_answer_says(markup: Markup, text: str, content: tuple[Part, ...]) -> None:
    """The events of a split text add up to the parts of the answer."""
    said = split(markup, text)
    assert said.text == "".join(part.text for part in content if isinstance(part, TextPart))
    assert said.reasoning == "".join(part.text for part in content if isinstance(part, ReasoningPart))
    assert said.arguments == "".join(part.arguments for part in content if isinstance(part, ToolCall))


SNIPPETS = st.sampled_from(
    [
        *("<think>", "</think>", "<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|call|>", "<|constrain|>"),
        *("analysis", "final", " to=functions.f", "assistant", "<", "|", ">", " ", "\n", "x" * 300, "{}"),
    ]
)


@pytest.mark.parametrize("markup", ["think", "think_open", "harmony"])
@given(snippets=st.lists(SNIPPETS, max_size=12), cuts=st.sets(st.integers(0, 400), max_size=8))
def test_cuts_do_not_matter(markup: Markup, snippets: list[str], cuts: set[int]) -> None:
    """However tags and words are mixed up, the same comes out for every way of cutting them."""
    text = "".join(snippets)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    cut = split(markup, [text[begin:end] for begin, end in pairwise(places)])
    assert cut.content == split(markup, [text]).content


@pytest.mark.parametrize("markup", ["think", "harmony"])
def test_only_the_beginning_of_a_tag_is_held_back(markup: Markup) -> None:
    """What cannot become a tag is said at once."""
    draft = AnswerDraft(issuer="test", options=DecodeOptions(markup=markup))
    events: list[StreamEvent] = []
    for piece in ("Is 1 <", " 2", "?", " <b"):
        draft.text(piece, events)
    assert "".join(event.text for event in events if event.type is StreamEventType.TOKEN) == "Is 1 < 2? <b"


def test_what_is_held_back_is_in_a_partial_answer() -> None:
    """A stream that breaks off inside what may be a tag loses nothing."""
    draft = AnswerDraft(issuer="test", options=DecodeOptions(markup="think"))
    draft.text("Hello <thi", [])
    assert "".join(part.text for part in draft.content(complete=False) if isinstance(part, TextPart)) == "Hello <thi"


def test_a_call_in_the_text_is_what_the_model_stopped_for() -> None:
    """`stop` becomes `tool_calls` when the text held a call, and stays what it is when it did not."""
    with_call = AnswerDraft(issuer="test", options=DecodeOptions(markup="harmony"))
    with_call.text(HARMONY_TOOL_CALL, [])
    assert with_call.finish_reason(FinishReason.STOP) is FinishReason.TOOL_CALLS
    assert with_call.finish_reason(FinishReason.LENGTH) is FinishReason.LENGTH
    without = AnswerDraft(issuer="test", options=DecodeOptions(markup="harmony"))
    without.text(HARMONY_ANSWER, [])
    assert without.finish_reason(FinishReason.STOP) is FinishReason.STOP


@pytest.mark.parametrize(
    ("markup", "text", "token"),
    [
        ("none", "Hello<|im_end|>", "<|im_end|>"),
        ("none", "<think>Hm</think>Hello", "</think>, <think>"),
        ("think", "Hm</think>Hello", "</think>"),
        ("think", "Hello<end_of_turn>", "<end_of_turn>"),
        ("harmony", "<|start|>assistant", "<|start|>"),
    ],
)
def test_stray_control_tokens_are_warned_of(markup: Markup, text: str, token: str) -> None:
    """Control tokens in the text say that the model or its markup was misunderstood; they stay where they are."""
    said = split(markup, [text])
    (warning,) = said.warnings
    assert warning.subject == "markup"
    assert f"control tokens: {token};" in warning.message
    assert said.text == text


def test_plain_text_is_not_warned_of() -> None:
    """Code and comparisons are no control tokens."""
    assert split("none", ["if a < b and c | d > <e>: <|>"]).warnings == ()


def test_a_thought_without_end_is_warned_of() -> None:
    """A model that never came out of its thought has said nothing, and the result tells why."""
    (warning,) = split("think", ["<think>Hm"]).warnings
    assert "inside a thought" in warning.message
    assert split("think", ["<think>Hm</think>"]).warnings == ()
