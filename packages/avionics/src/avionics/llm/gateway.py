"""The gateway: from a prompt to a priced, recorded answer, by whichever provider gives one.

It owns the order of work and nothing else: ask the quota, ask one provider after the other, price, tell. Wire formats
are airframe's, prices the cost calculator's, and what is made of the records is the observers' business.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self, Unpack

from anyio import to_thread

from airframe.errors import InvalidRequestError
from airframe.types import InferenceRequest, InferenceResult, Message
from avionics.errors import ConfigurationError, llm_error
from avionics.llm.attempt_loop import first_answer
from avionics.llm.call import Call, Caller
from avionics.llm.completion_stream import CompletionStream, StreamingCallback
from avionics.llm.cost_calculator import CostCalculator
from avionics.llm.default_observers import default_observers
from avionics.llm.factory import create_llm_provider
from avionics.llm.fallback import empty_answer_error, is_empty
from avionics.llm.observation import FaultLog, ObserverGroup
from avionics.llm.provider import LLMProvider
from avionics.llm.quota import QuotaGate, ResourceCallback
from avionics.llm.records import CallObserver, FlushingObserver
from avionics.llm.registry import check_provider_name
from avionics.llm.requests import RequestOptions, conversation
from avionics.llm.responses import LLMResponse, StreamingChunk
from avionics.llm.stats import GatewayStats, StatsObserver
from avionics.settings import Settings
from avionics.settings.fingerprint import fingerprint

__all__ = ["LLMGateway", "LLMResponse", "StreamingChunk"]


class LLMGateway:
    """Calls models. Safe to share between tasks; close it, or use it as an async context manager.

    Args:
        settings: which provider is asked first, and how providers are made.
        fallback_providers: the names of those asked when it fails, in order; None takes the settings'.
        logger: for what goes wrong beside the calls; None is the logger `avionics.llm.gateway`.
        resource_callback: `(tokens_in, tokens_out) -> reason`; see `avionics.llm.quota.QuotaGate`.
        streaming_callback: is given every chunk of every stream.
        observers: are told of every call; None is `default_observers(settings)`: telemetry and the call log.
        providers: ready-made ones by name; they win over made ones, and closing them is their owner's business.
        cost_calculator: None is one with the prices that the settings state.

    Raises `ConfigurationError` when the first provider cannot be made, `UnsupportedProviderError` for any unknown
    name. A fallback provider is made when its turn comes; one that cannot be made is a failure of that call.
    """

    def __init__(
        self,
        settings: Settings,
        fallback_providers: Sequence[str] | None = None,
        logger: logging.Logger | None = None,
        resource_callback: ResourceCallback | None = None,
        streaming_callback: StreamingCallback | None = None,
        observers: Sequence[CallObserver] | None = None,
        providers: Mapping[str, LLMProvider] | None = None,
        cost_calculator: CostCalculator | None = None,
    ) -> None:
        self._settings = settings
        self._config_hash = fingerprint(settings)
        self._logger = logger or logging.getLogger(__name__)
        self._given = dict(providers or {})
        self._made: dict[str, LLMProvider] = {}
        if isinstance(fallback_providers, str):
            raise ConfigurationError("fallback_providers must be a sequence of names, got str; wrap it in a list")
        fallbacks = settings.llm_fallback_providers if fallback_providers is None else fallback_providers
        self._names = tuple(dict.fromkeys((settings.llm_provider, *fallbacks)))
        for name in self._names:
            if name not in self._given:
                check_provider_name(name, settings)
        self._provider(self._names[0])
        self._faults = FaultLog(self._logger)
        self._quota = QuotaGate(resource_callback, self._faults, self._logger)
        self._stats = StatsObserver()
        self._streaming_callback = streaming_callback
        self._told = tuple(default_observers(settings) if observers is None else observers)
        self._observer = ObserverGroup([self._quota, self._stats, *self._told], self._faults)
        self._prices = cost_calculator or CostCalculator.from_settings(settings)

    async def complete(
        self,
        prompt: str | None = None,
        system: str | None = None,
        agent_name: str | None = None,
        *,
        messages: Sequence[Message] = (),
        model: str | None = None,
        tenant: str | None = None,
        conversation_id: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> LLMResponse:
        """The whole answer.

        Args:
            prompt: the question; None when `messages` end with it.
            system: what comes before everything else.
            agent_name: for whom the call is made; goes into the records.
            messages: what was said before the prompt.
            model: for the first provider; None is its default. A fallback provider is always asked for its own default.
            tenant: on whose behalf; goes into the records.
            conversation_id: of which conversation the call is a part; goes into the records.
            options: fields of `airframe.types.InferenceRequest`.

        Raises `LLMError`; that is `AllAttemptsFailedError` when several providers failed, `QuotaExceededError` when the
        resource callback refused, and `LLMInvalidRequestError` that names the field for what nobody could be asked.
        """
        caller = Caller(agent_name=agent_name, tenant=tenant, conversation_id=conversation_id)
        call = self._call(prompt, system, caller, messages, model, options, streamed=False)
        self._quota.check(call.request)
        return call.succeed(await first_answer(call, self._providers(), _ask, self._logger))

    def complete_stream(
        self,
        prompt: str | None = None,
        system: str | None = None,
        agent_name: str | None = None,
        *,
        messages: Sequence[Message] = (),
        model: str | None = None,
        tenant: str | None = None,
        conversation_id: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> CompletionStream:
        """The answer as it comes; arguments as for `complete`.

        Raises `LLMInvalidRequestError` at once, everything else while iterating.
        """
        caller = Caller(agent_name=agent_name, tenant=tenant, conversation_id=conversation_id)
        call = self._call(prompt, system, caller, messages, model, options, streamed=True)
        deliver = self._tell_chunk if self._streaming_callback else None
        return CompletionStream(call, self._providers(), check=self._quota.check, deliver=deliver, logger=self._logger)

    def set_resource_callback(self, callback: ResourceCallback | None) -> None:
        """Exchange the resource callback; None asks nobody."""
        self._quota.callback = callback

    def set_streaming_callback(self, callback: StreamingCallback | None) -> None:
        """Exchange the streaming callback, for streams that begin from now on; None tells nobody."""
        self._streaming_callback = callback

    def get_stats(self) -> GatewayStats:
        """What went through so far."""
        return self._stats.snapshot()

    async def aclose(self) -> None:
        """Close the providers that the gateway made, and let observers write what they hold.

        The gateway may be used again afterwards.
        """
        while self._made:
            _, provider = self._made.popitem()
            await provider.close()
        for observer in self._told:
            if isinstance(observer, FlushingObserver):
                flush = partial(self._faults.contained, type(observer).__name__, observer.flush)
                await to_thread.run_sync(flush)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _call(
        self,
        prompt: str | None,
        system: str | None,
        caller: Caller,
        messages: Sequence[Message],
        model: str | None,
        options: RequestOptions,
        *,
        streamed: bool,
    ) -> Call:
        if options.get("temperature") is None:
            options["temperature"] = self._settings.default_temperature
        try:
            request = InferenceRequest(messages=conversation(prompt, system, messages), model=model, **options)
        except InvalidRequestError as error:
            raise llm_error(error, provider=self._names[0], model=model) from error
        return Call(
            request,
            caller=caller,
            route=self._names,
            config_hash=self._config_hash,
            streamed=streamed,
            observer=self._observer,
            prices=self._prices,
            faults=self._faults,
        )

    def _providers(self) -> Sequence[Callable[[], LLMProvider]]:
        """Whom to ask, in order: each provider is followed by its backup endpoints."""
        asked: list[Callable[[], LLMProvider]] = []
        for name in self._names:
            owner = self._given.get(name) or self._settings.providers.get(name)
            backups = len(owner.backups) if owner else 0
            asked += [
                partial(self._provider, name),
                *(partial(self._backup, name, number) for number in range(backups)),
            ]
        return asked

    def _provider(self, name: str) -> LLMProvider:
        if provider := self._given.get(name) or self._made.get(name):
            return provider
        provider = self._made[name] = create_llm_provider(name, self._settings)
        return provider

    def _backup(self, name: str, number: int) -> LLMProvider:
        provider = self._provider(name)
        return provider.at(provider.backups[number])

    def _tell_chunk(self, chunk: StreamingChunk) -> None:
        callback = self._streaming_callback
        if callback is not None:
            self._faults.contained("streaming_callback", lambda: callback(chunk))


async def _ask(provider: LLMProvider, request: InferenceRequest, *, last: bool) -> InferenceResult:
    result = await provider.infer(request)
    if not last and is_empty(result):
        raise empty_answer_error(result)
    return result
