"""A slot reads the one text in which chunks differ, exactly as a parser would, or leaves them to the parser."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airframe.protocols.openai_chat import OpenAIChatProtocol
from airframe.protocols.protocol import DecodeOptions
from airframe.protocols.text_slot import TextSlot
from airframe.types.events import StreamEvent
from airframe.types.result import InferenceResult

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def chunk(text: object, **more: object) -> dict[str, Any]:
    return {"id": "1", "choices": [{"delta": {"content": text, **more}}], "content": 7}


def slot_of(data: bytes) -> TextSlot | None:
    document = json.loads(data)
    slot = TextSlot.find(data, document, document["choices"][0]["delta"], "content")
    assert document == json.loads(data), "the document was changed"
    return slot


@given(first=TEXTS, second=TEXTS, ascii_only=st.booleans(), spaces=st.sampled_from([(",", ":"), (", ", ": ")]))
def test_what_is_read_is_what_was_said(first: str, second: str, ascii_only: bool, spaces: tuple[str, str]) -> None:
    """Any text comes out of the slot that any other text made, escaped or not."""

    def encoded(text: str) -> bytes:
        return json.dumps(chunk(text), ensure_ascii=ascii_only, separators=spaces).encode()

    slot = slot_of(encoded(first))
    assert slot is not None
    assert slot.read(encoded(second)) == second


@given(st.binary(max_size=40))
def test_what_the_slot_reads_a_parser_reads_too(inside: bytes) -> None:
    """Whatever bytes stand in the slot, they are a text for both or for neither."""
    before, after = json.dumps(chunk("|")).encode().split(b'"|"')
    slot = slot_of(before + b'"|"' + after)
    assert slot is not None
    try:
        document = json.loads(before + inside + after)
    except ValueError:
        document = None
    text = slot.read(before + inside + after)
    assert text is None or (document is not None and document["choices"][0]["delta"]["content"] == text)
    assert text is None or document == chunk(text)


@pytest.mark.parametrize(
    "other",
    [
        json.dumps(chunk("b", refusal="no")).encode(),
        json.dumps({**chunk("b"), "id": "2"}).encode(),
        json.dumps(chunk(None)).encode(),
        json.dumps(chunk(5)).encode(),
        json.dumps(chunk("b"))[:-1].encode(),
        json.dumps(chunk("b"))[:-1].replace('"b"', '"b').encode(),
        b"[DONE]",
        b"",
    ],
)
def test_a_chunk_that_says_more_is_left_to_the_parser(other: bytes) -> None:
    """Another id, another field, another type, a cut: None."""
    slot = slot_of(json.dumps(chunk("a")).encode())
    assert slot is not None
    assert slot.read(other) is None


def test_overlapping_ends_are_no_text() -> None:
    """A chunk that is shorter than what stands around the slot cannot be one."""
    document: dict[str, object] = {"content": "x", "b": "content"}
    data = b'{"content":"","b":"content"}'
    slot = TextSlot.find(data, {**document, "content": ""}, document, "content")
    assert slot is None or slot.read(b'{"content":","b":"content"}') is None


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[{"delta":{"content":"a","content":"b"}}],"content":7}',
        b'{"note":{"content":"a"},"choices":[{"delta":{"content":"a"}}]}',
        b'{"note":"\\"content\\":\\"a\\"","choices":[{"delta":{"content":null}}]}',
        b'{"choices":[{"delta":{"c\\u006fntent":"a"}}]}',
    ],
)
def test_a_text_in_another_place_makes_no_slot(data: bytes) -> None:
    """The first thing that looks like the field may be another one: then there is no slot."""
    assert slot_of(data) is None


WORDS = st.sampled_from(["", "a", "b", 'c"', "\n", "é", "<think>", "</think>"])
ARGUMENTS = st.sampled_from(["{}", "a", ""])
DELTAS = st.one_of(
    st.fixed_dictionaries({"content": WORDS}),
    st.fixed_dictionaries({"role": st.just("assistant"), "content": WORDS}),
    st.fixed_dictionaries({"reasoning_content": WORDS}),
    st.fixed_dictionaries({"content": WORDS, "reasoning": WORDS}),
    st.fixed_dictionaries({"refusal": WORDS}),
    st.fixed_dictionaries(
        {
            "tool_calls": st.lists(
                st.fixed_dictionaries(
                    {
                        "index": st.sampled_from([0, None, 1]),
                        "id": st.sampled_from([None, "", "x"]),
                        "function": st.fixed_dictionaries(
                            {"name": st.sampled_from([None, "look"]), "arguments": ARGUMENTS}
                        ),
                    }
                ),
                min_size=1,
                max_size=2,
            )
        }
    ),
)
CHUNKS = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["1", "1", "1", "2"]),
        "choices": st.tuples(
            st.fixed_dictionaries(
                {
                    "index": st.sampled_from([0, 0, 0, 1]),
                    "delta": DELTAS,
                    "logprobs": st.sampled_from([None, None, {"content": [{"token": "a"}]}]),
                }
            )
        ),
    }
)


def heard(chunks: Sequence[dict[str, Any]], *, alike: bool) -> tuple[list[StreamEvent], int, InferenceResult]:
    """What a decoder makes of the chunks, into each of which a number is put unless they may be `alike`."""
    decoder = OpenAIChatProtocol().stream_decoder(DecodeOptions(markup="think"))
    events: list[StreamEvent] = []
    for number, document in enumerate(chunks):
        padded = document if alike else {"obfuscation": str(number), **document}
        decoder.feed(b"data: " + json.dumps(padded).encode() + b"\n\n", events)
    return events, decoder.progress, decoder.result()


@given(
    kinds=st.lists(CHUNKS, min_size=1, max_size=4),
    order=st.lists(st.integers(0, 3), min_size=2, max_size=30),
    data=st.data(),
)
def test_chunks_that_repeat_are_heard_as_if_each_were_read(
    kinds: list[dict[str, Any]], order: list[int], data: st.DataObject
) -> None:
    """Text, reasoning and arguments in any order: the same events, progress and result with and without repetition."""
    chunks: list[dict[str, Any]] = []
    for position in order:
        document = json.loads(json.dumps(kinds[position % len(kinds)]))
        delta = document["choices"][0]["delta"]
        if "content" in delta:
            delta["content"] = data.draw(WORDS)
        for call in delta.get("tool_calls", ()):
            call["function"]["arguments"] = data.draw(ARGUMENTS)
        chunks.append(document)
    assert heard(chunks, alike=True) == heard(chunks, alike=False)


@pytest.mark.parametrize("index", [0, None])
def test_a_call_that_is_made_three_times_is_three_calls(index: int | None) -> None:
    """A server without ids says the same whole call again, and means another one."""
    call = {"index": index, "function": {"name": "look", "arguments": "{}"}}
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}] * 3
    events, _, result = heard(chunks, alike=True)
    assert len(result.tool_calls) == len(events) == 3
