"""What came of a request, as a line that clients of OpenAI's batches read."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.types import FinishReason, ToolCall, Usage
from avionics.llm.batch.output_line import output_line
from avionics.settings import PriceRow
from avionics.testing import ScriptedGateway

pytestmark = pytest.mark.anyio

PRICE = PriceRow(provider="openai", input_per_million=Decimal(1_000_000), output_per_million=Decimal(0))


async def line_of(step: Step) -> dict[str, Any]:
    """The line of a call that was answered so, as a reader of the file gets it."""
    gateway = ScriptedGateway(openai=[step], prices=[PRICE])
    async with gateway.map([{"prompt": "Why?", "id": "first"}]) as results:
        line = output_line(await anext(results))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    read: dict[str, Any] = json.loads(line)
    assert read.keys() == {"id", "custom_id", "response", "error"}
    assert read["custom_id"] == "first"
    return read


async def completion_of(answer: Answer) -> tuple[ChatCompletion, dict[str, Any]]:
    line = await line_of(answer)
    assert (line["response"]["status_code"], line["error"]) == (200, None)
    body = line["response"]["body"]
    return ChatCompletion.model_validate(body, strict=True), body


async def test_an_answer_is_a_chat_completion() -> None:
    """OpenAI's own client reads it: text, end, tokens."""
    usage = Usage(input_tokens=7, output_tokens=3, cache_read_tokens=2, reasoning_tokens=1)
    read, body = await completion_of(
        Answer(text="Because.\nReally.", reasoning="Hm.", usage=usage, response_id="chatcmpl-1", model="a-model")
    )
    assert (read.id, read.object, read.model) == ("chatcmpl-1", "chat.completion", "a-model")
    assert (read.choices[0].message.content, read.choices[0].finish_reason) == ("Because.\nReally.", "stop")
    assert read.usage is not None
    assert (read.usage.prompt_tokens, read.usage.completion_tokens, read.usage.total_tokens) == (7, 3, 10)
    assert body["usage"]["prompt_tokens_details"] == {"cached_tokens": 2}
    assert body["usage"]["completion_tokens_details"] == {"reasoning_tokens": 1}
    assert body["choices"][0]["message"]["reasoning_content"] == "Hm."


async def test_an_answer_tells_what_it_cost_and_where_it_is_logged() -> None:
    """In the member `avionics`; money is a text, so that no digit is lost."""
    line = await line_of(Answer(text="a", usage=Usage(input_tokens=7, output_tokens=3), request_id="req-1"))
    told = line["response"]["body"]["avionics"]
    assert (told["cost_usd"], told["provider"], told["warnings"]) == ("7", "openai", [])
    assert line["response"]["request_id"] == "req-1"
    assert told["call_id"]


async def test_tool_calls_are_those_of_the_model() -> None:
    """Their arguments are the text that the model wrote."""
    read, _ = await completion_of(Answer(tool_calls=[ToolCall(id="c1", name="look", arguments='{"at":1}')]))
    assert read.choices[0].finish_reason == "tool_calls"
    assert read.choices[0].message.content is None
    assert read.choices[0].message.tool_calls is not None
    assert read.choices[0].message.tool_calls[0].model_dump() == {
        "id": "c1",
        "type": "function",
        "function": {"name": "look", "arguments": '{"at":1}'},
    }


async def test_unknown_tokens_and_costs_stay_unknown() -> None:
    """None, never 0."""
    read, body = await completion_of(Answer(text="a"))
    assert read.usage is None
    assert body["avionics"]["cost_usd"] is None


async def test_a_cut_answer_says_so() -> None:
    """Its end is the token limit."""
    read, _ = await completion_of(Answer(text="a", finish_reason=FinishReason.LENGTH))
    assert read.choices[0].finish_reason == "length"


async def test_a_refusal_of_the_backend_is_a_response_with_its_status() -> None:
    """As OpenAI's batches give it."""
    line = await line_of(Failure(ErrorCategory.AUTH, status=401, code="invalid_api_key"))
    assert line["error"] is None
    assert line["response"]["status_code"] == 401
    error = line["response"]["body"]["error"]
    assert (error["type"], error["code"]) == ("auth", "invalid_api_key")
    assert "scripted" in error["message"]


async def test_what_failed_without_a_status_is_an_error() -> None:
    """There is no response; the code says what to do about it."""
    line = await line_of(Failure(ErrorCategory.CONNECTION))
    assert line["response"] is None
    assert line["error"]["code"] == "connection"
    assert line["error"]["message"]
