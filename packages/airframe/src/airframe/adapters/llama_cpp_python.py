"""llama.cpp in this process, through llama-cpp-python: for who has it built for their machine already."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from airframe._llama_cpp_python import load_llama
from airframe.adapters.in_process_adapter import InProcessAdapter
from airframe.endpoints import BackendKind, Limits, Timeouts
from airframe.protocols.llama_cpp_python import LlamaCppPythonProtocol
from airframe.retry import RetryPolicy

__all__ = ["LlamaCppPythonAdapter"]


class LlamaCppPythonAdapter(InProcessAdapter):
    """A model in this process. It is loaded by the first call, shared by all, and unloaded by `aclose`.

    It answers one request at a time; further ones wait. Closing or cancelling a stream stops the model at the next
    token, or between two pieces of the prompt.

    Args:
        chat_format: the library's name of a prompt format; None takes the template in the model's file.
            `chatml-function-calling` lets the model choose tools.
        chat_handler: one of the library's handlers that read images.
        context_window: in tokens; None takes `EndpointSpec.capacity.context_window`, else the model's.
        threads: of the processor; None leaves it to the library.
        gpu_layers: how many layers of the model go to the GPU; None leaves it to the library.
        configure: changes the arguments of `llama_cpp.Llama` just before the model is loaded.
        verbose: lets the library and llama.cpp log to the standard error of the process.

    `base_url` names the GGUF file: `EndpointSpec(base_url=Path("model.gguf").resolve().as_uri(), ...)`.

    Raises `ConfigurationError` where llama-cpp-python is not installed.
    """

    kind = BackendKind.LLAMA_CPP_PYTHON
    module = "llama_cpp"
    extra = "llama-cpp-python"

    def __init__(
        self,
        *,
        chat_format: str | None = None,
        chat_handler: Callable[..., Any] | None = None,
        context_window: int | None = None,
        threads: int | None = None,
        gpu_layers: int | None = None,
        configure: Callable[[dict[str, Any]], None] | None = None,
        verbose: bool = False,
        timeout: float | Timeouts | None = None,
        max_retries: int | None = None,
        retry: RetryPolicy | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(
            LlamaCppPythonProtocol(chat_format=chat_format, reads_images=chat_handler is not None),
            partial(load_llama, chat_format=chat_format, chat_handler=chat_handler),
            slots=1,
            context_window=context_window,
            threads=threads,
            gpu_layers=gpu_layers,
            configure=configure,
            verbose=verbose,
            timeout=timeout,
            max_retries=max_retries,
            retry=retry,
            limits=limits,
        )
