"""Requests in the words that llama-cpp-python heeds, and its exceptions as categories."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airframe import (
    ErrorCategory,
    InferenceRequest,
    InvalidRequestError,
    JSONSchemaFormat,
    Message,
    ToolSpec,
)
from airframe._llama_cpp_python import error_document
from airframe.protocols import LlamaCppPythonProtocol
from airframe.protocols.llama_cpp_python import TOOL_FORMAT
from airframe.testing.recorded import recorded_exception
from airframe.types import ImagePart, NamedTool, ReasoningOptions, TextPart

PLAIN = LlamaCppPythonProtocol()
CHOOSING = LlamaCppPythonProtocol(chat_format=TOOL_FORMAT)
SEEING = LlamaCppPythonProtocol(reads_images=True)
WEATHER, TIME = ToolSpec(name="get_weather", parameters={}), ToolSpec(name="get_time", parameters={})
PICTURE = Message("user", [TextPart("What is this? "), ImagePart(url="https://example.com/cat.png"), TextPart("Say.")])
NAMED = {"type": "function", "function": {"name": "get_weather"}}


def ask(**options: Any) -> InferenceRequest:
    return replace(InferenceRequest(messages=[Message("user", "Hi")]), **options)


def encoded(protocol: LlamaCppPythonProtocol, request: InferenceRequest) -> tuple[dict[str, Any], list[str]]:
    """The arguments of the call, and what the warnings are about."""
    wire = protocol.encode(request, model="tiny", stream=True)
    return json.loads(wire.body), [warning.subject for warning in wire.warnings]


def test_plain_request() -> None:
    """Only arguments that the method has are sent: others would be refused."""
    body, warnings = encoded(PLAIN, ask(temperature=0.5, max_tokens=9, stop=["."], seed=1, repeat_penalty=1.1))
    assert body == {
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "temperature": 0.5,
        "max_tokens": 9,
        "stop": ["."],
        "seed": 1,
        "repeat_penalty": 1.1,
    }
    assert warnings == []


@pytest.mark.parametrize(
    ("protocol", "options", "expected", "warnings"),
    [
        (PLAIN, {"response_format": "json"}, {"response_format": {"type": "json_object"}}, []),
        (
            PLAIN,
            {"response_format": JSONSchemaFormat(schema={"type": "array"})},
            {"response_format": {"type": "json_object", "schema": {"type": "array"}}},
            [],
        ),
        (PLAIN, {"logprobs": True}, {"logprobs": True, "top_logprobs": 0}, []),
        (PLAIN, {"logprobs": True, "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}, []),
        (PLAIN, {"reasoning": ReasoningOptions(effort="low")}, {"reasoning_effort": None}, ["reasoning"]),
        (PLAIN, {"user": "u"}, {"user": None}, ["user"]),
        (PLAIN, {"tools": [WEATHER]}, {"tool_choice": None}, ["tools"]),
        (PLAIN, {"tools": [WEATHER], "tool_choice": "none"}, {"tools": None, "tool_choice": None}, []),
        (PLAIN, {"tools": [WEATHER], "tool_choice": "required"}, {"tool_choice": NAMED}, []),
        (PLAIN, {"tools": [WEATHER, TIME], "tool_choice": NamedTool("get_weather")}, {"tool_choice": NAMED}, []),
        (PLAIN, {"tools": [WEATHER, TIME], "tool_choice": "required"}, {"tool_choice": None}, ["tool_choice", "tools"]),
        (CHOOSING, {"tools": [WEATHER]}, {"tool_choice": "auto", "stream": None}, []),
        (
            CHOOSING,
            {"tools": [WEATHER], "max_tokens": 9, "stop": ["."], "seed": 1},
            {"max_tokens": None, "stop": None, "seed": None},
            ["seed", "max_tokens", "stop"],
        ),
        (
            CHOOSING,
            {"tools": [WEATHER], "tool_choice": "required", "max_tokens": 9, "response_format": "json"},
            {"tool_choice": NAMED, "stream": True, "max_tokens": 9, "response_format": None},
            ["response_format"],
        ),
        (CHOOSING, {"messages": [Message("user", "Hi"), Message.tool("1", "Rain")]}, {}, ["ToolResultPart"]),
        (
            PLAIN,
            {"messages": [PICTURE]},
            {"messages": [{"role": "user", "content": "What is this? Say."}]},
            ["ImagePart"],
        ),
    ],
)
def test_what_is_not_heeded_is_said_otherwise_or_warned_of(
    protocol: LlamaCppPythonProtocol, options: dict[str, Any], expected: dict[str, Any], warnings: list[str]
) -> None:
    """Fields that the library ignores are sent in a form that it heeds, or left out with a warning."""
    body, subjects = encoded(protocol, ask(**options))
    assert {name: body.get(name) for name in expected} == expected
    assert subjects == warnings


def test_images_reach_a_handler_that_reads_them() -> None:
    """With a chat handler, an image stays what it is."""
    body, warnings = encoded(SEEING, ask(messages=[PICTURE]))
    assert [part["type"] for part in body["messages"][0]["content"]] == ["text", "image_url", "text"]
    assert warnings == []


@pytest.mark.parametrize("options", [{"tools": [WEATHER]}, {"messages": [PICTURE]}, {"reasoning": ReasoningOptions()}])
def test_strict_requests_are_refused(options: dict[str, Any]) -> None:
    """Who wants nothing dropped gets an error instead of a warning."""
    with pytest.raises(InvalidRequestError, match="strict=False"):
        PLAIN.encode(ask(**options, strict=True), model=None, stream=True)


@pytest.mark.parametrize(
    ("type_", "message", "status", "category"),
    [
        ("ValueError", "Requested tokens (1219) exceed context window of 256", 400, ErrorCategory.CONTEXT_LENGTH),
        ("ValueError", "Model path does not exist: m.gguf", 400, ErrorCategory.NOT_FOUND),
        ("ValueError", "Failed to load model from file: m.gguf", 500, ErrorCategory.SERVER),
        ("ValueError", "Failed to create llama_context", 500, ErrorCategory.SERVER),
        (
            "ValueError",
            "logprobs is not supported for models created with logits_all=False",
            400,
            ErrorCategory.UNSUPPORTED,
        ),
        ("ValueError", "Automatic streaming tool choice is not supported", 400, ErrorCategory.UNSUPPORTED),
        ("ValueError", "Tool with name 'x' not found in tools", 400, ErrorCategory.INVALID_REQUEST),
        ("RuntimeError", "Llama model must be created with embedding=True to call", 400, ErrorCategory.UNSUPPORTED),
        ("RuntimeError", "llama_decode returned -3", 500, ErrorCategory.SERVER),
        ("AssertionError", "", 400, ErrorCategory.INVALID_REQUEST),
        ("AttributeError", "'str' object has no attribute 'role'", 400, ErrorCategory.INVALID_REQUEST),
        ("KeyError", "'content'", 400, ErrorCategory.INVALID_REQUEST),
        ("LlamaChatCompletionHandlerNotFoundException", "Invalid chat handler: x", 400, ErrorCategory.INVALID_REQUEST),
        ("TypeError", "got an unexpected keyword argument 'x'", 400, ErrorCategory.INVALID_REQUEST),
        ("UndefinedError", "'dict object' has no attribute 'content'", 400, ErrorCategory.INVALID_REQUEST),
        ("MemoryError", "", 500, ErrorCategory.SERVER),
    ],
)
def test_exceptions(type_: str, message: str, status: int, category: ErrorCategory) -> None:
    """Each exception has the category of the table, whether it comes first or in the middle of a stream."""
    document = error_document(recorded_exception({"type": type_, "message": message}))
    assert json.loads(document)["error"]["code"] == status
    error = PLAIN.classify_error(status, {}, document)
    assert (error.category, error.code) == (category, type_)
    assert (message or "no reason is given") in str(error)
    assert PLAIN.classify_error(200, {}, document).category is category
