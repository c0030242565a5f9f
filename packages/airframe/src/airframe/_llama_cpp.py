"""llama.cpp through xllamacpp (2026.10): the handlers of llama.cpp's server, without HTTP. Nothing else knows it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic_core import to_json

from airframe._in_process import Generation, LoadedModel, ModelOptions
from airframe.errors import BackendError, ErrorCategory, Phase

if TYPE_CHECKING:
    import xllamacpp

__all__ = ["load_server"]


def load_server(path: Path, options: ModelOptions) -> LoadedModel:
    """A model behind the handlers of llama.cpp's server. Raises `BackendError`."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    setattr(params, "model_alias", {path.stem})  # noqa: B010  (mypy and the stub disagree about sets of bytes)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    # The handlers come with an HTTP server that cannot be left out. Nobody knows its key.
    params.api_keys = [secrets.token_hex(16)]
    params.n_parallel = options.slots
    params.n_ctx = (options.context_window or 0) * options.slots
    params.warmup = False
    params.use_jinja = True
    params.verbosity = 3 if options.verbose else 0
    if options.threads is not None:
        params.cpuparams.n_threads = options.threads
    if options.gpu_layers is not None:
        params.n_gpu_layers = options.gpu_layers
    if options.configure is not None:
        options.configure(params)
    try:
        server = xllamacpp.Server(params)
        # A server that is dropped before its queue runs is waited for without end. An answer proves that it runs.
        server.handle_completions({"prompt": "Hi", "max_tokens": 1})
    except (RuntimeError, ValueError) as error:
        raise BackendError(
            f"llama.cpp cannot load {path.name!r}: {error}; verbose=True shows why",
            category=ErrorCategory.SERVER,
            phase=Phase.BEFORE_SEND,
            retryable=False,
        ) from error
    return _ServerModel(server)


class _ServerModel(LoadedModel):
    def __init__(self, server: xllamacpp.Server) -> None:
        self._server = server

    def answer(self, generation: Generation) -> None:
        def take(piece: bytes) -> bool:
            if b'"prompt_progress":' in piece:  # asked for only to be asked between two pieces of the prompt
                return generation.abandoned
            return generation.take(piece)

        try:
            self._server.handle_chat_completions(generation.body, take)
        except (ValueError, RuntimeError) as error:
            # Worded as llama-server words it (recorded).
            said = {"code": 400, "message": str(error), "type": "invalid_request_error"}
            generation.take(to_json({"error": said}))

    def close(self) -> None:
        del self._server  # it stops when nobody holds it
