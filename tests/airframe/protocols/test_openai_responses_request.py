"""OpenAI's Responses as questions: our vocabulary as items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airframe.errors import InvalidRequestError
from airframe.protocols import AZURE_RESPONSES, COMPATIBLE_RESPONSES, OPENAI_RESPONSES, OpenAIResponsesProtocol
from airframe.protocols.protocol import DecodeOptions
from airframe.types import (
    AudioPart,
    FilePart,
    HostedTool,
    HostedToolPart,
    ImagePart,
    InferenceRequest,
    InferenceWarning,
    JSONSchemaFormat,
    Message,
    NamedTool,
    ReasoningOptions,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolResultPart,
    ToolSpec,
)

RECORDINGS = Path(__file__).parents[1] / "recordings" / "openai_responses"
OPENAI = OpenAIResponsesProtocol(OPENAI_RESPONSES)
HI = Message("user", "Hi")


def encode(
    *messages: Message, protocol: OpenAIResponsesProtocol = OPENAI, stream: bool = False, **fields: Any
) -> tuple[dict[str, Any], tuple[InferenceWarning, ...]]:
    request = InferenceRequest(messages=messages or (HI,), **fields)
    wire = protocol.encode(request, model="m", stream=stream)
    assert wire.path == "/responses"
    return json.loads(wire.body), wire.warnings


def body(*messages: Message, **fields: Any) -> dict[str, Any]:
    """What is sent, where nothing may be lost."""
    sent, warnings = encode(*messages, **fields)
    assert warnings == ()
    return sent


# -- going on with a conversation


def test_an_answer_goes_back_item_by_item() -> None:
    """Reasoning, what tools did, text and calls go back unchanged and in order, so that the model can go on."""
    recorded = (RECORDINGS / "openai_tools.json").read_bytes()
    result = OPENAI.decode(recorded, DecodeOptions())
    sent = body(HI, result.message, Message.tool("call_one1", "4 degrees"))["input"]
    reasoning, search, message, first, second = json.loads(recorded)["output"]
    assert sent[0] == {"role": "user", "content": "Hi"}
    assert sent[1:3] == [reasoning, search]
    assert sent[3] == {
        "type": "message",
        "role": "assistant",
        "id": message["id"],
        "status": "completed",
        "phase": "commentary",
        "content": [{"type": "output_text", "text": message["content"][0]["text"], "annotations": []}],
    }
    for item, recorded_item in zip(sent[4:6], (first, second), strict=True):
        assert item == {key: value for key, value in recorded_item.items() if key != "status"}
    assert sent[6] == {"type": "function_call_output", "call_id": "call_one1", "output": "4 degrees"}


def test_reasoning_goes_to_its_issuer_only() -> None:
    """A thought of another service is left out with a warning, and the ids that paired items with it go too."""
    result = OPENAI.decode((RECORDINGS / "openai_tools.json").read_bytes(), DecodeOptions())
    sent, warnings = encode(HI, result.message, protocol=OpenAIResponsesProtocol(AZURE_RESPONSES))
    assert [warning.subject for warning in warnings] == ["ReasoningPart", "HostedToolPart"]
    assert [item.get("type") for item in sent["input"]] == [None, "message", "function_call", "function_call"]
    assert not any("id" in item for item in sent["input"])


def test_reasoning_from_its_parts() -> None:
    """A thought that was kept as id and signature alone goes back as an item."""
    thought = ReasoningPart(issuer="openai_responses", id="rs_1", signature="gAAA")
    sent = body(HI, Message("assistant", (thought, TextPart("Hello."))))["input"]
    assert sent[1] == {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}


def test_phases_are_messages_of_their_own() -> None:
    """Words on the way and final words stay apart; a refusal stays with the text before it."""
    said = (TextPart("Let me see.", "commentary"), TextPart("It is 4.", "final_answer"), RefusalPart("No more."))
    sent = body(HI, Message("assistant", said))["input"][1:]
    assert [(item["phase"], [part["type"] for part in item["content"]]) for item in sent] == [
        ("commentary", ["output_text"]),
        ("final_answer", ["output_text", "refusal"]),
    ]


def test_instructions_and_later_system_messages() -> None:
    """System messages in front are `instructions`; later ones, and those of the developer, are items in their place."""
    sent = body(
        Message("system", "Be brief."), Message("system", "Be kind."), HI, Message("system", "Be quick."),
        Message("developer", "Use metric units."),
    )  # fmt: skip
    assert sent["instructions"] == "Be brief.\n\nBe kind."
    assert sent["input"] == [
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "Be quick."},
        {"role": "developer", "content": "Use metric units."},
    ]


def test_a_system_message_alone_is_the_input() -> None:
    """Something has to be the input, so a lone system message is not turned into instructions."""
    sent = body(Message("system", "Say hi."))
    assert sent["input"] == [{"role": "system", "content": "Say hi."}]
    assert "instructions" not in sent


def test_state_kept_by_the_backend() -> None:
    """`previous_response_id` and `store` go along."""
    sent = body(previous_response_id="resp_1", store=True)
    assert (sent["previous_response_id"], sent["store"]) == ("resp_1", True)


# -- what is shown to the model


def test_parts_of_a_question() -> None:
    """Text, images, sound and documents have the flat forms of this format; a data URL is a text, not an object."""
    parts = (
        TextPart("Look."),
        ImagePart(data=b"\x89PNG", media_type="image/png", detail="low"),
        ImagePart(url="https://example.org/a.png"),
        AudioPart(data=b"RIFF", format="wav"),
        FilePart(data=b"%PDF", media_type="application/pdf", filename="a.pdf"),
        FilePart(url="https://example.org/a.pdf"),
        FilePart(file_id="file-1"),
    )
    assert body(Message("user", parts))["input"] == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look."},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBORw==", "detail": "low"},
                {"type": "input_image", "image_url": "https://example.org/a.png"},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"},
                {"type": "input_file", "file_url": "https://example.org/a.pdf"},
                {"type": "input_file", "file_id": "file-1"},
            ],
        }
    ]


def test_a_tools_answer_may_hold_an_image() -> None:
    """What a tool answered goes to its call by `call_id`, as text or as parts."""
    answer = ToolResultPart(
        tool_call_id="call_1", content=(TextPart("Here."), ImagePart(url="https://example.org/a.png"))
    )
    (item,) = body(Message("tool", (answer,)))["input"]
    assert item == {
        "type": "function_call_output",
        "call_id": "call_1",
        "output": [
            {"type": "input_text", "text": "Here."},
            {"type": "input_image", "image_url": "https://example.org/a.png"},
        ],
    }


def test_items_of_ones_own() -> None:
    """An answer to a tool that this vocabulary has no word for is sent as the item it is."""
    answer = {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"}
    part = HostedToolPart(kind="custom_tool_call_output", issuer="openai_responses", raw=answer)
    assert body(HI, Message("tool", (part,)))["input"][1] == answer


def test_the_end_of_a_prefix_worth_caching() -> None:
    """`Message.cache` marks the message's last part; a marked system message is an item, so that it can be marked."""
    sent = body(Message("system", "Long rules.", cache="30m"), Message("user", "Hi", cache="default"))
    assert "instructions" not in sent
    assert sent["input"] == [
        {
            "role": "system",
            "content": [
                {
                    "type": "input_text",
                    "text": "Long rules.",
                    "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"},
                }
            ],
        },
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}}],
        },
    ]


# -- options


def test_tools_are_flat() -> None:
    """Functions and hosted tools stand side by side; a file search's results are asked for."""
    parameters: dict[str, Any] = {"type": "object", "properties": {}}
    sent = body(
        tools=(
            ToolSpec(name="add", description="Adds.", parameters=parameters, strict=True),
            ToolSpec(name="now", parameters=parameters, options={"defer_loading": True}),
            HostedTool("file_search", {"vector_store_ids": ["vs_1"], "max_num_results": 3}),
        )
    )
    assert sent["tools"] == [
        {"type": "function", "name": "add", "description": "Adds.", "parameters": parameters, "strict": True},
        {"type": "function", "name": "now", "parameters": parameters, "defer_loading": True},
        {"type": "file_search", "vector_store_ids": ["vs_1"], "max_num_results": 3},
    ]
    assert sent["include"] == ["file_search_call.results"]


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        (NamedTool("add"), {"type": "function", "name": "add"}),
        (NamedTool("web_search"), {"type": "web_search"}),
    ],
)
def test_tool_choice(choice: Any, wire: object) -> None:
    """A function is chosen by its name, a hosted tool by its type."""
    tools = (ToolSpec(name="add"), HostedTool("web_search"))
    assert body(tools=tools, tool_choice=choice)["tool_choice"] == wire


def test_structured_output_and_verbosity() -> None:
    """The format stands flat under `text`, beside the verbosity."""
    schema: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
    wanted = JSONSchemaFormat(schema=schema, name="thing", description="A thing.", strict=True)
    assert body(response_format=wanted, verbosity="low")["text"] == {
        "format": {
            "type": "json_schema",
            "name": "thing",
            "description": "A thing.",
            "schema": schema,
            "strict": True,
        },
        "verbosity": "low",
    }
    assert body(response_format="json")["text"] == {"format": {"type": "json_object"}}
    assert body(response_format="text")["text"] == {"format": {"type": "text"}}


@pytest.mark.parametrize(
    ("fields", "include"),
    [
        ({"store": False, "reasoning": ReasoningOptions(effort="low")}, ["reasoning.encrypted_content"]),
        ({"store": True, "reasoning": ReasoningOptions(effort="low")}, None),
        ({"store": False}, None),
        ({"logprobs": True, "top_logprobs": 3}, ["message.output_text.logprobs"]),
    ],
)
def test_what_is_asked_for_besides(fields: Any, include: object) -> None:
    """Encrypted thoughts are asked for where nothing is kept and the model thinks; log probabilities on demand."""
    assert body(**fields).get("include") == include


def test_plain_options() -> None:
    """Everything that the format has a word for is sent under it."""
    sent = body(
        stream=True,
        max_tokens=64,
        temperature=0.5,
        top_p=0.9,
        parallel_tool_calls=False,
        reasoning=ReasoningOptions(effort="high", summary="auto"),
        service_tier="flex",
        prompt_cache_key="k",
        metadata={"a": "b"},
        user="u",
        extra_params={"truncation": "auto", "max_output_tokens": 128},
    )
    assert sent == {
        "model": "m",
        "input": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "max_output_tokens": 128,
        "temperature": 0.5,
        "top_p": 0.9,
        "parallel_tool_calls": False,
        "reasoning": {"effort": "high", "summary": "auto"},
        "service_tier": "flex",
        "prompt_cache_key": "k",
        "metadata": {"a": "b"},
        "user": "u",
        "truncation": "auto",
    }


@pytest.mark.parametrize(
    ("fields", "subject"),
    [
        ({"stop": ["END"]}, "stop"),
        ({"seed": 1}, "seed"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"top_k": 40}, "top_k"),
        ({"min_p": 0.1}, "min_p"),
        ({"repeat_penalty": 1.1}, "repeat_penalty"),
        ({"reasoning": ReasoningOptions(budget_tokens=100)}, "reasoning.budget_tokens"),
        ({"reasoning": ReasoningOptions(enabled=False)}, "reasoning.enabled"),
    ],
)
def test_what_the_format_cannot_say(fields: Any, subject: str) -> None:
    """A field without a word becomes a warning that names it, or an error for who wants nothing dropped."""
    _, warnings = encode(**fields)
    assert [warning.subject for warning in warnings] == [subject]
    with pytest.raises(InvalidRequestError, match=subject):
        encode(**fields, strict=True)


def test_parts_out_of_place() -> None:
    """What cannot be said in a role is named in a warning."""
    call = ToolCall(id="call_1", name="add")
    image = ImagePart(url="https://example.org/a.png")
    failed = ToolResultPart(tool_call_id="call_1", content="No.", is_error=True)
    cited = FilePart(file_id="file-1", citations=True)
    _, warnings = encode(
        Message("user", (call, cited), name="Ann"), Message("assistant", (image,)), Message("tool", (failed, image))
    )
    assert [warning.subject for warning in warnings] == [
        "Message.name",
        "ToolCall",
        "FilePart.citations",
        "ImagePart",
        "ToolResultPart.is_error",
        "ImagePart",
    ]


def test_sampling_of_local_servers() -> None:
    """Servers that resemble OpenAI take what local models know."""
    sent, warnings = encode(
        protocol=OpenAIResponsesProtocol(COMPATIBLE_RESPONSES), top_k=40, presence_penalty=0.5, frequency_penalty=0.5
    )
    assert (sent["top_k"], sent["presence_penalty"], sent["frequency_penalty"]) == (40, 0.5, 0.5)
    assert warnings == ()
