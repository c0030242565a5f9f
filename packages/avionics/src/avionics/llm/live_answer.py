"""The pieces of an answer while a model gives them, over as many deployments as that takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import anyio

from airframe.errors import AirframeError, TruncatedAnswerError
from airframe.types import InferenceResult, InferenceWarning, Message, StreamEventType, TextPart
from avionics.errors import LLMError
from avionics.llm.admission import Admission
from avionics.llm.cache import CacheTurn
from avionics.llm.cached_calls import keep_answer
from avionics.llm.deadline import until
from avionics.llm.dispatch import Answered, Dispatcher, Task
from avionics.llm.echo import EchoFilter
from avionics.llm.fallback import empty_answer_error, is_empty, still_to_ask
from avionics.llm.open_attempt import OpenAttempt
from avionics.llm.preamble import read_preamble
from avionics.llm.responses import LLMResponse
from avionics.llm.routing import Deployment

__all__ = ["LiveAnswer"]

_UNHEARD_PIECES = frozenset({StreamEventType.REASONING, StreamEventType.TOOL_CALL_DELTA})
"""Parts of an answer that are no text: counted, and found whole in the response."""


class LiveAnswer:
    """Reads one answer. Deployments are exchanged only until the first piece is handed out, unless the route's policy
    lets another one continue a text that broke.
    """

    provider: str
    """Who speaks, once the answer was opened."""
    model: str | None
    """What was asked for."""

    def __init__(self, task: Task, dispatcher: Dispatcher, admission: Admission, turn: CacheTurn | None = None) -> None:
        self.call = task.call
        """The books of the call."""
        self._task = task
        self._admission = admission
        self._turn = turn
        self._texts: list[str] = []
        self._dispatcher = dispatcher
        self._answered: Answered[Sequence[str | None]] | None = None
        self._attempt: OpenAttempt
        self._held: deque[str | None] = deque()
        self._echo: EchoFilter | None = None
        self._broken: list[Deployment] = []
        self._read_before = 0
        self._continued = 0

    @property
    def pieces(self) -> int:
        """Pieces of the answer that have come, whatever they held."""
        return self._read_before + self._attempt.pieces

    @property
    def reported_tokens(self) -> int | None:
        """How long the answer was by the backend's own count, once all of it was read."""
        return self._attempt.stream.result.usage.output_tokens if self._attempt.stream else None

    async def open(self) -> None:
        """Find somebody who answers. Raises `LLMError`."""
        try:
            self._listen(await self._dispatcher.first_answer(self._task, self._ask))
        except BaseException:
            await self._admission.leave(self._task.allowance)
            raise

    async def next(self) -> str | None:
        """The next piece of text; None at the end. Raises `LLMError`."""
        text = self._held.popleft() if self._held else await self._read()
        if self._echo is not None:
            text = await self._new_text(text)
        if text is not None:
            self._texts.append(text)
        return text

    async def _new_text(self, text: str | None) -> str | None:
        """From `text` on, the next piece that was not said before."""
        while self._echo is not None and text is not None:
            if new := self._echo.feed(text):
                return new
            text = self._held.popleft() if self._held else await self._read()  # which may begin another continuation
        if self._echo is not None and (new := self._echo.finish()):
            self._held.append(None)  # what looked like an echo comes before the end
            return new
        return text

    async def _read(self) -> str | None:
        ends = self._task.deadline
        while not self._held:
            try:
                if ends is None:
                    return await _read_text(self._attempt)
                with until(ends):
                    return await _read_text(self._attempt)
            except AirframeError as error:
                await self._continue(error)
            except BaseException as error:
                self.call.abort(error)
                raise
        return self._held.popleft()

    async def finish(self) -> LLMResponse:
        """The whole answer, once all of it was read."""
        stream = self._attempt.stream
        assert stream is not None
        result = self._joined(stream.result)
        response = self.call.succeed(self._attempt, result, continued=self._continued)
        await stream.aclose()
        await self._admission.leave(self._task.allowance)
        if self._turn is not None:
            await keep_answer(self._turn, self._task.plan.targets, response, self._texts)
        return response

    async def aclose(self) -> None:
        """Let go of the backend and of the cache; the books are the call's business."""
        if self._turn is not None:
            self._turn.leave()
        if self._answered is not None and self._attempt.stream is not None:
            await self._attempt.stream.aclose()
        await self._admission.leave(self._task.allowance)

    def _listen(self, answered: Answered[Sequence[str | None]]) -> None:
        """From now on it is this one who speaks. Many pieces come of it, so what they need is at hand."""
        self._answered, self._attempt = answered, answered.attempt
        self.provider, self.model = answered.attempt.provider.name, answered.attempt.request.model
        self._held.extend(answered.answer)

    async def _ask(self, attempt: OpenAttempt, *, last: bool) -> Sequence[str | None]:
        attempt.stream = stream = attempt.provider.stream(attempt.request)
        policy = self._task.plan.route.policy.stream
        pieces = await read_preamble(partial(_read_text, attempt), policy, guarded=not last)
        if pieces == [None] and not last and is_empty(stream.result):
            await stream.aclose()
            raise empty_answer_error(stream.result)
        return pieces

    async def _continue(self, error: AirframeError) -> None:
        """Let somebody else finish what broke, if that is wished and possible; else the call fails."""
        answered = self._answered
        assert answered is not None
        failure = answered.attempt.fail(error)
        task = self._rest(error, answered)
        if task is None:
            raise self.call.fail([failure]) from error
        self._echo = EchoFilter("".join(self._texts))
        self._read_before += answered.attempt.pieces
        self._continued += 1
        try:
            self._listen(await self._dispatcher.first_answer(task, self._ask))
        except LLMError as further:
            further.partial = InferenceResult(content=(TextPart("".join(self._texts)),))
            raise

    def _rest(self, error: AirframeError, answered: Answered[Sequence[str | None]]) -> Task | None:
        """The task of finishing the answer; nobody is asked for it who has broken off a part of it."""
        task, deployment = self._task, answered.deployment
        wished = task.plan.route.policy.stream.continue_broken and not self.call.is_over and self._has_time
        if not wished or error.partial is None:
            return None
        self._broken.append(deployment)
        others = tuple(each for each in task.plan.candidates if each not in self._broken)
        others = still_to_ask(others, deployment, error.category, task.plan, asked=self._broken)
        candidates = tuple(each for each in others if self._dispatcher.continues(each, error.partial))
        if not candidates:
            return None
        said = Message("assistant", "".join(self._texts))
        request = replace(self.call.request, messages=[*self._asked_first, said])
        self.call.request = request
        return replace(task, plan=replace(task.plan, candidates=candidates), reason="continuation")

    @property
    def _has_time(self) -> bool:
        return self._task.deadline is None or anyio.current_time() < self._task.deadline

    @property
    def _asked_first(self) -> Sequence[Message]:
        messages = self.call.request.messages
        return messages[:-1] if self._continued else messages

    def _joined(self, result: InferenceResult) -> InferenceResult:
        if not self._continued:
            return result
        note = InferenceWarning("stream", f"the answer broke and was continued by {self.provider}")
        text = TextPart("".join(self._texts))
        return replace(result, content=(text,), warnings=(*result.warnings, note))


async def _read_text(attempt: OpenAttempt) -> str | None:
    """The next piece of text; None at the end. Counts what else comes."""
    stream = attempt.stream
    assert stream is not None
    async for event in stream:
        if event.type is StreamEventType.TOKEN:
            attempt.piece_came()
            if event.text:
                return event.text
        elif event.type is StreamEventType.DONE:
            return None
        elif event.type in _UNHEARD_PIECES:
            attempt.piece_came()
    error = TruncatedAnswerError("the stream ended before its answer did")
    error.partial = stream.partial
    raise error
