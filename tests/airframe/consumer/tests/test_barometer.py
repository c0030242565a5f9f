"""The kind that this project brings keeps every promise of airframe's own."""

from __future__ import annotations

from functools import partial

import pytest

from airframe import ErrorCategory, FinishReason, InferenceResult, Usage, create_adapter
from airframe.protocols import OpenAIChatProtocol
from airframe.testing.conformance import (
    ADAPTER_CHECKS,
    WIRE_CHECKS,
    AdapterCheck,
    ConformanceCase,
    ErrorAnswer,
    WireCheck,
)
from airframe.types import ReasoningPart, TextPart, ToolCall
from weather_agent.barometer import BAROMETER, BarometerAdapter

STREAM = b"""\
data: {"id":"b-1","model":"mercury","choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"Hm."}}]}

data: {"id":"b-1","model":"mercury","choices":[{"index":0,"delta":{"content":"Pressure is fall"}}]}

data: {"id":"b-1","model":"mercury","choices":[{"index":0,"delta":{"content":"ing, it says."}}]}

data: {"id":"b-1","model":"mercury","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1",\
"type":"function","function":{"name":"look_up","arguments":"{\\"city\\""}}]}}]}

data: {"id":"b-1","model":"mercury","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,\
"function":{"arguments":":\\"Oslo\\"}"}}]}}]}

data: {"id":"b-1","model":"mercury","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],\
"usage":{"prompt_tokens":12,"completion_tokens":9,"total_tokens":21}}

data: [DONE]

"""
BODY = b"""{"id":"b-1","model":"mercury","choices":[{"index":0,"finish_reason":"tool_calls","message":{
"role":"assistant","reasoning_content":"Hm.","content":"Pressure is falling, it says.","tool_calls":[{
"id":"call_1","type":"function","function":{"name":"look_up","arguments":"{\\"city\\":\\"Oslo\\"}"}}]}}],
"usage":{"prompt_tokens":12,"completion_tokens":9,"total_tokens":21}}"""

CASE = ConformanceCase(
    name="barometer",
    kind="barometer",
    make_adapter=partial(create_adapter, "barometer"),
    protocol=OpenAIChatProtocol(BAROMETER),
    stream=STREAM,
    body=BODY,
    end=b"[DONE]",
    proof=b'"finish_reason":"tool_calls"',
    expected=InferenceResult(
        content=(
            ReasoningPart(text="Hm.", issuer="barometer"),
            TextPart("Pressure is falling, it says."),
            ToolCall(id="call_1", name="look_up", arguments='{"city":"Oslo"}'),
        ),
        finish_reason=FinishReason.TOOL_CALLS,
        raw_finish_reason="tool_calls",
        usage=Usage(input_tokens=12, output_tokens=9, total_tokens=21),
        model="mercury",
        response_id="b-1",
    ),
    word="Pressure",
    stream_error=b'data: {"error":{"message":"the needle broke","code":"server_error"}}\n\n',
    stream_error_category=ErrorCategory.SERVER,
    errors=[
        ErrorAnswer(
            status=401, body=b'{"error":{"message":"who?","code":"invalid_api_key"}}', category=ErrorCategory.AUTH
        ),
        ErrorAnswer(status=503, body=b"<html>503</html>", category=ErrorCategory.OVERLOADED),
    ],
    models=("/models", b'{"data":[{"id":"mercury"},{"id":"aneroid"}]}', ["mercury", "aneroid"]),
)


def test_the_kind_is_found_by_its_name() -> None:
    """Installing this project makes the kind known."""
    assert isinstance(create_adapter("barometer"), BarometerAdapter)


@pytest.mark.parametrize("check", WIRE_CHECKS, ids=lambda check: check.__name__)
def test_wire_format(check: WireCheck) -> None:
    """The wire format keeps the promise that the check's docstring states."""
    check(CASE)


@pytest.mark.anyio
@pytest.mark.parametrize("check", ADAPTER_CHECKS, ids=lambda check: check.__name__)
async def test_adapter(check: AdapterCheck) -> None:
    """The adapter keeps the promise that the check's docstring states, over a real socket."""
    await check(CASE)
