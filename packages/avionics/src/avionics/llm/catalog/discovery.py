"""What runs on this machine: Ollama, LM Studio, llama-server and MLX, and which models they have.

Every address is asked for everything that may listen there, at the same time, because ports are shared: 8080 is
llama-server's and MLX's. What answers a question in its own words is what it says it is; an answer that is anything
else means "somebody else". How each is recognized: their documentation and recorded answers (read 2026-11-20).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar, cast

import anyio

from airframe.adapters import Adapter, LlamaServerAdapter, LMStudioAdapter, MLXAdapter, OllamaAdapter
from airframe.adapters.ollama import OllamaModel
from airframe.endpoints import BackendKind, EndpointSpec, HealthReport, HealthState, Timeouts
from airframe.errors import AirframeError, ErrorCategory
from airframe.types import LlamaProps, ModelInfo
from avionics.llm.catalog.model_id import DEFAULT_PORTS, LocalRuntime, ModelId, place_of
from avionics.llm.catalog.model_spec import ModelSpec
from avionics.settings.model_specs import Capability, Modality, ReasoningRule

__all__ = ["DEFAULT_ADDRESSES", "FoundServer", "discover"]

T = TypeVar("T")

DEFAULT_ADDRESSES: tuple[str, ...] = tuple(
    f"http://127.0.0.1:{port}" for port in dict.fromkeys(sorted(DEFAULT_PORTS.values()))
)
"""Where local servers listen unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundServer:
    """A server that answered.

    Attributes:
        runtime: what it is, by its own words.
        base_url: where it listens.
        state: `loading` while it reads a model; `unhealthy` when it refuses to say more, as without its key.
        models: what it offers.
        detail: in words, what it said of itself or why it did not say more.
    """

    runtime: LocalRuntime
    base_url: str
    state: HealthState = HealthState.HEALTHY
    models: tuple[ModelSpec, ...] = ()
    detail: str = ""


async def discover(
    hosts: Sequence[str | EndpointSpec] = (),
    *,
    usual: Sequence[str] = DEFAULT_ADDRESSES,
    patience: float = 1.0,
) -> Sequence[FoundServer]:
    """The local servers that answer, in the order of their addresses.

    Args:
        hosts: where to look: URLs, or endpoints where a key is needed.
        usual: where to look besides.
        patience: seconds after which a silent server counts as none. Where nothing listens, that is known at once.

    Nothing is raised for what is not there. Raises airframe's `ConfigurationError` for a malformed URL.
    """
    places: dict[object, EndpointSpec] = {}
    for endpoint in map(_endpoint, (*hosts, *usual)):
        places.setdefault(place_of(endpoint.base_url), endpoint)
    found: dict[object, FoundServer] = {}
    async with AsyncExitStack() as stack:
        prober = _Prober(patience)
        for adapter in prober.adapters:
            await stack.enter_async_context(adapter)

        async def look(endpoint: EndpointSpec) -> None:
            if server := await prober.look_at(endpoint):
                found[place_of(endpoint.base_url)] = server

        async with anyio.create_task_group() as tasks:
            for endpoint in places.values():
                tasks.start_soon(look, endpoint)
    return [found[place] for place in places if place in found]


class _Prober:
    """Asks one address after the other in the words of each kind of server."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        limits = Timeouts(connect=patience, first_event=patience, idle=patience, attempt=patience, total=patience)
        self._llama = LlamaServerAdapter(timeout=limits, max_retries=0)
        self._ollama = OllamaAdapter(timeout=limits, max_retries=0)
        self._lm_studio = LMStudioAdapter(timeout=limits, max_retries=0)
        self._mlx = MLXAdapter(timeout=limits, max_retries=0)
        self.adapters = (self._llama, self._ollama, self._lm_studio, self._mlx)

    async def _health(self, adapter: Adapter, endpoint: EndpointSpec) -> HealthReport:
        with anyio.move_on_after(self._patience):  # health checks have limits of their own
            return await adapter.check_health(endpoint)
        return HealthReport(state=HealthState.UNREACHABLE)

    async def look_at(self, endpoint: EndpointSpec) -> FoundServer | None:
        """What listens there; None for nothing, and for a server of another kind."""
        probes = (self._llama_server_at, self._ollama_at, self._lm_studio_at, self._mlx_at)
        answers = await _together([partial(probe, endpoint) for probe in probes])
        return next((answer for answer in answers if answer), None)

    async def _llama_server_at(self, endpoint: EndpointSpec) -> FoundServer | None:
        """It alone has `/props` with a build, and a `/health` that says "Loading model"."""
        endpoint = _of_kind(endpoint, BackendKind.LLAMA_SERVER)
        try:
            props = await self._llama.props(endpoint)
            if props.build is None:
                return None
            models = await self._llama.list_models(endpoint)
        except AirframeError as error:
            if error.category is not ErrorCategory.LOADING:  # nobody else says "Loading model"
                return None
            return FoundServer(
                runtime="llama_server", base_url=endpoint.base_url, state=HealthState.LOADING, detail=str(error)
            )
        specs = tuple(_llama_spec(endpoint, model, props, alone=len(models) == 1) for model in models)
        return FoundServer(runtime="llama_server", base_url=endpoint.base_url, models=specs, detail=props.build)

    async def _ollama_at(self, endpoint: EndpointSpec) -> FoundServer | None:
        """It alone tells its version at `/api/version`, and its models at `/api/tags`."""
        endpoint = _of_kind(endpoint, BackendKind.OLLAMA)
        health = await self._health(self._ollama, endpoint)
        if not health.healthy:
            return None
        try:
            models = await self._ollama.list_models(endpoint)
        except AirframeError as error:
            return FoundServer(
                runtime="ollama", base_url=endpoint.base_url, state=HealthState.UNHEALTHY, detail=str(error)
            )
        shown = await _together([partial(self._shown, endpoint, model.id) for model in models])
        specs = tuple(_ollama_spec(endpoint, model, known) for model, known in zip(models, shown, strict=True))
        return FoundServer(runtime="ollama", base_url=endpoint.base_url, models=specs, detail=health.detail)

    async def _shown(self, endpoint: EndpointSpec, model: str) -> OllamaModel | None:
        try:
            return await self._ollama.show(endpoint, model)
        except AirframeError:
            return None

    async def _lm_studio_at(self, endpoint: EndpointSpec) -> FoundServer | None:
        """It alone lists models under `/api/v1/models`, or `/api/v0/models` before 0.4."""
        endpoint = _of_kind(endpoint, BackendKind.LM_STUDIO)
        try:
            models = await self._lm_studio.list_models(endpoint)
        except AirframeError:
            return None
        if not models or not all("key" in model.raw or "state" in model.raw for model in models):
            return None
        specs = tuple(_lm_studio_spec(endpoint, model) for model in models)
        loaded = sum(model.loaded is True for model in models)
        detail = f"{loaded} of {len(models)} models loaded"
        return FoundServer(runtime="lm_studio", base_url=endpoint.base_url, models=specs, detail=detail)

    async def _mlx_at(self, endpoint: EndpointSpec) -> FoundServer | None:
        """Of those with `/health` and `/v1/models`, it alone names no owner of a model."""
        endpoint = _of_kind(endpoint, BackendKind.MLX)
        try:
            if not (await self._health(self._mlx, endpoint)).healthy:
                return None
            models = await self._mlx.list_models(endpoint)
        except AirframeError:
            return None
        if not models or any("owned_by" in model.raw for model in models):
            return None
        specs = tuple(_spec(endpoint, "mlx", model) for model in models)
        return FoundServer(runtime="mlx", base_url=endpoint.base_url, models=specs, detail="mlx_lm.server")


def _endpoint(host: str | EndpointSpec) -> EndpointSpec:
    return host if isinstance(host, EndpointSpec) else EndpointSpec(base_url=host)


def _of_kind(endpoint: EndpointSpec, kind: BackendKind) -> EndpointSpec:
    return replace(endpoint, backend_kind=kind)


async def _together(questions: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """The answers to all questions, asked at the same time."""
    answers: dict[int, T] = {}

    async def ask(position: int, question: Callable[[], Awaitable[T]]) -> None:
        answers[position] = await question()

    async with anyio.create_task_group() as tasks:
        for position, question in enumerate(questions):
            tasks.start_soon(ask, position, question)
    return [answers[position] for position in range(len(questions))]


# -- what each server says of a model


def _spec(endpoint: EndpointSpec, runtime: LocalRuntime, model: ModelInfo) -> ModelSpec:
    """What all of them say."""
    return ModelSpec(
        id=str(ModelId.at(model.id, runtime, endpoint.base_url)),
        name=model.id,
        provider=runtime,
        runtime=runtime,
        context_window=model.context_window,
        loaded=model.loaded,
        loaded_context=model.context_window if model.loaded else None,
        source=endpoint.base_url,
    )


def _llama_spec(endpoint: EndpointSpec, model: ModelInfo, props: LlamaProps, *, alone: bool) -> ModelSpec:
    spec = _spec(endpoint, "llama_server", model)
    if not alone:  # a router's `/props` are not those of its models
        return spec
    template = cast("Mapping[str, object]", props.raw.get("chat_template_caps") or {})
    words: Mapping[str, Capability] = {"supports_tools": "tools", "supports_parallel_tool_calls": "parallel_tools"}
    window = props.context_window or spec.context_window
    return spec.model_copy(
        update={
            "context_window": window,
            "loaded_context": window,
            "chat_template": props.chat_template,
            "input_modalities": _modalities(vision="vision" in props.modalities, audio="audio" in props.modalities),
            "output_modalities": ("text",),
            "capabilities": {
                "streaming": True,
                "structured_output": True,
                **{ours: template[theirs] is True for theirs, ours in words.items() if theirs in template},
            },
        }
    )


def _ollama_spec(endpoint: EndpointSpec, model: ModelInfo, shown: OllamaModel | None) -> ModelSpec:
    spec = _spec(endpoint, "ollama", model)
    if shown is None:
        return spec
    update: dict[str, object] = {
        "context_window": shown.context_window or spec.context_window,
        "chat_template": shown.template,
    }
    if words := shown.capabilities:
        update["capabilities"] = {"streaming": True, "structured_output": True, "tools": "tools" in words}
        update["input_modalities"] = _modalities(vision="vision" in words)
        if "embedding" in words:
            update |= {"operation": "embedding", "output_modalities": ("embedding",)}
        if "thinking" in words:
            update["reasoning"] = ReasoningRule(default="on", modes=("adaptive", "disabled"))
    return spec.model_copy(update=update)


def _lm_studio_spec(endpoint: EndpointSpec, model: ModelInfo) -> ModelSpec:
    spec = _spec(endpoint, "lm_studio", model)
    raw = model.raw
    update: dict[str, object] = {}
    if raw.get("type") in {"embedding", "embeddings"}:
        update |= {"operation": "embedding", "output_modalities": ("embedding",)}
    match raw.get("capabilities"):
        case {"vision": bool(vision), "trained_for_tool_use": bool(tools)}:
            update |= {
                "capabilities": {"streaming": True, "tools": tools},
                "input_modalities": _modalities(vision=vision),
            }
        case [*words]:  # before 0.4
            vision = raw.get("type") == "vlm"
            update |= {
                "capabilities": {"streaming": True, "tools": "tool_use" in words},
                "input_modalities": _modalities(vision=vision),
            }
        case _:
            pass
    return spec.model_copy(update=update)


def _modalities(*, vision: bool, audio: bool = False) -> tuple[Modality, ...]:
    return ("text", *(("image",) if vision else ()), *(("audio",) if audio else ()))
