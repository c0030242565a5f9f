"""An adapter that answers from a script: for tests of whatever stands above airframe.

    adapter = ScriptedAdapter([Failure(ErrorCategory.OVERLOADED), Answer(chunks=["The sky ", "is blue."])])

The first call fails, the second one is answered in two pieces, a third one finds no step left and says so. Both ways
to ask take the next step, and what was asked stands in `adapter.calls`. There is no network and no waiting.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import ClassVar

import anyio.lowlevel
from typing_extensions import override

from airframe.adapters.adapter import Adapter
from airframe.endpoints import EndpointSpec, HealthReport, HealthState, ServerLoad
from airframe.errors import AirframeError
from airframe.retry import RetryPolicy
from airframe.stream import InferenceStream
from airframe.testing.clock import Clock, Timer
from airframe.testing.script import Script, ScriptPlayer
from airframe.testing.steps import Answer, Failure, Step
from airframe.types import (
    Attempt,
    DoneEvent,
    FinishReason,
    InferenceRequest,
    InferenceResult,
    MessageEvent,
    ModelInfo,
    Part,
    ReasoningEvent,
    ReasoningPart,
    StreamEvent,
    TextPart,
    TokenEvent,
    ToolCall,
    ToolCallDeltaEvent,
    ToolCallEvent,
)

__all__ = ["ScriptedAdapter"]


class ScriptedAdapter(Adapter):
    """Answers each call with the next step of its script. Works under asyncio and trio.

    As a context manager it raises `AssertionError` at its end if steps are left, as `assert_played` does.

    Args:
        script: a `Script`, or its steps.
        health: what `check_health` reports.
        load: what `check_load` reports.
        models: what `list_models` lists, besides the models of the script.
        max_retries: how often a failed attempt is repeated with the next step, as adapters over HTTP do it. By default
            every step is a call of its own.
        clock: on which `delay`, `pause` and the waits between attempts pass. By default they take no time, and only
            show in `InferenceResult.attempts`.
    """

    kind: ClassVar[str] = "scripted"

    def __init__(
        self,
        script: Script | Iterable[Step] = (),
        *,
        health: HealthReport | None = None,
        load: ServerLoad | None = None,
        models: Sequence[ModelInfo] = (),
        max_retries: int = 0,
        clock: Timer | None = None,
    ) -> None:
        script = script if isinstance(script, Script) else Script(script)
        self.player = ScriptPlayer(script)
        """What goes through the script."""
        self.clock: Timer = clock or Clock(jumps=True)
        """On which time passes."""
        self.retry = RetryPolicy(max_retries=max_retries)
        """When a failed attempt is repeated."""
        self.calls: list[tuple[EndpointSpec, InferenceRequest]] = []
        """What was asked, and where."""
        self.open_streams = 0
        """Streams that were begun and neither ended nor let go."""
        self.health = health or HealthReport(state=HealthState.HEALTHY)
        """What `check_health` reports from now on."""
        self.load = load or ServerLoad()
        """What `check_load` reports from now on."""
        self._models = (*(ModelInfo(id=name) for name in script.models), *models)

    @property
    def requests(self) -> Sequence[InferenceRequest]:
        """What was asked, wherever."""
        return [request for _, request in self.calls]

    def assert_played(self) -> None:
        """Raises `AssertionError` if steps of the script are left."""
        self.player.assert_played()

    @override
    def stream_infer(self, endpoint: EndpointSpec, request: InferenceRequest) -> InferenceStream:
        """The next step as a stream; an error that comes after output is `committed`, as with every adapter."""
        return InferenceStream(_ScriptedSource(self, endpoint, request))

    @override
    async def infer(self, endpoint: EndpointSpec, request: InferenceRequest) -> InferenceResult:
        """The next step as a whole answer."""
        async with InferenceStream(_ScriptedSource(self, endpoint, request, whole=True)) as stream:
            async for _ in stream:
                pass
            return stream.result

    @override
    async def check_health(self, endpoint: EndpointSpec) -> HealthReport:
        """The report that stands in `health`."""
        await anyio.lowlevel.checkpoint()
        return self.health

    @override
    async def check_load(self, endpoint: EndpointSpec) -> ServerLoad:
        """The report that stands in `load`."""
        await anyio.lowlevel.checkpoint()
        return self.load

    @override
    async def list_models(self, endpoint: EndpointSpec) -> Sequence[ModelInfo]:
        """The models of the script and those given to the constructor."""
        await anyio.lowlevel.checkpoint()
        return self._models

    @override
    async def aclose(self) -> None:
        """Nothing is open that would have to be closed."""
        await anyio.lowlevel.checkpoint()

    @override
    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await super().__aexit__(exc_type, exc, traceback)
        if exc is None:
            self.assert_played()


class _ScriptedSource:
    """Tells one step, a piece at each `read`; where the policy allows, failed steps are passed over."""

    def __init__(
        self, adapter: ScriptedAdapter, endpoint: EndpointSpec, request: InferenceRequest, *, whole: bool = False
    ) -> None:
        self._adapter = adapter
        self._endpoint = endpoint
        self._request = request
        self._whole = whole
        self._clock = adapter.clock
        self._step: Answer | Failure | None = None
        self._moments: Iterator[tuple[float, StreamEvent]] = iter(())
        self._said: list[StreamEvent] = []
        self._attempts: tuple[Attempt, ...] = ()
        self._over = False
        self._call_start = self._start = self._waited = self._started_at = 0.0
        self._first_event: float | None = None

    async def read(self) -> Sequence[StreamEvent]:
        await anyio.lowlevel.checkpoint()
        if self._over:
            return ()
        step = self._step or self._begin()
        while True:
            for wait, event in self._moments:
                if not await self._still_open_after(wait):
                    return ()
                if self._first_event is None:
                    self._first_event = self._clock.now
                self._said.append(event)
                return (event,)
            if not await self._still_open_after(step.pause if self._said else step.delay):
                return ()
            if isinstance(step, Answer):
                self.abandon()
                calls = [ToolCallEvent(call) for call in step.tool_calls]
                return (*calls, MessageEvent(self._result(step)), DoneEvent())
            step = await self._repeat_or_raise(step)

    def abandon(self) -> None:
        if self._step is not None and not self._over:
            self._adapter.open_streams -= 1
        self._over = True

    async def aclose(self) -> None:
        self.abandon()

    def partial(self) -> InferenceResult:
        return InferenceResult(content=self._content(complete=False))

    async def _still_open_after(self, seconds: float) -> bool:
        """Let time pass; False if another task has closed the stream meanwhile."""
        if seconds:
            await self._clock.sleep(seconds)
        return not self._over

    def _begin(self) -> Answer | Failure:
        adapter = self._adapter
        adapter.calls.append((self._endpoint, self._request))
        self._call_start = self._clock.now
        step = self._take_step()
        adapter.open_streams += 1
        return step

    def _take_step(self) -> Answer | Failure:
        step = self._adapter.player.next_step(self._request)
        if isinstance(step, Answer) and step.faults is not None:
            raise ValueError(
                f"the script has an answer with faults ({step.faults}), which happen to bytes, and this adapter makes "
                "none; play it through an adapter over HTTP, or say what comes of it by a Failure"
            )
        self._step = step
        self._moments = _moments(step)
        self._said.clear()
        self._started_at, self._start, self._first_event = time.time(), self._clock.now, None
        return step

    async def _repeat_or_raise(self, step: Failure) -> Answer | Failure:
        error = self._error(step)
        wait = self._adapter.retry.wait(
            error,
            retries=len(self._attempts),
            elapsed=self._clock.now - self._call_start,
            remaining=math.inf,
            rng=_most,
        )
        if wait is None:
            self.abandon()
            raise error
        self._attempts = tuple(error.attempts)
        self._waited = wait
        await self._clock.sleep(wait)
        return self._take_step()

    def _content(self, *, complete: bool = True) -> tuple[Part, ...]:
        reasoning = "".join(event.text for event in self._said if isinstance(event, ReasoningEvent))
        text = "".join(event.text for event in self._said if isinstance(event, TokenEvent))
        calls = [event for event in self._said if isinstance(event, ToolCallDeltaEvent)]
        return (
            *((ReasoningPart(text=reasoning),) if reasoning else ()),
            *((TextPart(text),) if text else ()),
            *(
                ToolCall(id=call.id or "", name=call.name or "", arguments=call.arguments, complete=complete)
                for call in calls
            ),
        )

    def _result(self, answer: Answer) -> InferenceResult:
        default = FinishReason.TOOL_CALLS if answer.tool_calls else FinishReason.STOP
        finish_reason = answer.finish_reason or default
        spoken = (part for part in self._content() if not isinstance(part, ToolCall))
        return InferenceResult(
            content=(*spoken, *answer.tool_calls),
            finish_reason=finish_reason,
            raw_finish_reason=finish_reason.value,
            usage=answer.usage,
            model=answer.model or self._request.model or self._endpoint.model,
            response_id=answer.response_id,
            request_id=answer.request_id,
            reported_cost=answer.reported_cost,
            warnings=answer.warnings,
            attempts=(*self._attempts, self._attempt(None, answer.request_id)),
        )

    def _error(self, failure: Failure) -> AirframeError:
        error = failure.to_error()
        error.committed = bool(self._said) and not self._whole  # the pieces of a whole answer stayed here
        error.partial = error.partial or replace(self.partial(), usage=failure.usage)
        error.attempts = error.attempts or (*self._attempts, self._attempt(error, error.request_id))
        return error

    def _attempt(self, error: AirframeError | None, request_id: str | None) -> Attempt:
        return Attempt(
            number=len(self._attempts) + 1,
            started_at=self._started_at,
            duration=self._clock.now - self._start,
            waited=self._waited,
            time_to_first_event=None if self._first_event is None else self._first_event - self._start,
            category=error.category if error else None,
            status=error.status if error else None,
            request_id=request_id,
            error=str(error) if error else None,
        )


def _moments(step: Answer | Failure) -> Iterator[tuple[float, StreamEvent]]:
    """What is said, and how many seconds pass before each piece."""
    events: list[StreamEvent] = [ReasoningEvent(text) for text in step.thoughts]
    events += [TokenEvent(text) for text in step.texts]
    if isinstance(step, Answer):
        events += [
            ToolCallDeltaEvent(position, call.id, call.name, call.arguments)
            for position, call in enumerate(step.tool_calls)
        ]
    waits = [step.delay, *[step.pause] * len(events)]
    return iter(list(zip(waits, events, strict=False)))


def _most() -> float:
    """The backoff is drawn from a range; a test wants the same wait every time."""
    return 1.0
