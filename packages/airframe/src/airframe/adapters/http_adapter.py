"""What all adapters over HTTP share: a host dialect is a URL, a way to show the key, and a wire format."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, TypedDict, TypeVar, cast

import anyio
from pydantic_core import from_json

from airframe._version import __version__
from airframe.adapters.adapter import Adapter
from airframe.endpoints import EndpointSpec, HealthReport, HealthState, Limits, ServerLoad, Timeouts
from airframe.errors import AirframeError, ConfigurationError, ErrorCategory, MalformedAnswerError, Phase
from airframe.exchange import Call, Exchange, HttpEventSource, Prepared, read_whole_answer
from airframe.preview import RequestPreview
from airframe.protocols.protocol import DecodeOptions, Protocol
from airframe.protocols.reading import JSONDict, objects_in, parse_object, text_in
from airframe.retry import RetryBudget, RetryPolicy
from airframe.stream import InferenceStream
from airframe.transport import HttpRequest, Transport
from airframe.types.json_value import JSONObject, JSONValue
from airframe.types.request import InferenceRequest, Markup
from airframe.types.result import InferenceResult, ModelInfo

__all__ = ["HttpAdapter", "HttpOptions", "as_probe", "told"]

AnswerT = TypeVar("AnswerT")

PROBE_TIMEOUTS = Timeouts(connect=2.0, first_event=5.0, idle=5.0, attempt=5.0, total=5.0)
"""For health checks: who does not answer a trivial question in five seconds cannot take a call."""


class HttpOptions(TypedDict, total=False):
    """What every adapter over HTTP may be given; `HttpAdapter` says what it means."""

    timeout: float | Timeouts | None
    max_retries: int | None
    retry: RetryPolicy | None
    limits: Limits | None
    transport: Transport | None


class HttpAdapter(Adapter):
    """An adapter over HTTP.

    Args:
        protocol: the wire format that the backend speaks.
        timeout: the five timeouts, or a number of seconds for each attempt.
        max_retries: further attempts at the same endpoint; 0 turns retrying off.
        retry: the whole policy, when the number is not enough.
        limits: how large an answer may be.
        transport: shared with other adapters, if given; then closing it is its owner's business.

    Raises `ConfigurationError`.
    """

    default_timeouts = Timeouts()
    default_markup: ClassVar[Markup] = "none"

    def __init__(
        self,
        protocol: Protocol,
        *,
        timeout: float | Timeouts | None = None,
        max_retries: int | None = None,
        retry: RetryPolicy | None = None,
        limits: Limits | None = None,
        transport: Transport | None = None,
    ) -> None:
        if retry is not None and max_retries is not None:
            raise ConfigurationError("give max_retries or retry, not both: the policy has a max_retries of its own")
        self.protocol = protocol
        self._timeouts = self.default_timeouts if timeout is None else Timeouts.of(timeout, self.default_timeouts)
        self._retry = retry or (RetryPolicy() if max_retries is None else RetryPolicy(max_retries=max_retries))
        self._budgets: defaultdict[str, RetryBudget] = defaultdict(self._retry.new_budget)
        self._limits = limits or Limits()
        self._transport = transport or _http_transport()
        self._owns_transport = transport is None

    # -- the host dialect

    def url(self, endpoint: EndpointSpec, path: str) -> str:
        """Where `path` of the wire format is found."""
        return endpoint.base_url + path

    def headers(self, endpoint: EndpointSpec) -> Mapping[str, str]:
        """How the key is shown."""
        return {"authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}

    models_path = "/models"

    def model_info(self, raw: JSONDict) -> ModelInfo:
        """One row of the model list. Raises `MalformedAnswerError` for one without an id."""
        id = text_in(raw, "id")
        if not id:
            raise MalformedAnswerError("the backend lists a model without an id", phase=Phase.CONTENT)
        return ModelInfo(id=id, owned_by=text_in(raw, "owned_by"), raw=cast("JSONObject", raw))

    # -- the interface

    def stream_infer(self, endpoint: EndpointSpec, request: InferenceRequest) -> InferenceStream:
        prepare = partial(self.prepare, request=request, stream=True)
        return InferenceStream(HttpEventSource(self._call(endpoint), prepare))

    async def infer(self, endpoint: EndpointSpec, request: InferenceRequest) -> InferenceResult:
        prepare = partial(self.prepare, request=request, stream=False)
        return await self._call(endpoint).run(partial(read_whole_answer, prepare=prepare))

    def preview(self, endpoint: EndpointSpec, request: InferenceRequest, *, stream: bool = False) -> RequestPreview:
        prepared = self.encode(endpoint, request, stream=stream)
        http, call = prepared.http, self._call(endpoint)
        return RequestPreview(
            method=http.method,
            url=http.url,
            body=cast("JSONValue", from_json(http.body)),
            warnings=tuple(prepared.warnings),
            timeouts=call.timeouts,
            max_retries=call.retry.max_retries,
        )

    async def check_health(self, endpoint: EndpointSpec) -> HealthReport:
        started = anyio.current_time()
        try:
            detail = await self._call(endpoint, PROBE_TIMEOUTS, RetryPolicy(max_retries=0)).run(self.probe)
        except AirframeError as error:
            return HealthReport(state=_state(error), detail=str(error))
        return HealthReport(state=HealthState.HEALTHY, detail=detail, latency=anyio.current_time() - started)

    async def check_load(self, endpoint: EndpointSpec) -> ServerLoad:
        models = await told(self.list_models(as_probe(endpoint)))
        if models is None or all(model.loaded is None for model in models):
            return ServerLoad()
        return ServerLoad(loaded_models=tuple(model.id for model in models if model.loaded))

    async def list_models(self, endpoint: EndpointSpec) -> Sequence[ModelInfo]:
        async def attempt(exchange: Exchange) -> Sequence[ModelInfo]:
            rows = objects_in(parse_object(await self.get(exchange, self.models_path)), "data")
            return [self.model_info(row) for row in rows]

        return await self._call(endpoint).run(attempt)

    async def aclose(self) -> None:
        if self._owns_transport:
            await self._transport.aclose()

    # -- for subclasses

    async def prepare(self, exchange: Exchange, request: InferenceRequest, *, stream: bool) -> Prepared:
        """Make the request of one attempt. Override to ask the backend something first."""
        return self.encode(exchange.endpoint, request, stream=stream)

    def encode(self, endpoint: EndpointSpec, request: InferenceRequest, *, stream: bool) -> Prepared:
        """The request in the backend's words. Pure."""
        wire = self.protocol.encode(request, model=request.model or endpoint.model, stream=stream)
        http = self.post(endpoint, wire.path, wire.body, stream=stream, extra_headers=request.extra_headers)
        options = self.decode_options(endpoint, request)
        return Prepared(http=http, format=self.protocol, warnings=wire.warnings, options=options)

    def decode_options(self, endpoint: EndpointSpec, request: InferenceRequest) -> DecodeOptions:
        """How the answer is to be read."""
        markup = request.markup or endpoint.markup or self.default_markup
        return DecodeOptions(limits=endpoint.limits or self._limits, markup=markup, max_tokens=request.max_tokens)

    async def probe(self, exchange: Exchange) -> str:
        """Ask whether the backend is well; what it says becomes the report's detail. Raises `AirframeError`."""
        rows = objects_in(parse_object(await self.get(exchange, self.models_path)), "data")
        return f"{len(rows)} models offered"

    async def get(self, exchange: Exchange, path: str) -> bytes:
        """A body that is there for the asking. Raises `AirframeError`."""
        endpoint = exchange.endpoint
        headers = self._all_headers(endpoint, {"accept": "application/json", "accept-encoding": "gzip, deflate"})
        return await exchange.ask(
            HttpRequest(method="GET", url=self.url(endpoint, path), headers=headers), self.protocol
        )

    def post(
        self,
        endpoint: EndpointSpec,
        path: str,
        body: bytes,
        *,
        stream: bool = False,
        extra_headers: Mapping[str, str] | None = None,
    ) -> HttpRequest:
        """A JSON request."""
        headers = self._all_headers(
            endpoint,
            {
                "accept": "text/event-stream, application/x-ndjson, application/json" if stream else "application/json",
                # Compressors hold events back until a block is full.
                "accept-encoding": "identity" if stream else "gzip, deflate",
                "content-type": "application/json",
            },
        )
        headers |= {name.lower(): value for name, value in (extra_headers or {}).items()}
        return HttpRequest(method="POST", url=self.url(endpoint, path), headers=headers, body=body)

    def _all_headers(self, endpoint: EndpointSpec, headers: Mapping[str, str]) -> dict[str, str]:
        own = {name.lower(): value for name, value in endpoint.headers.items()}
        return {"user-agent": f"jeeves-airframe/{__version__}", **headers, **self.headers(endpoint), **own}

    def _call(self, endpoint: EndpointSpec, timeouts: Timeouts | None = None, retry: RetryPolicy | None = None) -> Call:
        return Call(
            endpoint=endpoint,
            transport=self._transport,
            timeouts=timeouts or endpoint.timeouts or self._timeouts,
            limits=endpoint.limits or self._limits,
            retry=retry or self._retry,
            budget=self._budgets[endpoint.origin],
        )


def as_probe(endpoint: EndpointSpec) -> EndpointSpec:
    """The same with the timeouts of a health check."""
    return replace(endpoint, timeouts=PROBE_TIMEOUTS)


async def told(answer: Awaitable[AnswerT]) -> AnswerT | None:
    """The answer to a question that a server may leave open; None when it does."""
    try:
        return await answer
    except AirframeError:
        return None


def _http_transport() -> Transport:
    """Loads the HTTP client, so that those who never make an adapter over HTTP do without."""
    from airframe._http.http_transport import HttpTransport

    return HttpTransport()


def _state(error: AirframeError) -> HealthState:
    match error.category:
        case ErrorCategory.LOADING:
            return HealthState.LOADING
        case ErrorCategory.CONNECTION | ErrorCategory.TIMEOUT | ErrorCategory.TLS:
            return HealthState.UNREACHABLE
        case _:
            return HealthState.UNHEALTHY
