"""The backend sees placeholders, and the caller what they stand for."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airframe.types import (
    FilePart,
    ImagePart,
    InferenceRequest,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolResultPart,
)
from avionics.errors import ConfigurationError
from avionics.llm.message_json import message_to_json
from avionics.llm.middleware import DETECTORS, RedactPII, pattern_detector
from avionics.llm.middleware.placeholders import Placeholders, RestoringTransform
from avionics.llm.middleware.rehearsal import Rehearsal

pytestmark = pytest.mark.anyio

MAIL, CARD = "ann@example.org", "4111 1111 1111 1111"


def sent(backend: Rehearsal) -> InferenceRequest:
    """The last request that left."""
    return backend.asked[-1].request


async def test_there_and_back(streamed: bool) -> None:
    """Values leave as placeholders, equal ones as the same, and come back in the answer."""
    backend = Rehearsal(["Wrote to [EMA", "IL_1] and [", "EMAIL_2], not [EMAIL_3] [", "x]."])
    question = f"Write to {MAIL} and bob@example.org, then to {MAIL} again."
    played = await backend.play(RedactPII(), question=question, streamed=streamed)
    assert sent(backend).messages[-1].text == "Write to [EMAIL_1] and [EMAIL_2], then to [EMAIL_1] again."
    text = "Wrote to ann@example.org and bob@example.org, not [EMAIL_3] [x]."
    assert played.result.text == text
    assert "".join(played.pieces) == (text if streamed else "")


async def test_every_text_of_a_request(streamed: bool) -> None:
    """Wherever it stands: in parts, in results of tools, in arguments, beside the messages. The rest is unchanged."""
    image = ImagePart(data=MAIL.encode(), media_type="image/png")
    signed = ReasoningPart(text=MAIL, issuer="anthropic", signature="c2ln")
    messages = [
        Message("system", f"You serve {MAIL}."),
        Message("user", (TextPart(MAIL), image, FilePart(url="https://example.org", context=MAIL))),
        Message(
            "assistant",
            (
                ReasoningPart(text=MAIL),
                signed,
                RefusalPart(MAIL),
                ToolCall(id="1", name="f", arguments=json.dumps({"to": [MAIL], "card": 4111111111111111, MAIL: None})),
                ToolCall(id="2", name="f", arguments=f"broken {MAIL}"),
                ToolCall(id="3", name="f", arguments='{"a":  1}'),
            ),
        ),
        Message.tool("1", f"sent to {MAIL}"),
        Message("tool", (ToolResultPart(tool_call_id="2", content=(TextPart(MAIL), image)),)),
    ]
    backend = Rehearsal()
    await backend.play(
        RedactPII(), messages=messages, user=MAIL, metadata={"who": MAIL}, temperature=0, streamed=streamed
    )
    request = sent(backend)
    text = json.dumps([message_to_json(message) for message in request.messages])
    assert (text.count(MAIL), text.count("[EMAIL_1]")) == (1, 10)  # the signed thought keeps it
    assert (request.user, request.metadata, request.temperature) == ("[EMAIL_1]", {"who": "[EMAIL_1]"}, 0)
    assistant = request.messages[2].parts
    assert assistant[1] is signed
    arguments = [part.arguments for part in assistant if isinstance(part, ToolCall)]
    assert json.loads(arguments[0]) == {"to": ["[EMAIL_1]"], "card": "[CARD_1]", "[EMAIL_1]": None}
    assert arguments[1:] == ["broken [EMAIL_1]", '{"a":  1}']


async def test_every_text_of_an_answer(streamed: bool) -> None:
    """Thoughts and refusals, and arguments, which stay JSON whatever the value holds."""
    key = "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----"
    parts: list[Part] = [
        ReasoningPart(text="[EMAIL_1]"),
        RefusalPart("[EMAIL_1]"),
        ToolCall(id="1", name="f", arguments='{"to":"[EMAIL_1]", "key": "[KEY_1]"}'),
    ]
    backend = Rehearsal([], parts=parts)
    played = await backend.play(RedactPII(), question=f"{MAIL} {key}", streamed=streamed)
    assert (played.result.reasoning, played.result.refusal) == (MAIL, MAIL)
    (call,) = played.result.tool_calls
    assert call.parsed_arguments == {"to": MAIL, "key": key}


async def test_a_placeholder_that_stands_there_already_is_not_used(streamed: bool) -> None:
    """What the caller wrote like a placeholder comes back as it was written."""
    backend = Rehearsal(["[EMAIL_1] is not [EMAIL_2]"])
    played = await backend.play(RedactPII(), question=f"Is [EMAIL_1] {MAIL}?", streamed=streamed)
    assert sent(backend).messages[-1].text == "Is [EMAIL_1] [EMAIL_2]?"
    assert played.result.text == f"[EMAIL_1] is not {MAIL}"


async def test_a_conversation_is_redacted_the_same_way_each_time() -> None:
    """A turn later its beginning reads as before, so caches of prompts and answers know it again."""
    backend, redact = Rehearsal(["[EMAIL_1], [CARD_1]"]), RedactPII()
    first = await backend.play(redact, question=f"{MAIL}, {CARD}")
    history = [Message("user", f"{MAIL}, {CARD}"), first.result.message]
    await backend.play(redact, messages=history, question="And bob@example.org?")
    assert first.result.text == f"{MAIL}, {CARD}"
    texts = [message.text for message in sent(backend).messages]
    assert texts == ["[EMAIL_1], [CARD_1]", "[EMAIL_1], [CARD_1]", "And [EMAIL_2]?"]


async def test_calls_do_not_share_values(streamed: bool) -> None:
    """One call's placeholder is nothing to another one, through the same middleware."""
    backend, redact = Rehearsal(["[EMAIL_1]"]), RedactPII()
    await backend.play(redact, question=MAIL, streamed=streamed)
    assert (await backend.play(redact, question="nobody", streamed=streamed)).result.text == "[EMAIL_1]"


async def test_detectors_of_ones_own(streamed: bool) -> None:
    """Beside the others; none looks into the placeholders of another one."""
    badge = pattern_detector(re.compile(r"\d+|EMAIL"))
    backend = Rehearsal(["[EMAIL_1] [BADGE_1]"])
    played = await backend.play(RedactPII({**DETECTORS, "BADGE": badge}), question=f"{MAIL} has 77", streamed=streamed)
    assert sent(backend).messages[-1].text == "[EMAIL_1] has [BADGE_1]"
    assert played.result.text == f"{MAIL} 77"
    with pytest.raises(ConfigurationError, match="capitals"):
        RedactPII({"badge": badge})


VALUES = st.sampled_from([MAIL, "bob@example.org", CARD, "+15551234567", "sk-abcdefghijklmnopqrstuvwx"])
WORDS = st.sampled_from([" ", "[", "]", "[EMAIL_", "[EMAIL_1]", "[CARD_1", "1", "\n", "and ", '"'])


@given(st.lists(st.tuples(VALUES, WORDS)), st.data())
def test_whatever_is_said_comes_back_however_it_is_cut(said: list[tuple[str, str]], data: st.DataObject) -> None:
    """For any text, the echo of what was sent is restored to the text itself, from any pieces."""
    text = "".join(f" {value} {word}" for value, word in said)
    placeholders = Placeholders(DETECTORS, text)
    redacted = placeholders.redact(text)
    assert not any(value in redacted for value, _ in said)
    assert placeholders.restore(redacted) == text
    transform = RestoringTransform(placeholders)
    told, rest = "", redacted
    while rest:
        length = data.draw(st.integers(1, len(rest)))
        piece, rest = rest[:length], rest[length:]
        told += transform.feed(piece)
        assert len(transform.held) < len("[EMAIL_1000]"), "it holds back no more than it must"
    assert told + transform.finish() == text
