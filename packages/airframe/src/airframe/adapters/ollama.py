"""Ollama over its own API. Source: Ollama fb30760 (August 2026), recordings of 0.9.3 (read 2026-11-20)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Unpack, cast

from airframe.adapters.http_adapter import HttpAdapter, HttpOptions
from airframe.endpoints import BackendKind, EndpointSpec, Timeouts
from airframe.errors import BackendError, ConfigurationError, ErrorCategory, MalformedAnswerError, Phase
from airframe.exchange import Exchange, Prepared
from airframe.protocols.ollama_chat import OllamaChatProtocol
from airframe.protocols.protocol import body_bytes
from airframe.protocols.reading import JSONDict, array_in, object_in, objects_in, parse_object, text_in, whole_number_in
from airframe.types.json_value import JSONObject, JSONValue
from airframe.types.request import InferenceRequest
from airframe.types.result import ModelInfo

__all__ = ["OllamaAdapter", "OllamaModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaModel:
    """What `/api/show` says of a model.

    `context_window` is the longest that the model was made for, in tokens; what is used is `num_ctx`. `capabilities`
    are Ollama's words (`completion`, `tools`, `vision`, `thinking`, `embedding`, `insert`); empty where an old server
    names none. `raw` is the whole answer.
    """

    capabilities: frozenset[str] = frozenset()
    context_window: int | None = None
    parameters: str | None = None
    template: str | None = None
    raw: JSONObject = field(default_factory=dict[str, JSONValue], repr=False)


class OllamaAdapter(HttpAdapter):
    """Ollama, native.

    Args:
        num_ctx: tokens of context to ask for; None takes `EndpointSpec.capacity.context_window`, and if that is unknown
            too, Ollama's own default, which is small: longer prompts lose their beginning without an error.
        keep_alive: how long the model stays loaded after a call: seconds, or a text such as `10m`; -1 is for ever.

    `base_url` is the server's root, such as `http://127.0.0.1:11434`; a `/v1` or `/api` at its end is left out.
    """

    kind = BackendKind.OLLAMA
    default_timeouts = Timeouts.local()
    models_path = "/api/tags"

    def __init__(
        self,
        *,
        num_ctx: int | None = None,
        keep_alive: str | float | None = None,
        **options: Unpack[HttpOptions],
    ) -> None:
        if num_ctx is not None and num_ctx < 1:
            raise ConfigurationError(f"num_ctx must be a positive number of tokens, got {num_ctx}")
        self._num_ctx = num_ctx
        self._keep_alive = keep_alive
        super().__init__(OllamaChatProtocol(num_ctx=num_ctx, keep_alive=keep_alive), **options)

    async def show(self, endpoint: EndpointSpec, model: str) -> OllamaModel:
        """What is known of a model. Raises `AirframeError`."""

        async def attempt(exchange: Exchange) -> OllamaModel:
            request = self.post(endpoint, "/api/show", body_bytes({"model": model}, {}))
            return _model(parse_object(await exchange.ask(request, self.protocol)))

        return await self._call(endpoint).run(attempt)

    async def list_models(self, endpoint: EndpointSpec) -> Sequence[ModelInfo]:
        """The installed models; `context_window` is that of a loaded one, where the server tells it."""

        async def attempt(exchange: Exchange) -> Sequence[ModelInfo]:
            installed = objects_in(parse_object(await self.get(exchange, self.models_path)), "models")
            loaded = await self._loaded(exchange)
            return [_model_info(row, loaded) for row in installed]

        return await self._call(endpoint).run(attempt)

    def url(self, endpoint: EndpointSpec, path: str) -> str:
        return endpoint.base_url.removesuffix("/v1").removesuffix("/api") + path

    def encode(self, endpoint: EndpointSpec, request: InferenceRequest, *, stream: bool) -> Prepared:
        protocol = OllamaChatProtocol(
            num_ctx=self._num_ctx or endpoint.capacity.context_window, keep_alive=self._keep_alive
        )
        wire = protocol.encode(request, model=request.model or endpoint.model, stream=stream)
        http = self.post(endpoint, wire.path, wire.body, stream=stream, extra_headers=request.extra_headers)
        options = self.decode_options(endpoint, request)
        return Prepared(http=http, format=protocol, warnings=wire.warnings, options=options)

    async def probe(self, exchange: Exchange) -> str:
        version = text_in(parse_object(await self.get(exchange, "/api/version")), "version")
        if version is None:
            raise MalformedAnswerError("/api/version answered without a version", phase=Phase.CONTENT)
        return f"Ollama {version}"

    async def _loaded(self, exchange: Exchange) -> dict[str, JSONDict] | None:
        """The loaded models by name; None where the server is too old to say."""
        try:
            rows = objects_in(parse_object(await self.get(exchange, "/api/ps")), "models")
        except BackendError as error:
            if error.category is ErrorCategory.UNSUPPORTED:
                return None
            raise
        return {_name(row): row for row in rows}


def _name(row: JSONDict) -> str:
    name = text_in(row, "model") or text_in(row, "name")
    if not name:
        raise MalformedAnswerError("the backend lists a model without a name", phase=Phase.CONTENT)
    return name


def _model_info(row: JSONDict, loaded: dict[str, JSONDict] | None) -> ModelInfo:
    name = _name(row)
    running = (loaded or {}).get(name)
    return ModelInfo(
        id=name,
        context_window=whole_number_in(running, "context_length") if running else None,
        loaded=None if loaded is None else running is not None,
        raw=cast("JSONObject", row),
    )


def _model(document: JSONDict) -> OllamaModel:
    info = object_in(document, "model_info") or {}
    architecture = text_in(info, "general.architecture")
    return OllamaModel(
        capabilities=frozenset(item for item in array_in(document, "capabilities") if isinstance(item, str)),
        context_window=whole_number_in(info, f"{architecture}.context_length"),
        parameters=text_in(document, "parameters"),
        template=text_in(document, "template"),
        raw=cast("JSONObject", document),
    )
