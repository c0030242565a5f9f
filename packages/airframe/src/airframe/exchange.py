"""One call: attempts at an endpoint until an answer stands, under one set of deadlines.

All that holds for every adapter is here, once: the five timeouts, the limit on attempts, the commit boundary, the
record of what was tried, and what an error carries when it leaves. An adapter only says how a request is made and who
decodes the answer.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar
from uuid import UUID, uuid4, uuid5

import anyio

from airframe._alarm import Alarm, AlarmRang
from airframe.cancellation import keep_attempts
from airframe.endpoints import EndpointSpec, Limits, Timeouts
from airframe.errors import (
    AirframeError,
    BackendError,
    CallTimeoutError,
    ErrorCategory,
    LimitExceededError,
    MalformedAnswerError,
    Phase,
    TimeoutKind,
)
from airframe.protocols.protocol import DecodeOptions, StreamDecoder
from airframe.protocols.protocol import Protocol as WireFormat
from airframe.protocols.reading import excerpt
from airframe.rate_limits import parse_rate_limit
from airframe.redaction import redact
from airframe.retry import RetryBudget, RetryPolicy
from airframe.transport import HttpRequest, Response, Transport
from airframe.types.attempt import Attempt
from airframe.types.events import DoneEvent, MessageEvent, ReasoningEvent, StreamEvent, TokenEvent, ToolCallEvent
from airframe.types.messages import ReasoningPart, TextPart, ToolCall
from airframe.types.result import InferenceResult, InferenceWarning

__all__ = ["Call", "Exchange", "HttpEventSource", "Prepare", "Prepared", "read_whole_answer"]

T = TypeVar("T")

DRAIN_SECONDS = (
    0.05  # how long to wait for the end of a body whose answer is complete, so that its connection can serve again
)
ERROR_BODY_SECONDS = 5.0  # how long to wait for an error's explanation: its status says most of it
REQUEST_ID_HEADERS = ("x-request-id", "request-id", "apim-request-id", "x-generation-id", "cf-ray")
MOST_ID_CHARACTERS = 200  # longer than any backend's; what a server sends under this name is for logs


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A request that is ready to go, and the wire format that will read its answer."""

    http: HttpRequest
    format: WireFormat
    warnings: Sequence[InferenceWarning] = ()
    options: DecodeOptions = field(default_factory=DecodeOptions)


class Prepare(Protocol):
    """How an adapter makes its request. It may ask the backend first, over the same `Exchange`."""

    async def __call__(self, exchange: Exchange) -> Prepared: ...


@dataclass(slots=True)
class Call:
    """What all attempts of one call share."""

    endpoint: EndpointSpec
    transport: Transport
    timeouts: Timeouts
    limits: Limits
    retry: RetryPolicy
    budget: RetryBudget
    id: UUID = field(default_factory=uuid4)

    async def run(self, attempt: Callable[[Exchange], Awaitable[T]]) -> T:
        """Run `attempt` until it returns, or fails for good. Raises `AirframeError`.

        `attempt` must not deliver anything to the caller before it returns: up to there an attempt may be repeated.
        """
        started = anyio.current_time()
        self.budget.deposit()
        past: list[Attempt] = []
        retries = 0
        waited = 0.0
        while True:
            exchange = Exchange(self, past, started, waited)
            try:
                return await attempt(exchange)
            except AirframeError as error:
                exchange.fail(error)
                elapsed = anyio.current_time() - started
                remaining = math.inf if self.timeouts.total is None else self.timeouts.total - elapsed
                wait = self.retry.wait(error, retries=retries, elapsed=elapsed, remaining=remaining, rng=random.random)
                counts = self.retry.counts(error)
                if wait is None or (counts and not self.budget.withdraw()):
                    raise
                retries += counts
                past, waited = list(error.attempts), wait
            except BaseException as error:
                exchange.abandon()
                keep_attempts(error, exchange.attempts_so_far(_end_from_outside(error)))
                raise
            try:
                await anyio.sleep(waited)
            except BaseException as error:
                keep_attempts(error, past)
                raise


class Exchange:
    """One attempt: its clock, its connection and its record."""

    def __init__(self, call: Call, past: Sequence[Attempt], call_started: float, waited: float) -> None:
        self.call = call
        self.endpoint = call.endpoint
        self.response: Response | None = None
        self._past = past
        self._alarm = Alarm()
        self._started = self._alarm.now()
        self._started_at = time.time()
        self._waited = waited
        self._last_event = self._started
        self._first_event_at: float | None = None
        limits = call.timeouts
        ends: list[tuple[float, TimeoutKind]] = [
            (_after(self._started, limits.attempt), "attempt"),
            (_after(call_started, limits.total), "total"),
        ]
        self._end = min(ends)

    # -- the clock

    def progressed(self) -> None:
        """Something of the answer came."""
        self._last_event = self._alarm.now()
        if self._first_event_at is None:
            self._first_event_at = self._last_event

    def _deadline(self) -> tuple[float, TimeoutKind]:
        """When the wait that begins now must end, and which limit says so."""
        timeouts = self.call.timeouts
        kind: TimeoutKind = "first_event" if self._first_event_at is None else "idle"
        seconds = timeouts.first_event if kind == "first_event" else timeouts.idle
        moment = _after(self._last_event, seconds)
        return (moment, kind) if moment <= self._end[0] else self._end

    async def within_deadline(self, wait: Callable[[], Awaitable[T]], phase: Phase) -> T:
        """Await `wait()` within the timeouts. Raises `CallTimeoutError` that names the one that ran out."""
        moment, kind = self._deadline()
        try:
            return await self._alarm.within(moment, wait())
        except AlarmRang:
            seconds = getattr(self.call.timeouts, kind)
            error = CallTimeoutError(f"no answer within {seconds:g} s (Timeouts.{kind})", phase=phase)
            error.timeout = kind
            raise error from None

    # -- the connection

    async def send(self, request: HttpRequest) -> Response:
        """Send and wait for the head of the answer."""
        call, endpoint = self.call, self.endpoint
        if endpoint.idempotency_header and request.method == "POST":
            # Made from the URL too: a question that comes before, such as llama.cpp's template, is another request.
            key = {endpoint.idempotency_header.lower(): str(uuid5(call.id, request.url))}
            request = replace(request, headers={**request.headers, **key})
        # A question that came before, such as llama.cpp's template, was no event: the wait for the first begins now.
        self._last_event, self._first_event_at = self._alarm.now(), None
        self.response = response = await self.within_deadline(
            lambda: call.transport.send(
                endpoint,
                request,
                connect_timeout=call.timeouts.connect,
                header_bytes=call.limits.header_bytes,
            ),
            Phase.SENT,
        )
        return response

    async def read(self, limit: int | None = None) -> bytes:
        """The next piece of the body; empty at its end."""
        response = self._open_response()
        most = self.call.limits.body_bytes if limit is None else limit
        return await self.within_deadline(lambda: response.read(most), Phase.CONTENT)

    async def read_body(self) -> bytes:
        """The whole body. Any byte counts as progress: OpenRouter sends spaces while the model works."""
        pieces: list[bytes] = []
        while piece := await self.read():
            self.progressed()
            pieces.append(piece)
        return b"".join(pieces)

    async def ask(self, request: HttpRequest, classify: WireFormat) -> bytes:
        """Send, check the status, and read the whole body."""
        response = await self.send(request)
        await self.check_status(classify)
        body = await self.read_body()
        if not body.strip():
            raise MalformedAnswerError(
                f"the backend answered {response.status} with an empty body", phase=Phase.CONTENT
            )
        return body

    async def check_status(self, classify: WireFormat) -> None:
        """Raises `BackendError` unless the status is a success."""
        response = self._open_response()
        status = response.status
        if 200 <= status < 300:
            return
        body = await self._error_body()
        if 300 <= status < 400:
            raise BackendError(
                f"the backend answered {status}, a redirect, and these are not followed: key and prompt belong to "
                f"{self.endpoint.origin} alone; set base_url to the final address",
                category=ErrorCategory.UNKNOWN,
                phase=Phase.HEADERS,
                status=status,
                body=excerpt(body),
            )
        raise classify.classify_error(status, response.headers, body)

    async def _error_body(self) -> bytes:
        """As much of an error's body as explains it. A body that breaks off, drips or never ends still has a status."""
        pieces: list[bytes] = []
        size, most = 0, self.call.limits.error_body_bytes
        with anyio.move_on_after(ERROR_BODY_SECONDS), suppress(AirframeError):
            while size < most and (piece := await self.read()):
                pieces.append(piece)
                size += len(piece)
        return b"".join(pieces)[:most]

    def abandon(self) -> None:
        """Disconnect at once."""
        self._alarm.stop()
        if self.response is not None:
            self.response.abandon()

    async def aclose(self, *, complete: bool) -> None:
        """Let go. If the answer is complete, give its body a moment to end, so that the connection can serve again."""
        if self.response is None:
            return
        if complete:
            moment, most = self._alarm.now() + DRAIN_SECONDS, self.call.limits.body_bytes
            with suppress(AirframeError, AlarmRang):
                while await self._alarm.within(moment, self.response.read(most)):
                    pass
        self._alarm.stop()
        await self.response.aclose()

    def _open_response(self) -> Response:
        assert self.response is not None, "send comes first"
        return self.response

    # -- the record

    @property
    def request_id(self) -> str | None:
        """The backend's own name for the exchange."""
        headers: Mapping[str, str] = self.response.headers if self.response else {}
        found = next((headers[name] for name in REQUEST_ID_HEADERS if name in headers), None)
        return redact(found[:MOST_ID_CHARACTERS], self.endpoint.secrets) if found else None

    def attempts(self, error: AirframeError | None = None, *, until: float | None = None) -> tuple[Attempt, ...]:
        """Every attempt of the call, this one, until now or another moment, included."""
        now = self._alarm.now() if until is None else until
        return (
            *self._past,
            Attempt(
                number=len(self._past) + 1,
                started_at=self._started_at,
                duration=now - self._started,
                waited=self._waited,
                time_to_first_event=None if self._first_event_at is None else self._first_event_at - self._started,
                category=error.category if error else None,
                status=self.response.status if self.response else None,
                request_id=self.request_id,
                error=str(error) if error else None,
            ),
        )

    def attempts_so_far(self, error: AirframeError | None = None) -> tuple[Attempt, ...]:
        """The same, up to the last event: where no event loop runs any more, nobody knows the time by it."""
        return self.attempts(error, until=self._last_event)

    def fail(self, error: AirframeError, partial: InferenceResult | None = None, *, committed: bool = False) -> None:
        """Disconnect, and complete what the error says. Nothing of a backend's words leaves unredacted."""
        self.abandon()
        secrets = self.endpoint.secrets
        error.args = (redact(str(error), secrets),)
        error.body = redact(error.body, secrets) if error.body else error.body
        error.code = redact(error.code, secrets) if error.code else error.code
        error.endpoint = self.endpoint.origin
        error.request_id = error.request_id or self.request_id
        if error.status is None and self.response is not None:
            error.status = self.response.status
        error.committed = committed
        error.partial = partial if partial is not None else error.partial
        error.attempts = self.attempts(error)
        if error.partial is not None:
            error.partial = replace(error.partial, attempts=error.attempts)

    def complete(self, result: InferenceResult, warnings: Sequence[InferenceWarning]) -> InferenceResult:
        """The result with what only the exchange knows."""
        self._alarm.stop()
        headers: Mapping[str, str] = self.response.headers if self.response else {}
        attempts = self.attempts()
        return replace(
            result,
            warnings=(*warnings, *result.warnings),
            attempts=attempts,
            request_id=attempts[-1].request_id,
            rate_limit=parse_rate_limit(headers),
        )


async def read_whole_answer(exchange: Exchange, prepare: Prepare) -> InferenceResult:
    """One attempt at an answer that comes whole."""
    prepared = await prepare(exchange)
    body = await exchange.ask(prepared.http, prepared.format)
    result = prepared.format.decode(body, prepared.options)
    return exchange.complete(result, prepared.warnings)


class HttpEventSource:
    """The events of one streamed call. Attempts are repeated until the first events are there, and never after."""

    def __init__(self, call: Call, prepare: Prepare) -> None:
        self._call = call
        self._prepare = prepare
        self._exchange: Exchange | None = None
        self._decoder: StreamDecoder | None = None
        self._warnings: Sequence[InferenceWarning] = ()
        self._failure: AirframeError | None = None
        self._over = False

    async def read(self) -> Sequence[StreamEvent]:
        if self._over:
            return ()
        if self._exchange is None:
            return await self._call.run(self._begin)
        try:
            if self._failure is not None:
                raise self._failure
            return await self._events(self._exchange)
        except AirframeError as error:
            self._over = True
            self._exchange.fail(error, self.partial(), committed=True)
            raise

    def abandon(self) -> None:
        self._over = True
        if self._exchange is not None:
            self._exchange.abandon()

    async def aclose(self) -> None:
        self._over = True
        if self._exchange is not None:
            complete = self._decoder is not None and self._decoder.complete
            await self._exchange.aclose(complete=complete)

    def partial(self) -> InferenceResult:
        received = replace(self._decoder.result(), finish_reason=None) if self._decoder else InferenceResult()
        return replace(received, attempts=self._exchange.attempts_so_far()) if self._exchange else received

    async def _begin(self, exchange: Exchange) -> Sequence[StreamEvent]:
        """One attempt, up to its first events."""
        prepared = await self._prepare(exchange)
        self._warnings = prepared.warnings
        await exchange.send(prepared.http)
        await exchange.check_status(prepared.format)
        self._decoder = prepared.format.stream_decoder(prepared.options)
        try:
            events = await self._first_events(exchange, prepared)
        except AirframeError as error:
            error.partial = self.partial()
            raise
        # From here on the caller has heard something: no attempt may follow.
        self._exchange = exchange
        return events

    async def _first_events(self, exchange: Exchange, prepared: Prepared) -> Sequence[StreamEvent]:
        """Look before decoding: a server may send a whole document instead of a stream, and a proxy a web page."""
        while not (first := await exchange.read()).strip():  # blank lines in front, such as a proxy's, say nothing
            if not first:
                raise MalformedAnswerError("the backend answered with an empty stream", phase=Phase.CONTENT)
        match first.lstrip()[:1]:
            case b"{" | b"[" if not _is_ndjson(exchange):
                exchange.progressed()
                return self._as_events(exchange, prepared, first + await exchange.read_body())
            case b"<":
                raise MalformedAnswerError(
                    f"the backend answered with a web page: {excerpt(first)!r}",
                    phase=Phase.CONTENT,
                    body=excerpt(first),
                )
            case _:
                return await self._events(exchange, first)

    def _as_events(self, exchange: Exchange, prepared: Prepared, body: bytes) -> Sequence[StreamEvent]:
        result = prepared.format.decode(body, prepared.options)
        events: list[StreamEvent] = []
        for part in result.content:
            if isinstance(part, TextPart):
                events.append(TokenEvent(part.text))
            elif isinstance(part, ReasoningPart) and part.text:
                events.append(ReasoningEvent(part.text))
        self._over = True
        return [*events, *self._ending(exchange, result)]

    async def _events(self, exchange: Exchange, piece: bytes | None = None) -> Sequence[StreamEvent]:
        """The events of the next read that holds any. An error behind them waits for the next call."""
        decoder = self._decoder
        assert decoder is not None
        events: list[StreamEvent] = []
        while not events:
            progress = decoder.progress
            try:
                if piece is None:
                    piece = await exchange.read()
                if piece:
                    decoder.feed(piece, events)
                else:
                    decoder.finish(events)
            except AirframeError as error:
                self._fail_later(error, decoder, events)
            if decoder.progress != progress:
                exchange.progressed()
            if decoder.complete and self._failure is None:
                self._over = True
                events += self._ending(exchange, decoder.result())
            piece = None
        return events

    def _fail_later(self, error: AirframeError, decoder: StreamDecoder, events: list[StreamEvent]) -> None:
        if decoder.proven and not isinstance(error, (BackendError, LimitExceededError)):
            # The backend had said why it stopped. What broke is the rest: usage, or the end marker.
            decoder.complete = True
            self._warnings = (
                *self._warnings,
                InferenceWarning("stream", f"the answer is complete, but the stream did not end well: {error}"),
            )
        elif events:
            self._failure = error
        else:
            raise error

    def _ending(self, exchange: Exchange, result: InferenceResult) -> Sequence[StreamEvent]:
        calls = [ToolCallEvent(part) for part in result.content if isinstance(part, ToolCall)]
        return [*calls, MessageEvent(exchange.complete(result, self._warnings)), DoneEvent()]


def _end_from_outside(error: BaseException) -> AirframeError:
    """What an attempt's record says of an end that was no answer and no failure of the backend."""
    category = ErrorCategory.UNKNOWN if isinstance(error, Exception) else ErrorCategory.CANCELLED
    return AirframeError(type(error).__name__, category=category)


def _is_ndjson(exchange: Exchange) -> bool:
    return exchange.response is not None and "ndjson" in exchange.response.headers.get("content-type", "")


def _after(moment: float, seconds: float | None) -> float:
    return math.inf if seconds is None else moment + seconds
