"""Bodies of OpenAI's chat completions as requests of ours: what is asked is what the body says."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from avionics.errors import LLMInvalidRequestError
from avionics.llm import LLMGateway
from avionics.llm.batch.chat_request import read_chat_request
from avionics.settings import Settings

PNG = b64encode(b"\x89PNG").decode()
QUESTION = {"role": "user", "content": "Why?"}
TOOL = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}


def sent(body: dict[str, Any]) -> object:
    """What would be sent to OpenAI for the body."""
    gateway = LLMGateway(Settings(llm_provider="openai", openai_api_key="sk-not-a-key"), observers=[])
    (target,) = gateway.explain(**read_chat_request(body).options).targets
    assert target.problem is None
    assert target.preview is not None
    return target.preview.body


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["END"], "max_completion_tokens": 50},
        {"frequency_penalty": 0.1, "presence_penalty": -0.1, "user": "u", "metadata": {"a": "b"}, "store": False},
        {"logprobs": True, "top_logprobs": 2, "service_tier": "flex", "prompt_cache_key": "k"},
        {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "look"}}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}}},
        {"logit_bias": {"50256": -100}, "a_field_of_tomorrow": {"deep": [1]}},
    ],
    ids=lambda fields: "+".join(fields) or "nothing",
)
def test_every_field_is_asked_as_it_stands(fields: dict[str, Any]) -> None:
    """Known fields become options of ours and come out the same; unknown ones pass through."""
    body = {"model": "model-of-tomorrow", "messages": [QUESTION], **fields}
    assert sent(body) == body


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Do."}, QUESTION],
        [{"role": "user", "content": "Hi", "name": "Ann"}, {"role": "assistant", "content": "Hello"}, QUESTION],
        [{"role": "user", "content": [{"type": "text", "text": "What is it?"}]}],
        [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                    {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
                    {"type": "file", "file": {"file_id": "file-1"}},
                    {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PNG}", "filename": "a.pdf"}},
                ],
            }
        ],
        [
            QUESTION,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "seen"},
        ],
        [QUESTION, {"role": "assistant", "content": None, "refusal": "No."}, QUESTION],
    ],
    ids=["roles", "names", "parts", "media", "tools", "refusal"],
)
def test_every_kind_of_message_is_said_as_it_stands(messages: list[Any]) -> None:
    """Roles, names, parts, tool calls and their results."""
    body = {"model": "model-of-tomorrow", "messages": messages}
    said: Any = sent(body)
    assert said["messages"] == messages


def test_older_names_and_short_forms_are_understood() -> None:
    """`max_tokens` is `max_completion_tokens`, one stop text is a list of one, null is nothing."""
    body = {"model": "model-of-tomorrow", "messages": [QUESTION], "max_tokens": 5, "stop": "END", "n": 1, "seed": None}
    assert sent(body) == {
        "model": "model-of-tomorrow",
        "messages": [QUESTION],
        "max_completion_tokens": 5,
        "stop": ["END"],
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"messages": None}, "messages is missing"),
        ({"messages": "Why?"}, "messages must be a list, got str"),
        ({"messages": ["Why?"]}, r"messages\[0\] must be an object, got str"),
        ({"messages": [{"content": "a"}]}, r"messages\[0\].role is missing"),
        ({"messages": [{"role": "usr", "content": "a"}]}, r"messages\[0\].role must be one of system.*got 'usr'"),
        ({"messages": [{"role": "user", "content": 7}]}, r"messages\[0\].content must be a list, got int"),
        (
            {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
            r"messages\[0\].content\[0\].type must be one of text, .*got 'video'",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,x"}}]}]},
            r"image_url.url must be a URL, or data",
        ),
        ({"messages": [{**QUESTION, "tool_calls": [CALL]}]}, r"messages\[0\] has unknown members: tool_calls"),
        ({"n": 2}, "n must be 1: more than one answer"),
        ({"stream": True}, "stream must be false"),
        ({"response_format": {"type": "xml"}}, "response_format.type must be text, json_object or json_schema"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "ToolSpec.name must not be empty"),
        ({"tool_choice": {"type": "custom"}}, "tool_choice must be auto, none, required or a function"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_named(fields: dict[str, Any], message: str) -> None:
    """With its place, what it should be, and what it is."""
    with pytest.raises(LLMInvalidRequestError, match=message):
        read_chat_request({"messages": [QUESTION], **fields})
