"""What is asked of Anthropic's Messages, field by field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from airframe import InferenceRequest, InvalidRequestError, JSONSchemaFormat, Message, ToolCall, ToolSpec
from airframe.protocols import AnthropicMessagesProtocol, WireRequest
from airframe.protocols.anthropic_messages_request import DEFAULT_MAX_TOKENS
from airframe.types import (
    AudioPart,
    CacheHint,
    FilePart,
    HostedTool,
    HostedToolPart,
    ImagePart,
    JSONObject,
    NamedTool,
    Part,
    ReasoningOptions,
    ReasoningPart,
    TextPart,
    ToolChoice,
    ToolResultPart,
)

OLD = AnthropicMessagesProtocol(version="2023-06-01")
NEW = AnthropicMessagesProtocol()
HI = InferenceRequest(messages=[Message("user", "Hi")], max_tokens=100)
WEATHER = ToolSpec(name="get_weather", description="Weather now", parameters={"type": "object"})
DEFAULT = {"type": "ephemeral"}


def encode(protocol: AnthropicMessagesProtocol, request: InferenceRequest) -> WireRequest:
    return protocol.encode(request, model="claude-opus-5-5", stream=False)


def body(request: InferenceRequest, protocol: AnthropicMessagesProtocol = NEW) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(encode(protocol, request).body))


def turns(*messages: Message) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", body(replace(HI, messages=messages))["messages"])


def blocks(role: str, *parts: Part) -> list[dict[str, Any]]:
    message = Message("assistant" if role == "assistant" else "user", parts)
    return cast("list[dict[str, Any]]", turns(message)[0]["content"])


def dropped(request: InferenceRequest, protocol: AnthropicMessagesProtocol = NEW) -> list[str]:
    return [warning.subject for warning in encode(protocol, request).warnings]


def dropped_part(role: str, part: Part) -> list[str]:
    message = Message("assistant" if role == "assistant" else "user", [part])
    return dropped(replace(HI, messages=[Message("user", "Hi"), message]))


def test_the_smallest_request() -> None:
    """A question is the model, the limit that the wire requires, and one turn."""
    wire = NEW.encode(HI, model="claude-opus-5-5", stream=True)
    assert json.loads(wire.body) == {
        "model": "claude-opus-5-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    }
    assert wire.path == "/messages"


def test_max_tokens_has_a_default() -> None:
    """Without `max_tokens` the documented default is asked for, on top of a thinking budget, which it must exceed."""
    open_end = replace(HI, max_tokens=None)
    assert body(open_end)["max_tokens"] == DEFAULT_MAX_TOKENS
    thoughtful = replace(open_end, reasoning=ReasoningOptions(budget_tokens=2000))
    assert body(thoughtful)["max_tokens"] == DEFAULT_MAX_TOKENS + 2000
    assert body(open_end, AnthropicMessagesProtocol(default_max_tokens=7))["max_tokens"] == 7


def test_the_version_decides_on_sampling() -> None:
    """`2023-06-01` sends sampling fields; `2026-10-21`, which refuses them, drops them with a warning."""
    sampled = replace(HI, temperature=0.5, top_p=0.9, top_k=40)
    assert body(sampled, OLD) == {**body(HI, OLD), "temperature": 0.5, "top_p": 0.9, "top_k": 40}
    assert body(sampled) == body(HI)
    assert dropped(sampled) == ["temperature", "top_p", "top_k"]
    with pytest.raises(InvalidRequestError, match="temperature"):
        encode(NEW, replace(sampled, strict=True))


def test_fields_that_the_format_lacks() -> None:
    """What has no place on the wire is named in a warning, each field by itself."""
    rich = replace(HI, seed=1, logprobs=True, top_logprobs=2, min_p=0.1, presence_penalty=0.1, frequency_penalty=0.1)
    rich = replace(
        rich, repeat_penalty=1.1, verbosity="low", prompt_cache_key="k", previous_response_id="r", store=True
    )
    assert body(rich) == body(HI)
    assert len(dropped(rich)) == len(set(dropped(rich))) == 11


def test_plain_fields() -> None:
    """Stop texts, tier, user and extra parameters arrive under the wire's names; extra parameters win."""
    request = replace(
        HI, stop=["END"], service_tier="standard_only", user="u1", extra_params={"max_tokens": 0, "speed": "fast"}
    )
    assert body(request) == {
        **body(HI),
        "stop_sequences": ["END"],
        "service_tier": "standard_only",
        "metadata": {"user_id": "u1"},
        "max_tokens": 0,
        "speed": "fast",
    }


def test_metadata_is_a_user_id() -> None:
    """Of the metadata only `user_id` is sent; other keys are dropped with a warning."""
    request = replace(HI, metadata={"user_id": "u2", "team": "x"})
    assert body(request)["metadata"] == {"user_id": "u2"}
    assert dropped(request) == ["metadata"]


# -- system


def test_system_and_developer_messages_make_the_system_prompt() -> None:
    """One plain text stays a text; several become blocks, in their order."""
    one = replace(HI, messages=[Message("system", "Be brief."), *HI.messages])
    assert body(one)["system"] == "Be brief."
    two = replace(one, messages=[*one.messages[:1], Message("developer", "In verse."), *HI.messages])
    assert body(two)["system"] == [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "In verse."}]
    assert body(two)["messages"] == body(HI)["messages"]


def test_a_system_message_between_turns_is_moved_and_said_so() -> None:
    """The wire has one system prompt: what comes later joins it, with a warning that names the message."""
    request = replace(HI, messages=[*HI.messages, Message("system", "Now in verse.")])
    assert body(request)["system"] == "Now in verse."
    assert dropped(request) == ["messages[1]"]


# -- turns and tools


def test_turns_of_one_role_may_follow_one_another() -> None:
    """The API joins them by itself, so nothing is rearranged."""
    assert turns(Message("user", "One."), Message("user", "Two.")) == [
        {"role": "user", "content": "One."},
        {"role": "user", "content": "Two."},
    ]


def test_results_of_parallel_calls_share_a_turn_and_come_first() -> None:
    """Results stand together at the beginning of the user's turn, whatever was said in between."""
    calls = [ToolCall(id="t1", name="a", arguments='{"x": 1}'), ToolCall(id="t2", name="b", arguments="")]
    asked, answered = turns(
        Message("assistant", calls),
        Message("user", "Hurry."),
        Message.tool("t1", "1"),
        Message.tool("t2", "no", is_error=True),
    )
    assert asked["content"] == [
        {"type": "tool_use", "id": "t1", "name": "a", "input": {"x": 1}},
        {"type": "tool_use", "id": "t2", "name": "b", "input": {}},
    ]
    assert answered == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "1"},
            {"type": "tool_result", "tool_use_id": "t2", "content": "no", "is_error": True},
            {"type": "text", "text": "Hurry."},
        ],
    }


def test_a_result_with_parts() -> None:
    """A tool's result may hold text, images and documents."""
    (result,) = blocks(
        "user",
        ToolResultPart(
            tool_call_id="t1",
            content=(
                TextPart("See:"),
                ImagePart(data=b"\x89PNG", media_type="image/png"),
                FilePart(data=b"%PDF", media_type="application/pdf"),
            ),
        ),
    )
    assert [block["type"] for block in result["content"]] == ["text", "image", "document"]


def test_ids_of_other_vendors_become_acceptable_in_call_and_result_alike() -> None:
    """The API refuses characters such as `:` and `.` in ids; both sides of a pair change in the same way."""
    call = ToolCall(id="functions.look:0", name="look")
    asked, answered = turns(Message("assistant", [call]), Message.tool("functions.look:0", "seen"))
    assert asked["content"][0]["id"] == answered["content"][0]["tool_use_id"] == "functions_look_0"


def test_arguments_that_are_no_object_are_wrapped_and_said_so() -> None:
    """Cut-off arguments cannot be sent as they are: their text goes along unrepaired, under a name that says it."""
    broken = ToolCall(id="t1", name="a", arguments='{"city": "Os')
    assert blocks("assistant", broken)[0]["input"] == {"INVALID_JSON": '{"city": "Os'}
    assert dropped_part("assistant", broken) == ["ToolCall.arguments"]


@pytest.mark.parametrize(
    ("choice", "parallel", "wire"),
    [
        ("auto", None, {"type": "auto"}),
        ("none", None, {"type": "none"}),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        (NamedTool("get_weather"), True, {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": False}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (None, None, None),
    ],
)
def test_tool_choice(choice: ToolChoice | None, parallel: bool | None, wire: dict[str, Any] | None) -> None:
    """A choice has the wire's name, and forbids or allows parallel calls where the wire lets it."""
    request = replace(HI, tools=[WEATHER], tool_choice=choice, parallel_tool_calls=parallel)
    assert body(request).get("tool_choice") == wire


def test_functions() -> None:
    """A function keeps its schema, its strictness and its further members; an empty description is not sent."""
    later = ToolSpec(name="later", options={"defer_loading": True, "cache_control": {"type": "ephemeral"}})
    request = replace(HI, tools=[replace(WEATHER, strict=True), ToolSpec(name="now"), later])
    assert body(request)["tools"] == [
        {"name": "get_weather", "description": "Weather now", "input_schema": {"type": "object"}, "strict": True},
        {"name": "now", "input_schema": {"type": "object", "properties": {}}},
        {
            "name": "later",
            "input_schema": {"type": "object", "properties": {}},
            "defer_loading": True,
            "cache_control": {"type": "ephemeral"},
        },
    ]


@pytest.mark.parametrize(
    ("tool", "wire"),
    [
        (HostedTool("web_search"), {"type": "web_search_20260318", "name": "web_search"}),
        (
            HostedTool("web_search_20250305", {"max_uses": 2}),
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
        ),
        (HostedTool("text_editor"), {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}),
        (HostedTool("text_editor_20250124"), {"type": "text_editor_20250124", "name": "str_replace_editor"}),
        (HostedTool("mcp_toolset", {"mcp_server_name": "x"}), {"type": "mcp_toolset", "mcp_server_name": "x"}),
        (HostedTool("computer_toolset"), {"type": "computer_toolset_20260801"}),
        (HostedTool("memory_20250818", {"name": "own"}), {"type": "memory_20250818", "name": "own"}),
    ],
)
def test_hosted_tools(tool: HostedTool, wire: dict[str, Any]) -> None:
    """A hosted tool gets its dated type and the name that this type requires; the caller's options win."""
    assert body(replace(HI, tools=[tool]))["tools"] == [wire]


# -- thinking


@pytest.mark.parametrize(
    ("options", "wire"),
    [
        (ReasoningOptions(effort="high"), {"output_config": {"effort": "high"}}),
        (ReasoningOptions(budget_tokens=1024), {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        (ReasoningOptions(enabled=True), {"thinking": {"type": "adaptive"}}),
        (ReasoningOptions(enabled=False), {"thinking": {"type": "disabled"}}),
        (
            ReasoningOptions(enabled=True, effort="low", summary="omitted"),
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "low"}},
        ),
        (ReasoningOptions(summary="auto"), {"thinking": {"type": "adaptive", "display": "summarized"}}),
        (ReasoningOptions(), {}),
    ],
)
def test_reasoning_options(options: ReasoningOptions, wire: dict[str, Any]) -> None:
    """Effort is a setting of the output; budget and switch are ways of thinking."""
    assert body(replace(HI, reasoning=options)) == {**body(HI), **wire}


def test_a_budget_for_thinking_that_is_off() -> None:
    """Who switches thinking off gets it off; the budget is dropped with a warning."""
    request = replace(HI, reasoning=ReasoningOptions(enabled=False, budget_tokens=2000))
    assert body(request)["thinking"] == {"type": "disabled"}
    assert dropped(request) == ["reasoning.budget_tokens"]


def test_thoughts_go_back_unchanged() -> None:
    """Signed, empty and redacted thoughts return byte for byte, in their place."""
    assert blocks(
        "assistant",
        ReasoningPart(text=" Hm.\n", issuer="anthropic", signature="Ab+/=="),
        ReasoningPart(issuer="anthropic", signature="Cd=="),
        ReasoningPart(issuer="anthropic", signature="Ef==", redacted=True),
        TextPart("Hello"),
    ) == [
        {"type": "thinking", "thinking": " Hm.\n", "signature": "Ab+/=="},
        {"type": "thinking", "thinking": "", "signature": "Cd=="},
        {"type": "redacted_thinking", "data": "Ef=="},
        {"type": "text", "text": "Hello"},
    ]


@pytest.mark.parametrize(
    "part",
    [
        ReasoningPart(text="Hm.", issuer="openai", signature="x"),
        ReasoningPart(text="Hm."),
        ReasoningPart(text="Hm.", issuer="anthropic"),
        HostedToolPart(kind="web_search_call", issuer="openai", raw={"type": "web_search_call"}),
        AudioPart(data=b"RIFF", format="wav"),
        ImagePart(url="https://images.example/cat.png"),
    ],
)
def test_what_an_assistant_cannot_say_again(part: Part) -> None:
    """Thoughts and tool results of another issuer, unsigned thoughts, sound and pictures are dropped with a warning."""
    assert turns(Message("user", "Hi"), Message("assistant", [part])) == [{"role": "user", "content": "Hi"}]
    assert dropped_part("assistant", part) == [type(part).__name__]


def test_hosted_tools_and_citations_go_back_unchanged() -> None:
    """What the backend's tools did, the text that cites it, and the code that called us return as they came."""
    raw: JSONObject = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
    cited = {"type": "web_search_result_location", "encrypted_index": "E=="}
    caller = {"type": "code_execution_20260120", "tool_id": "s1"}
    assert blocks(
        "assistant",
        HostedToolPart(kind="server_tool_use", issuer="anthropic", raw=raw),
        TextPart("Rain.", citations=(cited,)),
        ToolCall(id="t1", name="a", caller=caller),
    ) == [
        raw,
        {"type": "text", "text": "Rain.", "citations": [cited]},
        {"type": "tool_use", "id": "t1", "name": "a", "input": {}, "caller": caller},
    ]


def test_a_user_cannot_cite() -> None:
    """Under the newer version citations in a user's text are an error, so an answer that is quoted loses them."""
    assert blocks("user", TextPart("Rain.", citations=({"type": "char_location"},))) == [
        {"type": "text", "text": "Rain."}
    ]


def test_names_of_speakers_and_details_of_images() -> None:
    """Neither exists on the wire: both are dropped with a warning."""
    image = ImagePart(url="https://x.example/a.png", detail="low")
    request = replace(HI, messages=[Message("user", "Hi", name="Zoe"), Message("user", [image])])
    assert dropped(request) == ["Message.name", "ImagePart.detail"]


# -- documents, images, structured output, caching


@pytest.mark.parametrize(
    ("part", "source"),
    [
        (
            ImagePart(data=b"\x01", media_type="image/png"),
            {"type": "base64", "media_type": "image/png", "data": "AQ=="},
        ),
        (ImagePart(url="https://x.example/a.png"), {"type": "url", "url": "https://x.example/a.png"}),
        (
            ImagePart(url="data:image/gif;base64,AQ=="),
            {"type": "base64", "media_type": "image/gif", "data": "AQ=="},
        ),
        (FilePart(data=b"\x01"), {"type": "base64", "media_type": "application/pdf", "data": "AQ=="}),
        (
            FilePart(data="Zoë".encode(), media_type="text/markdown"),
            {"type": "text", "media_type": "text/plain", "data": "Zoë"},
        ),
        (FilePart(url="https://x.example/a.pdf"), {"type": "url", "url": "https://x.example/a.pdf"}),
        (FilePart(file_id="file_1"), {"type": "file", "file_id": "file_1"}),
        (FilePart(file_id="file_1", media_type="image/png"), {"type": "file", "file_id": "file_1"}),
    ],
)
def test_sources(part: ImagePart | FilePart, source: dict[str, str]) -> None:
    """Pictures and documents go by bytes, by URL, as text or by file id; a picture's file is a picture."""
    (block,) = blocks("user", part)
    picture = isinstance(part, ImagePart) or part.media_type == "image/png"
    assert (block["type"], block["source"]) == ("image" if picture else "document", source)


def test_a_document_to_cite() -> None:
    """Title, context and the wish for citations come with the document."""
    (block,) = blocks("user", FilePart(url="https://x.example/a", filename="A", context="Draft.", citations=True))
    assert (block["title"], block["context"], block["citations"]) == ("A", "Draft.", {"enabled": True})


def test_structured_output() -> None:
    """A schema becomes the output's format; JSON without a schema cannot be asked for."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    request = replace(HI, response_format=JSONSchemaFormat(schema=schema), reasoning=ReasoningOptions(effort="low"))
    assert body(request)["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": schema}}
    assert dropped(replace(HI, response_format="json")) == ["response_format='json'"]


@pytest.mark.parametrize(
    ("hint", "control", "warnings"),
    [
        ("default", DEFAULT, []),
        ("5m", {**DEFAULT, "ttl": "5m"}, []),
        ("1h", {**DEFAULT, "ttl": "1h"}, []),
        ("12h", DEFAULT, ["Message.cache='12h'"]),
    ],
)
def test_caching(hint: CacheHint, control: dict[str, str], warnings: Sequence[str]) -> None:
    """A cached message has the mark at its last block, with the time if the wire knows it."""
    request = replace(
        HI,
        messages=[Message("system", "Long.", cache=hint), Message("user", [TextPart("A"), TextPart("B")], cache=hint)],
    )
    assert body(request)["system"] == [{"type": "text", "text": "Long.", "cache_control": control}]
    assert body(request)["messages"][0]["content"] == [
        {"type": "text", "text": "A"},
        {"type": "text", "text": "B", "cache_control": control},
    ]
    assert dropped(request) == [*warnings, *warnings]


def test_caching_behind_a_thought() -> None:
    """A thought cannot hold the mark: the block before it does."""
    thought = ReasoningPart(text="Hm.", issuer="anthropic", signature="x")
    (turn,) = turns(Message("assistant", [TextPart("A"), thought], cache="default"))
    assert turn["content"][0]["cache_control"] == DEFAULT
    assert "cache_control" not in turn["content"][1]


def test_empty_text_is_no_block() -> None:
    """The API refuses empty text blocks, so none is sent."""
    assert blocks("user", TextPart(""), TextPart("Hi")) == [{"type": "text", "text": "Hi"}]


def test_counting_sends_what_counts_only() -> None:
    """The count's request is the question without limits, sampling, metadata and stream, which are errors there."""
    request = replace(
        HI, tools=[WEATHER], user="u", service_tier="auto", stop=["x"], extra_params={"speed": "fast", "container": "c"}
    )
    wire = NEW.encode_count(request, model="claude-opus-5-5")
    assert wire.path == "/messages/count_tokens"
    assert json.loads(wire.body).keys() == {"model", "messages", "tools", "speed"}
