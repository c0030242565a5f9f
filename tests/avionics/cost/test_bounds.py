"""What a broken attempt used and cost is estimated within bounds, marked, and added up with its bounds."""

from __future__ import annotations

from decimal import Decimal

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airframe.errors import AirframeError, ErrorCategory, Phase
from airframe.testing import Answer, Failure
from airframe.types import (
    ImagePart,
    InferenceRequest,
    InferenceResult,
    Message,
    TextPart,
    ToolSpec,
    Usage,
)
from avionics.errors import LLMError
from avionics.llm import CostCalculator
from avionics.llm.cost_calculator import Terms
from avionics.llm.prices import PriceTable
from avionics.llm.spending import attempt_cost
from avionics.llm.usage_estimate import Consumption, broken_consumption, may_be_billed
from avionics.settings import PriceRow
from avionics.testing import ScriptedGateway

PROMPT = "Why is the sky blue? " * 20  # 420 bytes
QUESTION = InferenceRequest(messages=[Message("user", PROMPT)], max_tokens=500)
SAID = InferenceResult(content=[TextPart("Because light is scattered, and blue light most of all.")])  # 55 bytes
TABLE = PriceTable(
    [
        PriceRow(
            input_per_million=Decimal(10),
            cache_read_per_million=Decimal(1),
            cache_write_per_million=Decimal(20),
            output_per_million=Decimal(100),
        )
    ]
)


def test_a_cut_answer_is_estimated_within_bounds() -> None:
    """Likely are 4 bytes in a token; the bounds are 8 and 1.5, and the longest answer that was allowed."""
    found = broken_consumption(QUESTION, SAID, pieces=12, sent=True)
    assert found.source == "estimated"
    assert found.usage == Usage(input_tokens=105, output_tokens=14, total_tokens=119)
    assert found.low == Usage(input_tokens=52, output_tokens=6, total_tokens=58, cache_read_tokens=52)
    assert found.high is not None
    assert (found.high.input_tokens, found.high.cache_write_tokens) == (280 + 32, 280 + 32)
    assert found.high.output_tokens == 500


def test_what_the_backend_said_at_the_beginning_is_kept() -> None:
    """Anthropic counts the prompt before it answers, and the answer only at its end: so far it is a lower bound."""
    begun = InferenceResult(content=SAID.content, usage=Usage(input_tokens=99, cache_read_tokens=80, output_tokens=1))
    found = broken_consumption(QUESTION, begun, pieces=3, sent=True)
    for usage in (found.low, found.usage, found.high):
        assert usage is not None
        assert (usage.input_tokens, usage.cache_read_tokens) == (99, 80)
    assert found.usage is not None
    assert (found.source, found.usage.output_tokens) == ("estimated", 14)


def test_a_count_up_to_the_cut_is_no_estimate() -> None:
    """llama.cpp counts with every piece."""
    counted = InferenceResult(content=SAID.content, usage=Usage(input_tokens=99, output_tokens=20))
    found = broken_consumption(QUESTION, counted, pieces=20, sent=True)
    assert (found.source, found.usage, found.low, found.high) == ("reported", *[counted.usage] * 3)


def test_nothing_came_of_what_was_sent() -> None:
    """The prompt was probably read; the answer may have been anything up to what was allowed, or nothing."""
    found = broken_consumption(QUESTION, None, pieces=0, sent=True)
    assert (found.source, found.usage) == ("estimated", Usage(input_tokens=105, output_tokens=0, total_tokens=105))
    assert found.high is not None
    assert found.high.output_tokens == 500
    unlimited = InferenceRequest(messages=QUESTION.messages)
    assert broken_consumption(unlimited, None, pieces=0, sent=True).high is None
    assert broken_consumption(QUESTION, None, pieces=0, sent=False) == Consumption()


def test_what_is_no_text_has_no_bounds() -> None:
    """How many tokens an image is, the model decides."""
    image = ImagePart(data=b"png", media_type="image/png")
    request = InferenceRequest(messages=[Message("user", [image, TextPart("What is it?")])], max_tokens=10)
    found = broken_consumption(request, SAID, pieces=1, sent=True)
    assert found.high is None
    assert found.low is not None


def test_tools_widen_the_upper_bound() -> None:
    """Their descriptions are part of the prompt."""
    with_tool = InferenceRequest(messages=QUESTION.messages, tools=[ToolSpec(name="look", description="x" * 1500)])
    plain, described = (
        broken_consumption(request, SAID, pieces=1, sent=True).high
        for request in (InferenceRequest(messages=QUESTION.messages), with_tool)
    )
    assert plain is not None
    assert described is not None
    assert (described.input_tokens or 0) >= (plain.input_tokens or 0) + 1000


@given(
    prompt=st.text(max_size=300),
    said=st.text(max_size=300),
    pieces=st.integers(0, 400),
    reported=st.tuples(st.none() | st.integers(0, 500), st.none() | st.integers(0, 500)),
    most=st.none() | st.integers(1, 1000),
)
def test_what_is_likely_lies_within_its_bounds(
    prompt: str, said: str, pieces: int, reported: tuple[int | None, int | None], most: int | None
) -> None:
    """Low, likely and high are in order, in tokens and in money, whatever came."""
    request = InferenceRequest(messages=[Message("user", prompt)], max_tokens=most)
    usage = Usage(input_tokens=reported[0], output_tokens=reported[1])
    answer = InferenceResult(content=[TextPart(said)] if said else [], usage=usage)
    found = broken_consumption(request, answer, pieces=pieces, sent=True)
    cost = attempt_cost(CostCalculator(TABLE), "x", ["m"], found, reported=None, terms=Terms())
    bounds = [figure for figure in (cost.low_usd, cost.usd, cost.high_usd) if figure is not None]
    assert bounds == sorted(bounds)
    if found.low is not None and found.usage is not None and found.source == "estimated":
        assert (found.low.input_tokens or 0) <= (found.usage.input_tokens or 0)
        assert (found.low.output_tokens or 0) <= (found.usage.output_tokens or 0)


@pytest.mark.parametrize(
    ("category", "status", "phase", "billed"),
    [
        (ErrorCategory.TIMEOUT, None, Phase.SENT, True),
        (ErrorCategory.TIMEOUT, None, Phase.BEFORE_SEND, False),
        (ErrorCategory.CONNECTION, None, None, False),
        (ErrorCategory.PROTOCOL, 200, None, True),
        (ErrorCategory.CANCELLED, None, None, True),
        (ErrorCategory.OVERLOADED, 503, Phase.HEADERS, False),
        (ErrorCategory.TIMEOUT, 504, Phase.HEADERS, False),
        (None, 200, None, False),
    ],
)
def test_who_may_send_a_bill(
    category: ErrorCategory | None, status: int | None, phase: Phase | None, billed: bool
) -> None:
    """Whoever was sent a request, and neither answered nor refused it."""
    assert may_be_billed(category, status, phase) is billed


@pytest.mark.anyio
class TestCalls:
    """The bounds of a call are the sums of its attempts'."""

    async def test_a_cut_stream(self) -> None:
        """The error, its attempt and the end of the call say how sure the cost is."""
        gateway = ScriptedGateway(
            prices=TABLE.rows, openai=[Failure(ErrorCategory.CONNECTION, chunks=["Because ", "light"])]
        )
        with pytest.raises(LLMError):
            async for _ in gateway.complete_stream(PROMPT, max_tokens=500):
                pass
        end = gateway.recorder.end
        (attempt,) = end.attempts
        assert (attempt.usage_source, attempt.cost_source) == ("estimated", "user")
        assert (attempt.price_version or "").startswith("user ")
        assert attempt.cost_usd == (105 * Decimal(10) + 4 * Decimal(100)) / 1_000_000
        assert attempt.cost_low_usd == (52 * Decimal(1) + 1 * Decimal(100)) / 1_000_000
        assert attempt.cost_high_usd == (312 * Decimal(20) + 500 * Decimal(100)) / 1_000_000
        assert (end.cost_usd, end.cost_low_usd, end.cost_high_usd) == (
            attempt.cost_usd,
            attempt.cost_low_usd,
            attempt.cost_high_usd,
        )

    async def test_a_call_of_sure_and_unsure_attempts(self) -> None:
        """The sure part is in the sum, and in both bounds."""
        lost = AirframeError("no answer", category=ErrorCategory.TIMEOUT, phase=Phase.SENT)
        usage = Usage(input_tokens=100, output_tokens=10)
        gateway = ScriptedGateway(
            prices=TABLE.rows, llamaserver=[Failure(lost)], openai=[Answer(text="Because", usage=usage)]
        )
        response = await gateway.complete(PROMPT, max_tokens=500)
        unsure, sure = gateway.recorder.end.attempts
        assert (unsure.usage_source, sure.usage_source) == ("estimated", "reported")
        assert sure.cost_low_usd == sure.cost_usd == sure.cost_high_usd == Decimal("0.002")
        assert response.cost_usd == Decimal("0.002") + Decimal("0.00105")
        assert response.metadata["cost_low_usd"] == Decimal("0.002") + Decimal("0.000052")
        assert response.metadata["cost_high_usd"] == Decimal("0.002") + Decimal("0.05624")
        assert response.metadata["usage_source"] == "estimated"

    async def test_a_bound_that_is_unknown_makes_the_sum_s_unknown(self) -> None:
        """Without a limit to the answer, nobody knows what a lost one may have cost."""
        gateway = ScriptedGateway(prices=TABLE.rows, openai=[Answer(text="Because")])
        with anyio.CancelScope() as scope:
            scope.cancel()
            await gateway.complete(PROMPT)
        end = gateway.recorder.end
        assert (end.cost_usd, end.cost_low_usd, end.cost_high_usd) == (Decimal("0.00105"), Decimal("0.000052"), None)

    async def test_a_refusal_costs_nothing_that_is_known(self) -> None:
        """Whoever refuses a request has not worked on it."""
        gateway = ScriptedGateway(prices=TABLE.rows, openai=[Failure(ErrorCategory.RATE_LIMIT)])
        with pytest.raises(LLMError):
            await gateway.complete(PROMPT)
        end = gateway.recorder.end
        assert (end.usage, end.cost_usd, end.attempts[0].usage_source) == (None, None, "unknown")
