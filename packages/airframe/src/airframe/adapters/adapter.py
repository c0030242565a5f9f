"""The interface of every adapter: what a caller uses, and what a fake in a test implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import ClassVar, Self

from airframe.endpoints import EndpointSpec, HealthReport, ServerLoad
from airframe.preview import RequestPreview
from airframe.stream import InferenceStream
from airframe.types.request import InferenceRequest
from airframe.types.result import InferenceResult, ModelInfo

__all__ = ["Adapter"]


class Adapter(ABC):
    """Speaks to one kind of backend. Safe to share between tasks; close it, or use it as an async context manager."""

    kind: ClassVar[str]
    """The backend kind it speaks to, as in `EndpointSpec.backend_kind`."""

    @abstractmethod
    def stream_infer(self, endpoint: EndpointSpec, request: InferenceRequest) -> InferenceStream:
        """Ask, and hand out the answer as it comes. Errors are raised while iterating."""

    @abstractmethod
    async def infer(self, endpoint: EndpointSpec, request: InferenceRequest) -> InferenceResult:
        """Ask, and wait for the whole answer. Raises `AirframeError`."""

    def preview(
        self,
        endpoint: EndpointSpec,  # noqa: ARG002 - for those that send something
        request: InferenceRequest,  # noqa: ARG002
        *,
        stream: bool = False,  # noqa: ARG002
    ) -> RequestPreview | None:
        """What would be sent for an answer. Nothing is sent; None where nothing would be, because the model is here.

        Raises `AirframeError` for what cannot be asked.
        """
        return None

    @abstractmethod
    async def check_health(self, endpoint: EndpointSpec) -> HealthReport:
        """Look whether the endpoint can take a call now. The report says what was found; it never raises."""

    async def check_load(self, endpoint: EndpointSpec) -> ServerLoad:  # noqa: ARG002 - for those who can tell
        """What the endpoint is occupied with, as far as it says so. What cannot be found out is None; never raises."""
        return ServerLoad()

    @abstractmethod
    async def list_models(self, endpoint: EndpointSpec) -> Sequence[ModelInfo]:
        """The models that the endpoint offers. Raises `AirframeError`."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close what is open. The adapter may be used again afterwards."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
