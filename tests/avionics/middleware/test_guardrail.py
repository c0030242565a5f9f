"""What a guardrail objects to is not sent, or not seen."""

from __future__ import annotations

import pickle

import pytest
from anyio.lowlevel import checkpoint

from airframe.types import InferenceRequest, Message, ToolCall
from avionics.errors import GuardrailError, MiddlewareError
from avionics.llm.middleware import CallContext, Guardrail, LogCalls, MiddlewareChain, Objection, RedactPII
from avionics.llm.middleware.rehearsal import Rehearsal

pytestmark = pytest.mark.anyio


def no_swords(text: str) -> str | None:
    return "it speaks of swords" if "sword" in text else None


async def later(text: str) -> str | None:
    await checkpoint()
    return no_swords(text)


@pytest.mark.parametrize("objection", [no_swords, later])
async def test_a_request_is_not_sent(streamed: bool, backend: Rehearsal, objection: Objection) -> None:
    """The error says which rule, which side and why; the rule may be a coroutine function."""
    rule = Guardrail("peace", request=objection)
    with pytest.raises(GuardrailError, match="peace objects to the request: it speaks of swords") as raised:
        await backend.play(rule, messages=[Message("system", "Sell swords.")], streamed=streamed)
    assert (raised.value.guardrail, raised.value.side, backend.asked) == ("peace", "request", [])
    await backend.play(rule, question="Sell bread.", streamed=streamed)
    assert len(backend.asked) == 1


async def test_an_answer_is_not_seen(streamed: bool) -> None:
    """Nothing of it: the text of a stream is held back until all of it has passed; arguments of tools count."""
    rule = Guardrail("peace", answer=no_swords)
    call = ToolCall(id="1", name="buy", arguments='{"what": "sword"}')
    for backend in (Rehearsal(["Take a sw", "ord."]), Rehearsal(["Take this."], parts=[call])):
        with pytest.raises(GuardrailError) as raised:
            await backend.play(rule, streamed=streamed)
        assert raised.value.side == "answer"
    played = await Rehearsal(["Take ", "bread."]).play(rule, streamed=streamed)
    assert played.result.text == "Take bread."
    assert played.pieces == (["Take bread."] if streamed else ())


@pytest.mark.parametrize(("hold", "seen"), [(True, []), (False, ["Take a sw", "ord."])])
async def test_a_stream_may_be_told_before_it_is_judged(hold: bool, seen: list[str]) -> None:
    """Whoever wants speed sees the text, and the error at the end."""
    chain = MiddlewareChain([Guardrail("peace", answer=no_swords, hold=hold)])
    backend = Rehearsal(["Take a sw", "ord."])
    request = InferenceRequest(messages=[Message("user", "What now?")])
    stream = chain.stream(CallContext(request=request, call_id="c"), backend.stream)
    assert [await stream.__anext__() for _ in seen] == seen
    with pytest.raises(GuardrailError):
        await stream.__anext__()


async def test_a_rule_that_fails(streamed: bool, backend: Rehearsal) -> None:
    """By default nothing passes while it does; who prefers availability says so."""

    def broken(text: str) -> str | None:
        raise KeyError(text)

    with pytest.raises(MiddlewareError):
        await backend.play(Guardrail("broken", request=broken), streamed=streamed)
    assert backend.asked == []
    skipped = Guardrail("broken", request=broken, answer=broken, on_failure="skip")
    assert (await backend.play(skipped, streamed=streamed)).result.text == "Because."


async def test_all_of_them_together(streamed: bool) -> None:
    """Inside of the redaction a rule sees placeholders, outside of it the values."""
    backend, redact = Rehearsal(["To [EMAIL_1]."]), RedactPII()

    def no_mail(text: str) -> str | None:
        return "an address" if "@" in text else None

    inside = Guardrail("inside", request=no_mail, answer=no_mail)
    played = await backend.play(LogCalls(), redact, inside, question="ann@example.org", streamed=streamed)
    assert played.result.text == "To ann@example.org."
    with pytest.raises(GuardrailError):
        await backend.play(Guardrail("outside", answer=no_mail), redact, question="ann@example.org", streamed=streamed)


def test_the_error_pickles() -> None:
    """It crosses processes as every other one does."""
    error: object = pickle.loads(pickle.dumps(GuardrailError("no", guardrail="peace", side="answer")))
    assert isinstance(error, GuardrailError)
    assert (str(error), error.guardrail, error.side) == ("no", "peace", "answer")
