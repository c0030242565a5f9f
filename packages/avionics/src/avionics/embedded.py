"""A real llama.cpp server inside this process, for demonstrations and tests: no key, no network, no model to download.

    with EmbeddedLlamaServer() as server:
        settings = Settings(llamaserver_host=server.base_url)

The server is llama.cpp's own (through xllamacpp), and so are its HTTP, its streaming and its counts. The model is not
one to talk with: half a million weights that hold one sentence (`airframe.testing.tiny_model`). It is written on first
use.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import platformdirs

import airframe
from avionics.errors import ConfigurationError

if TYPE_CHECKING:
    import xllamacpp

__all__ = ["EmbeddedLlamaServer", "tiny_model"]

_REQUIREMENTS: Final = ("xllamacpp", "gguf", "numpy")
_ERRORS_TO_CALLERS_ONLY, _TALKATIVE = 0, 3  # llama.cpp's log levels; it logs to the stderr of the process, below Python


class EmbeddedLlamaServer:
    """A context manager around a server on a free port of 127.0.0.1 that ends with the context.

    Args:
        model: the GGUF file to serve; None is the tiny scripted model.
        slots: requests served at once; the others wait.
        context_length: tokens of context in all, shared out between the slots.
        verbose: let llama.cpp log to stderr. What goes wrong in a request is told to its caller in any case.

    Raises:
        ConfigurationError: a package is missing, with the command that installs it; or, on entering the context, the
            model cannot be written or loaded.
    """

    model_name: Final = "tiny-scripted"
    """How the server names its model."""

    def __init__(
        self, model: Path | None = None, *, slots: int = 2, context_length: int = 4096, verbose: bool = False
    ) -> None:
        _require_packages()
        self._model = model
        self._slots = slots
        self._context_length = context_length
        self._verbosity = _TALKATIVE if verbose else _ERRORS_TO_CALLERS_ONLY
        self._server: xllamacpp.Server | None = None

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT`. Raises `RuntimeError` outside the context."""
        if self._server is None:
            raise RuntimeError("the embedded server runs inside its context only: with EmbeddedLlamaServer() as server")
        return self._server.listening_address

    def __enter__(self) -> Self:
        """Load the model and open the port; both have happened when this returns."""
        import xllamacpp

        path = self._model or tiny_model()
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.model_alias = {self.model_name}
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.n_parallel = self._slots
        params.n_ctx = self._context_length
        params.cpuparams.n_threads = 1  # more threads only wait for each other in a model of this size
        params.warmup = False
        params.use_jinja = True  # tool calls need the chat template
        params.endpoint_slots = params.endpoint_props = True
        params.verbosity = self._verbosity
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise ConfigurationError(
                f"llama.cpp cannot serve the model {path.name!r} ({error}); verbose=True shows why, and the scripted "
                "model is written again when its file is deleted"
            ) from error
        # A server that is stopped before its queue runs is never told so, and would be waited for without end
        # (xllamacpp 2026.10). An answer proves that the queue runs.
        self._server.handle_completions({"prompt": "Hi", "max_tokens": 1})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the server: it ends with the object that holds it."""
        self._server = None


def tiny_model() -> Path:
    """The scripted model in the user's cache folder, written if it is not there yet.

    Raises `ConfigurationError` when the folder cannot be written.
    """
    folder = platformdirs.user_cache_path("avionics")
    path = folder / f"tiny-scripted-{airframe.__version__}.gguf"
    if not path.exists():
        from airframe.testing.tiny_model import write_tiny_model

        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_tiny_model(path)
        except OSError as error:
            raise ConfigurationError(
                f"the scripted model cannot be written to the cache folder {folder}: {error.strerror}; "
                "set XDG_CACHE_HOME to a folder that can be written"
            ) from error
    return path


def _require_packages() -> None:
    missing = [name for name in _REQUIREMENTS if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"the embedded server needs {', '.join(missing)}, which the extra 'demo' installs: "
            "pip install 'jeeves-avionics[demo]'"
        )
