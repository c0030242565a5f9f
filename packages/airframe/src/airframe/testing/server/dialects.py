"""Whom a fake server can play: which paths it has, what formats it speaks there, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from airframe.protocols.reading import JSONDict, objects_in, text_in
from airframe.testing.server.anthropic_messages import MessagesFormat
from airframe.testing.server.llama_completion import CompletionFormat
from airframe.testing.server.ollama_chat import MADE, OllamaFormat
from airframe.testing.server.openai_chat import ChatFormat, LlamaChatFormat
from airframe.testing.server.openai_responses import ResponsesFormat
from airframe.testing.server.wire_format import CREATED, WireFormat, words_of

__all__ = ["DIALECTS", "Dialect", "Facts"]

Facts: TypeAlias = Callable[[Sequence[str], JSONDict], object]
"""What is answered to a question about the server: a JSON document, made of its models and of the question."""

_CONTEXT = 4096
_TEMPLATE = "{% for message in messages %}<|{{ message.role }}|>\n{{ message.content }}\n{% endfor %}<|assistant|>\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A backend that is played.

    Attributes:
        name: airframe's kind of it.
        answers: where answers are asked for (by POST) -> the format that is spoken there.
        facts: where it tells about itself -> what.
        base_path: what follows the origin in the base URL of its clients.
    """

    name: str
    answers: Mapping[str, WireFormat]
    facts: Mapping[str, Facts] = field(default_factory=dict[str, Facts])
    base_path: str = ""


def _openai_models(models: Sequence[str], _: JSONDict) -> object:
    rows = [{"id": id, "object": "model", "created": CREATED, "owned_by": "scripted"} for id in models]
    return {"object": "list", "data": rows}


def _anthropic_models(models: Sequence[str], _: JSONDict) -> object:
    rows = [{"type": "model", "id": id, "display_name": id, "created_at": MADE} for id in models]
    return {"data": rows, "has_more": False, "first_id": models[0], "last_id": models[-1]}


def _llama_models(models: Sequence[str], _: JSONDict) -> object:
    rows = [
        {"id": id, "object": "model", "created": CREATED, "owned_by": "llamacpp", "meta": {"n_ctx_train": _CONTEXT}}
        for id in models
    ]
    return {"object": "list", "data": rows}


def _llama_props(models: Sequence[str], _: JSONDict) -> object:
    return {
        "default_generation_settings": {"n_ctx": _CONTEXT},
        "total_slots": 1,
        "model_path": f"{models[0]}.gguf",
        "chat_template": _TEMPLATE,
        "modalities": {"vision": False, "audio": False},
        "build_info": "scripted",
        "is_sleeping": False,
    }


def _llama_prompt(_: Sequence[str], body: JSONDict) -> object:
    """What `_TEMPLATE` makes of the messages."""
    turns = [
        f"<|{text_in(message, 'role')}|>\n{words_of(message.get('content') or '')}\n"
        for message in objects_in(body, "messages")
    ]
    return {"prompt": "".join(turns) + "<|assistant|>\n"}


def _ollama_models(models: Sequence[str], _: JSONDict) -> object:
    return {"models": [_ollama_model(id) for id in models]}


def _ollama_running(models: Sequence[str], _: JSONDict) -> object:
    return {"models": [{**_ollama_model(models[0]), "context_length": _CONTEXT}]}


def _ollama_model(id: str) -> JSONDict:
    return {"name": id, "model": id, "modified_at": MADE, "size": 0, "digest": "", "details": {"format": "gguf"}}


def _ollama_show(_: Sequence[str], __: JSONDict) -> object:
    return {
        "template": "{{ .Prompt }}",
        "details": {"format": "gguf", "family": "scripted"},
        "model_info": {"general.architecture": "scripted", "scripted.context_length": _CONTEXT},
        "capabilities": ["completion", "tools", "thinking"],
    }


_CHAT, _RESPONSES = ChatFormat(), ResponsesFormat()
_OPENAI_FACTS: Mapping[str, Facts] = {"/v1/models": _openai_models}

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            Dialect(name="openai", answers={"/v1/chat/completions": _CHAT}, facts=_OPENAI_FACTS, base_path="/v1"),
            Dialect(
                name="openai_responses", answers={"/v1/responses": _RESPONSES}, facts=_OPENAI_FACTS, base_path="/v1"
            ),
            Dialect(
                name="anthropic",
                answers={"/v1/messages": MessagesFormat()},
                facts={"/v1/models": _anthropic_models},
            ),
            Dialect(
                name="llama_server",
                answers={
                    "/completion": CompletionFormat(),
                    "/v1/chat/completions": LlamaChatFormat(),
                },
                facts={
                    "/health": lambda _, __: {"status": "ok"},
                    "/v1/models": _llama_models,
                    "/props": _llama_props,
                    "/slots": lambda _, __: [{"id": 0, "n_ctx": _CONTEXT, "is_processing": False}],
                    "/apply-template": _llama_prompt,
                },
            ),
            Dialect(
                name="ollama",
                answers={"/api/chat": OllamaFormat()},
                facts={
                    "/api/tags": _ollama_models,
                    "/api/ps": _ollama_running,
                    "/api/version": lambda _, __: {"version": "0.9.3"},
                    "/api/show": _ollama_show,
                },
            ),
        )
    }
)
"""By name, in the order in which they are asked whether a path is theirs."""
