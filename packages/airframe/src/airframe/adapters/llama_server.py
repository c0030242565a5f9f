"""llama-server, the HTTP server of llama.cpp. Source: llama.cpp 0c1e570 and its recorded answers (read 2026-11-20).

What only llama.cpp knows goes in as `extra_params`, under its own names: `{"grammar": "root ::= ..."}` (GBNF),
`{"cache_prompt": False}`, `{"id_slot": 0}`. What it measured is `LlamaTimings.of(result.timings)`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Unpack, cast

from pydantic_core import from_json

from airframe.adapters.http_adapter import HttpAdapter, HttpOptions, as_probe, told
from airframe.endpoints import BackendKind, EndpointSpec, ServerLoad, Timeouts
from airframe.errors import ConfigurationError, MalformedAnswerError, Phase
from airframe.exchange import Exchange, Prepared
from airframe.preview import RequestPreview
from airframe.protocols.chat_dialect import LLAMA_SERVER
from airframe.protocols.llama_completion import LlamaCompletionProtocol
from airframe.protocols.openai_chat import OpenAIChatProtocol
from airframe.protocols.protocol import body_bytes
from airframe.protocols.reading import (
    JSONDict,
    array_in,
    object_in,
    parse_object,
    parse_objects,
    text_in,
    whole_number_in,
)
from airframe.types.json_value import JSONObject, JSONValue
from airframe.types.llama import LlamaProps, LlamaSlot
from airframe.types.request import InferenceRequest, Markup
from airframe.types.result import ModelInfo

__all__ = ["LlamaServerAdapter"]

_DEFERRED = re.compile(rb"^llamacpp:requests_deferred (\d{1,9})$", re.MULTILINE)


class LlamaServerAdapter(HttpAdapter):
    """llama-server, in one of its two ways of speaking.

    Args:
        api_type: `openai` for chat completions, with tools and reasoning; `native` for llama.cpp's own `/completion`,
            with the server's own chat template applied first.

    `base_url` is the server's root, such as `http://127.0.0.1:8080`; a `/v1` at its end is left out.
    """

    kind = BackendKind.LLAMA_SERVER
    default_timeouts = Timeouts.local()
    models_path = "/v1/models"

    def __init__(self, *, api_type: Literal["openai", "native"] = "openai", **options: Unpack[HttpOptions]) -> None:
        if api_type not in {"openai", "native"}:
            raise ConfigurationError(f"api_type must be 'openai' or 'native', got {api_type!r}")
        self._native = LlamaCompletionProtocol() if api_type == "native" else None
        super().__init__(self._native or OpenAIChatProtocol(LLAMA_SERVER), **options)

    def url(self, endpoint: EndpointSpec, path: str) -> str:
        prefix = "/v1" if path.startswith("/chat/") else ""
        return endpoint.base_url.removesuffix("/v1") + prefix + path

    async def prepare(self, exchange: Exchange, request: InferenceRequest, *, stream: bool) -> Prepared:
        native = self._native
        if native is None:
            return await super().prepare(exchange, request, stream=stream)
        template = native.encode_template(request)
        body = await exchange.ask(self.post(exchange.endpoint, template.path, template.body), native)
        prompt = native.decode_template(body)
        wire = native.encode_prompt(request, prompt, model=request.model or exchange.endpoint.model, stream=stream)
        http = self.post(exchange.endpoint, wire.path, wire.body, stream=stream, extra_headers=request.extra_headers)
        warnings = (*template.warnings, *wire.warnings)
        options = self.decode_options(exchange.endpoint, request)
        if (request.markup or exchange.endpoint.markup) in {None, "think"}:
            options = replace(options, markup=_markup(request, prompt))
        return Prepared(http=http, format=native, warnings=warnings, options=options)

    def preview(self, endpoint: EndpointSpec, request: InferenceRequest, *, stream: bool = False) -> RequestPreview:
        """Of the native API the request for the prompt, which the server makes of the messages: it is asked first."""
        preview = super().preview(endpoint, request, stream=stream)
        if self._native is None:
            return preview
        template = self._native.encode_template(request)
        url = self.url(endpoint, template.path)
        return replace(preview, url=url, body=cast("JSONValue", from_json(template.body)), warnings=template.warnings)

    async def props(self, endpoint: EndpointSpec) -> LlamaProps:
        """The server's context, template and build. Raises `AirframeError`."""

        async def attempt(exchange: Exchange) -> LlamaProps:
            return _props(parse_object(await self.get(exchange, "/props")))

        return await self._call(endpoint).run(attempt)

    async def slots(self, endpoint: EndpointSpec) -> Sequence[LlamaSlot]:
        """What is worked on now. Raises `AirframeError`, `unsupported` where the server runs without `--slots`."""

        async def attempt(exchange: Exchange) -> Sequence[LlamaSlot]:
            return [_slot(row) for row in parse_objects(await self.get(exchange, "/slots"))]

        return await self._call(endpoint).run(attempt)

    async def check_load(self, endpoint: EndpointSpec) -> ServerLoad:
        """What `/slots` (else `/props`) and, where the server runs with `--metrics`, `/metrics` say."""
        load = await super().check_load(endpoint)
        endpoint = as_probe(endpoint)
        load = replace(load, waiting=await told(self._waiting(endpoint)))
        if (slots := await told(self.slots(endpoint))) is not None:
            return replace(load, slots=len(slots), busy_slots=sum(slot.processing for slot in slots))
        props = await told(self.props(endpoint))
        return replace(load, slots=props.slots) if props else load

    async def _waiting(self, endpoint: EndpointSpec) -> int | None:
        """How many requests wait for a slot."""

        async def attempt(exchange: Exchange) -> int | None:
            found = _DEFERRED.search(await self.get(exchange, "/metrics"))
            return int(found.group(1)) if found else None

        return await self._call(endpoint).run(attempt)

    async def tokenize(self, endpoint: EndpointSpec, text: str, *, special: bool = False) -> Sequence[int]:
        """The tokens of a text; `special` reads control tokens as such, and adds those that begin a prompt.

        Raises `AirframeError`.
        """

        async def attempt(exchange: Exchange) -> Sequence[int]:
            body = body_bytes({"content": text, "add_special": special, "parse_special": special}, {})
            answer = await exchange.ask(self.post(endpoint, "/tokenize", body), self.protocol)
            tokens = array_in(parse_object(answer), "tokens")
            return [token for token in tokens if isinstance(token, int)]

        return await self._call(endpoint).run(attempt)

    async def apply_template(self, endpoint: EndpointSpec, request: InferenceRequest) -> str:
        """The prompt that the server's chat template makes of the messages. Raises `AirframeError`."""
        native = self._native or LlamaCompletionProtocol()

        async def attempt(exchange: Exchange) -> str:
            template = native.encode_template(request)
            answer = await exchange.ask(self.post(endpoint, template.path, template.body), native)
            return native.decode_template(answer)

        return await self._call(endpoint).run(attempt)

    def model_info(self, raw: JSONDict) -> ModelInfo:
        """With the context window, and in router mode whether the model is loaded."""
        meta = object_in(raw, "meta") or {}
        status = object_in(raw, "status")
        return replace(
            super().model_info(raw),
            context_window=whole_number_in(meta, "n_ctx") or whole_number_in(meta, "n_ctx_train"),
            loaded=text_in(status, "value") == "loaded" if status else True,
        )

    async def probe(self, exchange: Exchange) -> str:
        """`/health` answers without a key, and says 503 while the model loads."""
        status = parse_object(await self.get(exchange, "/health")).get("status")
        return status if isinstance(status, str) and status else "ok"


def _markup(request: InferenceRequest, prompt: str) -> Markup:
    """How the answer to `prompt` marks reasoning. `/completion` does not split it off, as chat completions does.

    Whether the template has opened a thought, only the prompt tells. An answer that is held to a grammar cannot close
    one: it is the answer from its first character on.
    """
    if request.response_format not in (None, "text") or {"grammar", "json_schema"} & request.extra_params.keys():
        return "none"
    prompt = prompt.rstrip()
    if prompt.endswith("<|start|>assistant"):
        return "harmony"
    return "think_open" if prompt.endswith("<think>") else "think"


def _props(document: JSONDict) -> LlamaProps:
    modalities = object_in(document, "modalities") or {}
    sleeping = document.get("is_sleeping")
    return LlamaProps(
        context_window=whole_number_in(object_in(document, "default_generation_settings") or {}, "n_ctx"),
        slots=whole_number_in(document, "total_slots"),
        chat_template=text_in(document, "chat_template"),
        build=text_in(document, "build_info"),
        model_path=text_in(document, "model_path"),
        modalities=frozenset(name for name, there in modalities.items() if there is True),
        sleeping=sleeping if isinstance(sleeping, bool) else None,
        raw=cast("JSONObject", document),
    )


def _slot(row: JSONDict) -> LlamaSlot:
    id = whole_number_in(row, "id")
    if id is None:
        raise MalformedAnswerError("the backend lists a slot without an id", phase=Phase.CONTENT)
    return LlamaSlot(
        id=id,
        processing=row.get("is_processing") is True,
        context_window=whole_number_in(row, "n_ctx"),
        raw=cast("JSONObject", row),
    )
