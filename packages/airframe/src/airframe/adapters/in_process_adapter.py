"""What adapters of models in this process share: a model is a file, and only a stream can be stopped between tokens."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from airframe._in_process import InProcessTransport, Load, ModelOptions, existing_model
from airframe.adapters.http_adapter import HttpAdapter
from airframe.endpoints import EndpointSpec, Limits, Timeouts
from airframe.errors import AirframeError, ConfigurationError
from airframe.exchange import Exchange
from airframe.protocols.protocol import Protocol
from airframe.retry import RetryPolicy
from airframe.types.request import InferenceRequest
from airframe.types.result import InferenceResult, ModelInfo

__all__ = ["InProcessAdapter"]


class InProcessAdapter(HttpAdapter):
    """A model in this process, behind the seam of HTTP. It is loaded by the first call, and unloaded by `aclose`.

    Args:
        protocol: the wire format of its answers.
        load: reads a model from its file.
        slots: None takes `EndpointSpec.capacity.slots`, else 1. `context_window` likewise, else the model's.

    Raises `ConfigurationError` where `module`, the runtime, is not installed.
    """

    default_timeouts = Timeouts.local()
    module: ClassVar[str]
    extra: ClassVar[str]

    def __init__(
        self,
        protocol: Protocol,
        load: Load,
        *,
        slots: int | None,
        context_window: int | None,
        threads: int | None,
        gpu_layers: int | None,
        configure: Callable[[Any], None] | None,
        verbose: bool,
        timeout: float | Timeouts | None,
        max_retries: int | None,
        retry: RetryPolicy | None,
        limits: Limits | None,
    ) -> None:
        if importlib.util.find_spec(self.module) is None:
            raise ConfigurationError(
                f"a model in this process needs {self.module}, which is not installed: "
                f"pip install 'jeeves-airframe[{self.extra}]'"
            ) from ModuleNotFoundError(f"No module named {self.module!r}", name=self.module)
        for name, value in (("slots", slots), ("context_window", context_window), ("threads", threads)):
            if value is not None and value < 1:
                raise ConfigurationError(f"{name} must be a positive integer, got {value}")

        def options(endpoint: EndpointSpec) -> ModelOptions:
            return ModelOptions(
                slots=slots or endpoint.capacity.slots or 1,
                context_window=context_window or endpoint.capacity.context_window,
                threads=threads,
                gpu_layers=gpu_layers,
                verbose=verbose,
                configure=configure,
            )

        self._models = InProcessTransport(load, options)
        super().__init__(
            protocol, timeout=timeout, max_retries=max_retries, retry=retry, limits=limits, transport=self._models
        )

    async def infer(self, endpoint: EndpointSpec, request: InferenceRequest) -> InferenceResult:
        """Streams inside, because only a stream can be stopped between tokens."""
        async with self.stream_infer(endpoint, request) as stream:
            try:
                async for _ in stream:
                    pass
            except AirframeError as error:
                error.committed = False  # the pieces stayed here
                raise
            return stream.result

    async def list_models(self, endpoint: EndpointSpec) -> Sequence[ModelInfo]:
        """The one model that the endpoint names."""
        path = existing_model(endpoint)
        return [
            ModelInfo(
                id=path.stem,
                context_window=endpoint.capacity.context_window,
                loaded=self._models.is_loaded(endpoint),
            )
        ]

    async def aclose(self) -> None:
        """Stop what runs, and unload the models."""
        await self._models.aclose()

    async def probe(self, exchange: Exchange) -> str:
        """Looks whether the file is there; nothing is loaded for it."""
        existing_model(exchange.endpoint)
        return "loaded" if self._models.is_loaded(exchange.endpoint) else "not loaded yet"
