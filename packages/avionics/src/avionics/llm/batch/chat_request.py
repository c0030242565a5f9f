"""The body of OpenAI's chat completions as a request of ours. Source: `types/chat` of openai 3.51.0 (read 2026-11-20).

What is not known here goes to the backend as it is, as `extra_params`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, cast

from airframe.errors import ErrorCategory, InvalidRequestError
from airframe.types import (
    HostedTool,
    JSONObject,
    JSONSchemaFormat,
    NamedTool,
    ReasoningOptions,
    ResponseFormat,
    ToolChoice,
    ToolSpec,
)
from avionics.errors import LLMInvalidRequestError
from avionics.llm.batch.call_request import CallRequest
from avionics.llm.batch.chat_messages import read_message
from avionics.llm.batch.json_place import Place
from avionics.llm.call_options import CallOptions

__all__ = ["read_chat_request"]

_SAME = (
    "frequency_penalty",
    "logprobs",
    "metadata",
    "min_p",
    "model",
    "parallel_tool_calls",
    "presence_penalty",
    "prompt_cache_key",
    "repeat_penalty",
    "seed",
    "service_tier",
    "store",
    "temperature",
    "top_k",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
)
"""Fields that are options of ours under the same name, with the same values."""


def read_chat_request(body: JSONObject, *, id: str | None = None) -> CallRequest:
    """The request. Raises `LLMInvalidRequestError` that names the field that cannot be read."""
    try:
        return CallRequest(id=id, options=_options(body))
    except InvalidRequestError as error:
        raise LLMInvalidRequestError(str(error), category=ErrorCategory.INVALID_REQUEST) from error


def _options(body: JSONObject) -> CallOptions:
    place = Place("", body)
    _expect(place, "n", 1, "more than one answer to a request is not supported")
    _expect(place, "stream", False, "a line of a file cannot be streamed")
    options: dict[str, Any] = {"messages": [read_message(message) for message in place.need("messages").items()]}
    options |= {name: body[name] for name in _SAME if body.get(name) is not None}
    for name, read in _READ.items():
        if field := place.get(name):
            option, value = read(field)
            options[option] = value
    if others := {name: value for name, value in body.items() if name not in _KNOWN and value is not None}:
        options["extra_params"] = others
    return cast("CallOptions", options)


def _expect(place: Place, name: str, value: object, why: str) -> None:
    if (given := place.get(name)) and given.value != value:
        raise given.refused(f"{str(value).lower()}: {why}")


def _limit(field: Place) -> tuple[str, object]:
    return "max_tokens", field.value


def _stop(field: Place) -> tuple[str, object]:
    return "stop", [field.value] if isinstance(field.value, str) else [item.text() for item in field.items()]


def _tools(field: Place) -> tuple[str, object]:
    return "tools", [_tool(tool) for tool in field.items()]


def _tool(tool: Place) -> ToolSpec | HostedTool:
    kind = tool.need("type").text()
    if kind != "function":
        return HostedTool(kind, {name: value for name, value in tool.members().items() if name != "type"})
    function = tool.need("function")
    function.only({"name", "description", "parameters", "strict"})
    stated = {name: value for name, value in function.members().items() if value is not None}
    others = {name: value for name, value in tool.members().items() if name not in ("type", "function")}
    return ToolSpec(**cast("dict[str, Any]", {**stated, "name": function.need("name").text()}), options=others)


def _tool_choice(field: Place) -> tuple[str, ToolChoice]:
    if isinstance(field.value, str):
        return "tool_choice", cast("ToolChoice", field.value)  # InferenceRequest knows the words
    if field.need("type").value != "function":
        raise field.refused("auto, none, required or a function")
    return "tool_choice", NamedTool(field.need("function").need("name").text())


def _response_format(field: Place) -> tuple[str, ResponseFormat]:
    kind = field.need("type")
    match kind.value:
        case "text":
            return "response_format", "text"
        case "json_object":
            return "response_format", "json"
        case "json_schema":
            wanted = field.need("json_schema")
            wanted.only({"name", "schema", "description", "strict"})
            schema, given = wanted.need("schema").members(), wanted.members()
            stated = {name: given[name] for name in ("name", "description", "strict") if given.get(name) is not None}
            return "response_format", JSONSchemaFormat(schema=schema, **cast("dict[str, Any]", stated))
        case _:
            raise kind.refused("text, json_object or json_schema")


def _effort(field: Place) -> tuple[str, ReasoningOptions]:
    return "reasoning", ReasoningOptions(effort=field.text())


_READ: Mapping[str, Callable[[Place], tuple[str, object]]] = MappingProxyType(
    {
        "max_tokens": _limit,
        "max_completion_tokens": _limit,  # the newer name: where both are given, this one holds
        "stop": _stop,
        "tools": _tools,
        "tool_choice": _tool_choice,
        "response_format": _response_format,
        "reasoning_effort": _effort,
    }
)
"""Fields that are options of ours in another form."""

_KNOWN = frozenset({*_SAME, *_READ, "messages", "n", "stream"})
