"""A chat: a conversation with one model after the other, and whoever looks into its calls."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from dataclasses import fields
from types import TracebackType
from typing import Self, Unpack, cast

from airframe.errors import AirframeError
from airframe.types import InferenceRequest, Message, Part
from avionics.errors import ConfigurationValidationError, LLMError, llm_error
from avionics.llm.catalog import Problem
from avionics.llm.chat_extensions import AfterInvoke, BeforeInvoke, ChatExtension, FunctionExtension, TokenUsage
from avionics.llm.completion_result import CompletionResult
from avionics.llm.configured import configured
from avionics.llm.conversation import Conversation
from avionics.llm.provider import LLMProvider
from avionics.llm.requests import RequestOptions
from avionics.llm.token_stream import TokenChunk, TokenStream
from avionics.settings import LLMConfig

__all__ = ["Chat", "ChatStream"]

_logger = logging.getLogger(__name__)


class Chat:
    """Talks to a model and remembers what was said. One message at a time.

    ```python
    chat = LLMFactory(settings).create_llm("gpt-5")
    answer = await chat.send_user_message("Why is the sky blue?")
    async with chat.stream_user_message("And at night?") as stream:
        async for chunk in stream:
            print(chunk.text, end="")
    print(chat.usage.cost_usd)
    ```

    A question that was not answered is taken back, so that it can be asked again.

    Args:
        provider: who is asked; closing it is its owner's business.
        model: what it is asked for; None is its default.
        config: how it is asked; a call's own options win over it, and it wins over the settings.
        conversation: what was said before; None begins anew.
        extensions: look into every call, in this order; see `ChatExtension`.
    """

    def __init__(
        self,
        provider: LLMProvider,
        *,
        model: str | None = None,
        config: LLMConfig | None = None,
        conversation: Conversation | None = None,
        extensions: Sequence[ChatExtension] = (),
    ) -> None:
        self.provider = provider
        self.model = model
        self.config = config or LLMConfig()
        self.conversation = Conversation() if conversation is None else conversation
        self.usage = TokenUsage()
        """What the chat used so far, whoever answered."""
        self._extensions: list[ChatExtension] = [self.usage, *extensions]

    def register(self, extension: ChatExtension) -> None:
        """Have `extension` look into every call from now on."""
        self._extensions.append(extension)

    def before_invoke(self, hook: BeforeInvoke) -> BeforeInvoke:
        """Call `hook` before every call. May be used as a decorator."""
        self.register(FunctionExtension(before=hook))
        return hook

    def after_invoke(self, hook: AfterInvoke) -> AfterInvoke:
        """Call `hook` after every answer. May be used as a decorator."""
        self.register(FunctionExtension(after=hook))
        return hook

    def switch_model(self, model: str | None = None, *, provider: LLMProvider | None = None) -> None:
        """Go on with another model, of the same provider or of another one.

        What only the earlier model can read stays in the conversation and is not sent to the new one; its answers say
        so in `warnings`.
        """
        self.provider = provider or self.provider
        self.model = model

    async def send_user_message(
        self, content: str | Sequence[Part], **options: Unpack[RequestOptions]
    ) -> CompletionResult[None]:
        """Say something, and wait for the whole answer. Raises `LLMError`, and what a hook raises before the call."""
        return await self._ask([Message("user", content)], options)

    def stream_user_message(self, content: str | Sequence[Part], **options: Unpack[RequestOptions]) -> ChatStream:
        """The same, piece by piece. Errors are raised while iterating."""
        return ChatStream(self._new_turn([Message("user", content)], options))

    async def invoke(self, **options: Unpack[RequestOptions]) -> CompletionResult[None]:
        """Have the model go on with the conversation as it is: after the results of its tools, for example."""
        return await self._ask([], options)

    def stream(self, **options: Unpack[RequestOptions]) -> ChatStream:
        """The same, piece by piece."""
        return ChatStream(self._new_turn([], options))

    def validate_config(self) -> None:
        """Raises `ConfigurationValidationError` with everything in `config` that the model would not take."""
        if problems := self.problems():
            raise ConfigurationValidationError(*(problem.message for problem in problems))

    def problems(self) -> tuple[Problem, ...]:
        """The same, without raising anything."""
        question = InferenceRequest(messages=[Message("user", "?")], model=self.model)
        return self.provider.problems(configured(question, self.config))

    async def _ask(self, said: Sequence[Message], options: RequestOptions) -> CompletionResult[None]:
        turn = self._new_turn(said, options)
        try:
            request = await turn.begin()
            result = await turn.provider.complete(request.messages, model=request.model, **_options(request))
        except BaseException as error:
            await turn.fail(error)
            raise
        await turn.end(result)
        return result

    def _new_turn(self, said: Sequence[Message], options: RequestOptions) -> _Turn:
        return _Turn(self.provider, self.model, self.config, self.conversation, self._extensions, said, options)


class ChatStream:
    """An answer of a chat, piece by piece: an async iterator of `TokenChunk`, and a context manager that ends it.

    Once the last chunk was read, the answer is part of the conversation. One that is left before, or breaks, is not,
    and its question is taken back. Raises `LLMError` while iterating.
    """

    def __init__(self, turn: _Turn) -> None:
        self._turn = turn
        self._stream: TokenStream | None = None
        self._over = False

    @property
    def result(self) -> CompletionResult[None]:
        """The whole answer. Raises `RuntimeError` until the last chunk was read."""
        if self._stream is None:
            raise RuntimeError("the stream has no result yet: read it to its end first")
        return self._stream.result

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TokenChunk:
        if self._over:
            raise StopAsyncIteration
        try:
            if self._stream is None:
                request = await self._turn.begin()
                self._stream = self._turn.provider.stream_complete(
                    request.messages, model=request.model, **_options(request)
                )
            chunk = await anext(self._stream)
        except BaseException as error:
            self._over = True
            await self._turn.fail(error)
            raise
        if chunk.is_final:
            self._over = True
            await self._turn.end(self._stream.result)
        return chunk

    async def aclose(self) -> None:
        """End the answer now."""
        self._leave()
        if self._stream is not None:
            await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._leave()

    def _leave(self) -> None:
        if not self._over:
            self._over = True
            self._turn.take_back()


class _Turn:
    """One question, until its answer is in the conversation or the question is taken back."""

    def __init__(
        self,
        provider: LLMProvider,
        model: str | None,
        config: LLMConfig,
        conversation: Conversation,
        extensions: Sequence[ChatExtension],
        said: Sequence[Message],
        options: RequestOptions,
    ) -> None:
        self.provider = provider
        self._model = model
        self._config = config
        self._conversation = conversation
        self._extensions = tuple(extensions)
        self._said = said
        self._options = options
        self._open = False

    async def begin(self) -> InferenceRequest:
        """The request to make. Raises `LLMError`, what a hook raises, and `RuntimeError` while a question waits."""
        self._conversation.ask(*self._said)
        self._open = True
        await self._compact()
        try:
            request = InferenceRequest(messages=self._conversation.get_messages(), model=self._model, **self._options)
        except AirframeError as error:
            raise llm_error(error, provider=self.provider.name, model=self._model) from error
        request = configured(request, self._config)
        for extension in self._extensions:
            request = await extension.before_invoke(request)
        return request

    async def end(self, result: CompletionResult[None]) -> None:
        """The answer came."""
        self._open = False
        self._conversation.answer(result.result.message)
        for extension in self._extensions:
            await _contained(extension, extension.after_invoke(result))

    async def fail(self, error: BaseException) -> None:
        """No answer came."""
        self.take_back()
        if isinstance(error, LLMError):
            for extension in self._extensions:
                await _contained(extension, extension.invoke_failed(error))

    def take_back(self) -> None:
        """Nobody waits for an answer any more."""
        if self._open:
            self._open = False
            self._conversation.take_back()

    async def _compact(self) -> None:
        try:
            await self._conversation.compact()
        except Exception:
            _logger.exception("the conversation could not be summarized; it goes on with its last turns")


async def _contained(extension: ChatExtension, action: Awaitable[None]) -> None:
    try:
        await action
    except Exception:
        _logger.exception("%s failed after a call; the answer is handed out all the same", type(extension).__name__)


def _options(request: InferenceRequest) -> RequestOptions:
    """All that a request says besides the conversation and the model."""
    options = {item.name: getattr(request, item.name) for item in fields(request)}
    del options["messages"], options["model"]
    return cast("RequestOptions", options)
