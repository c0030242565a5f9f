"""llama.cpp in this process, through xllamacpp: the answers of llama-server without a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from airframe._llama_cpp import load_server
from airframe.adapters.in_process_adapter import InProcessAdapter
from airframe.endpoints import BackendKind, EndpointSpec, Limits, Timeouts
from airframe.exchange import Prepared
from airframe.protocols.chat_dialect import LLAMA_SERVER
from airframe.protocols.openai_chat import OpenAIChatProtocol
from airframe.retry import RetryPolicy
from airframe.types.request import InferenceRequest

if TYPE_CHECKING:
    import xllamacpp

__all__ = ["LlamaCppAdapter"]


class LlamaCppAdapter(InProcessAdapter):
    """A model in this process. It is loaded by the first call, shared by all, and unloaded by `aclose`.

    Requests are answered by the handlers of llama.cpp's own server, so events, errors and counts are those of
    `LlamaServerAdapter`. Closing or cancelling a stream stops the model at the next token, or between two pieces of the
    prompt. Requests beyond `slots` wait.

    Args:
        slots: how many requests are worked on at once; None takes `EndpointSpec.capacity.slots`, else 1.
        context_window: tokens of context for each; None takes `EndpointSpec.capacity.context_window`, else the model's.
        threads: of the processor; None leaves it to llama.cpp.
        gpu_layers: how many layers of the model go to the GPU; None leaves it to llama.cpp.
        configure: changes llama.cpp's own parameters just before the model is loaded.
        verbose: lets llama.cpp log to the standard error of the process.

    `base_url` names the GGUF file: `EndpointSpec(base_url=Path("model.gguf").resolve().as_uri(), ...)`.

    Raises `ConfigurationError` where xllamacpp is not installed.
    """

    kind = BackendKind.LLAMA_CPP
    module = "xllamacpp"
    extra = "llamacpp"

    def __init__(
        self,
        *,
        slots: int | None = None,
        context_window: int | None = None,
        threads: int | None = None,
        gpu_layers: int | None = None,
        configure: Callable[[xllamacpp.CommonParams], None] | None = None,
        verbose: bool = False,
        timeout: float | Timeouts | None = None,
        max_retries: int | None = None,
        retry: RetryPolicy | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(
            OpenAIChatProtocol(LLAMA_SERVER),
            load_server,
            slots=slots,
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

    def encode(self, endpoint: EndpointSpec, request: InferenceRequest, *, stream: bool) -> Prepared:
        # Reports of progress give llama.cpp an occasion to stop while it reads the prompt.
        asked = replace(request, extra_params={"return_progress": True, **request.extra_params})
        return super().encode(endpoint, asked, stream=stream)
