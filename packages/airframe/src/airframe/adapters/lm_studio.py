"""LM Studio: chat completions, and its own REST for what is loaded.

Sources: lmstudio-ai/docs c6854fb, lmstudio-bug-tracker (read 2026-11-20). An unknown path is answered with 200 and a
body that holds only `error`: here it is the error that it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from airframe.adapters.openai_chat import OpenAICompatibleAdapter
from airframe.endpoints import BackendKind, EndpointSpec, Timeouts
from airframe.errors import BackendError, ErrorCategory, MalformedAnswerError, Phase
from airframe.exchange import Exchange
from airframe.protocols.backend_error import error_in
from airframe.protocols.local_dialects import LM_STUDIO
from airframe.protocols.reading import JSONDict, object_in, objects_in, parse_object, text_in, whole_number_in
from airframe.types.json_value import JSONObject
from airframe.types.result import ModelInfo

__all__ = ["LMStudioAdapter"]


class LMStudioAdapter(OpenAICompatibleAdapter):
    """LM Studio. `base_url` is the server's root, such as `http://127.0.0.1:1234`; `/v1` at its end is left out."""

    kind = BackendKind.LM_STUDIO
    default_dialect = LM_STUDIO
    default_timeouts = Timeouts.local()

    def url(self, endpoint: EndpointSpec, path: str) -> str:
        prefix = "" if path.startswith("/api/") else "/v1"
        return endpoint.base_url.removesuffix("/v1") + prefix + path

    async def list_models(self, endpoint: EndpointSpec) -> Sequence[ModelInfo]:
        """The downloaded models and whether they are loaded; `context_window` is that of the loaded one."""
        return await self._call(endpoint).run(self._models)

    async def probe(self, exchange: Exchange) -> str:
        models = await self._models(exchange)
        return f"{sum(model.loaded is True for model in models)} of {len(models)} models loaded"

    async def _models(self, exchange: Exchange) -> Sequence[ModelInfo]:
        """From the current REST, or from the old one (before 0.4)."""
        try:
            return [_model_info(row) for row in objects_in(await self._document(exchange, "/api/v1/models"), "models")]
        except BackendError as error:
            if error.category not in {ErrorCategory.UNSUPPORTED, ErrorCategory.NOT_FOUND}:
                raise
        return [_old_model_info(row) for row in objects_in(await self._document(exchange, "/api/v0/models"), "data")]

    async def _document(self, exchange: Exchange, path: str) -> JSONDict:
        body = await self.get(exchange, path)
        document = parse_object(body)
        if document.get("error"):
            raise LM_STUDIO.errors.error(error_in(document), status=200, headers={}, raw=body)
        return document


def _model_info(row: JSONDict) -> ModelInfo:
    """A row of `/api/v1/models`; `key` is the name to ask for."""
    instances = objects_in(row, "loaded_instances")
    config = object_in(instances[0], "config") if instances else None
    loaded_context = whole_number_in(config, "context_length") if config else None
    return ModelInfo(
        id=_id(row, "key"),
        owned_by=text_in(row, "publisher"),
        context_window=loaded_context or whole_number_in(row, "max_context_length"),
        loaded=bool(instances),
        raw=cast("JSONObject", row),
    )


def _old_model_info(row: JSONDict) -> ModelInfo:
    """A row of `/api/v0/models`."""
    state = text_in(row, "state")
    return ModelInfo(
        id=_id(row, "id"),
        owned_by=text_in(row, "publisher"),
        context_window=whole_number_in(row, "loaded_context_length") or whole_number_in(row, "max_context_length"),
        loaded=None if state is None else state == "loaded",
        raw=cast("JSONObject", row),
    )


def _id(row: JSONDict, key: str) -> str:
    if not (id := text_in(row, key)):
        raise MalformedAnswerError(f"the backend lists a model without {key!r}", phase=Phase.CONTENT)
    return id
