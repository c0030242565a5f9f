"""A provider: one backend under the name that settings and routes know it by.

It is a thin wrapper: an adapter of airframe, the endpoint it calls, and what the settings say of how its models are
asked. What goes over the wire is airframe's business, and whom to ask next is the gateway's.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType, TracebackType
from typing import ClassVar, Protocol, Self, TypeVar, Unpack, cast, overload, runtime_checkable
from urllib.parse import urlsplit

from pydantic import BaseModel

from airframe.adapters import Adapter
from airframe.endpoints import EndpointSpec, HealthReport
from airframe.errors import AirframeError, InvalidRequestError
from airframe.stream import InferenceStream
from airframe.types import InferenceRequest, InferenceResult, Message, ModelInfo, TextPart
from avionics.errors import ConfigurationError, OutputValidationError, llm_error
from avionics.llm.catalog import (
    ModelRegistry,
    ModelSpec,
    Policy,
    Problem,
    find_problems,
    fit_request,
    parse_model_id,
    truncation_check,
)
from avionics.llm.completion_result import CompletionResult, added_usage
from avionics.llm.configured import configured_for
from avionics.llm.construction import adapter_for, backups_of, endpoint_of, missing_setting
from avionics.llm.cost_calculator import CostCalculator, Terms, get_cost_calculator
from avionics.llm.images import Image, image_part
from avionics.llm.prepared_request import PreparedRequest
from avionics.llm.requests import RequestOptions, conversation
from avionics.llm.spending import attempt_cost
from avionics.llm.structured_output import output_format, parse_output, repair_messages
from avionics.llm.token_stream import TokenChunk, TokenStream
from avionics.llm.usage_estimate import whole_consumption
from avionics.settings import LLMConfig, ModelSettings, ProviderSettings, Settings

__all__ = ["CompletionProvider", "CompletionResult", "LLMProvider", "ProviderStats"]

ModelT = TypeVar("ModelT", bound=BaseModel)
ParsedT = TypeVar("ParsedT")


@runtime_checkable
class CompletionProvider(Protocol):
    """The least that a provider has to be: these two methods, with the meanings that they have in `LLMProvider`.

    For those who do not inherit. `register_provider` takes such a class too.
    """

    async def complete(
        self, messages: Sequence[Message], *, model: str | None = None, **options: Unpack[RequestOptions]
    ) -> CompletionResult[object]:
        """Answer a conversation. Raises `LLMError`."""
        ...

    def stream_complete(
        self, messages: Sequence[Message], *, model: str | None = None, **options: Unpack[RequestOptions]
    ) -> AsyncIterator[TokenChunk]:
        """The same, piece by piece."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderStats:
    """What went through a provider since it was made: requests, of which some were answered and some failed.

    Tokens are those that the backend reported.
    """

    requests: int = 0
    answers: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class LLMProvider(ABC):
    """One backend. Safe to share between tasks; close it, or use it as an async context manager.

    `infer` and `stream` raise airframe's `AirframeError`, because the gateway decides by it; everything else raises
    `LLMError` made from it.

    Args:
        adapter: speaks to the backend; closed with the provider.
        endpoint: where it is.
        name: what it is called, where that is not the class's own name.
        default_model: for calls that name none; None leaves it to the server.
        config: how calls are made that say nothing else.
        models: how single models are asked; their keys are names of models and aliases.
        backups: other endpoints with the same models, which the gateway turns to.
        catalog: what is known of models; None is what avionics brings.
        policy: what becomes of what a model does not take.
        cost_calculator: None is the process's.
    """

    name: str
    """What settings, routes and prices call it."""
    kind: ClassVar[str]
    """The kind of backend, as the settings name it."""
    supports_streaming: ClassVar[bool] = True
    continues_answers: bool = False
    """Whether its models go on with an assistant message that ends the conversation, as if they had begun it
    themselves. llama.cpp does so for every model (`prefill_assistant`, on by default; tried on build 11549). The newest
    models of Anthropic refuse such a message, those of OpenAI answer it, and other backends differ by model.
    """
    default_options: Mapping[str, object] = MappingProxyType(
        {"temperature": 0.7, "num_predict": 512, "stop": (), "top_p": 0.95}
    )
    """The options that `generate` takes, with their values when they are not given."""

    def __init__(
        self,
        adapter: Adapter,
        endpoint: EndpointSpec,
        *,
        name: str | None = None,
        default_model: str | None = None,
        config: LLMConfig | None = None,
        models: Mapping[str, ModelSettings] | None = None,
        backups: Sequence[EndpointSpec] = (),
        catalog: ModelRegistry | None = None,
        policy: Policy = "warn",
        cost_calculator: CostCalculator | None = None,
    ) -> None:
        self.adapter = adapter
        self.endpoint = endpoint
        self.name = name or self.name
        self.default_model = default_model
        self.config = config or LLMConfig()
        self.models = models or {}
        self.backups = tuple(backups)
        self.catalog = ModelRegistry() if catalog is None else catalog
        self.policy: Policy = policy
        self._prices = cost_calculator
        self._requests = self._answers = self._failures = self._prompt_tokens = self._completion_tokens = 0

    @classmethod
    def from_settings(cls, settings: Settings, name: str | None = None, agent_name: str | None = None) -> Self:
        """The provider `name` as the settings describe it, with the parameters of an agent.

        The agent's model is this provider's if the agent asks this provider first. Raises `ConfigurationError`.
        """
        name = name or cls.name
        described = settings.provider(name)
        agent = settings.agent(agent_name)
        kind, options = cls.dialect(described)
        endpoint = endpoint_of(name, kind, described, cls.base_url(name, described))
        return cls(
            adapter_for(kind, options, described, settings.limits),
            endpoint,
            name=name,
            default_model=(agent.model if agent.provider == name else None) or described.model,
            config=agent,
            models=settings.models,
            backups=backups_of(name, described, endpoint),
            catalog=ModelRegistry.from_settings(settings),
            policy=settings.routing.unsupported_parameters,
            cost_calculator=CostCalculator.from_settings(settings) if settings.prices or settings.models else None,
        )

    @classmethod
    def dialect(cls, described: ProviderSettings) -> tuple[str, Mapping[str, object]]:
        """Airframe's kind of adapter for these settings, and the options that it takes."""
        return cls.kind, described.stated_options()

    @classmethod
    def base_url(cls, name: str, described: ProviderSettings) -> str:
        """Where the settings of the provider `name` say that the backend is. Raises `ConfigurationError`."""
        if described.base_url is None:
            raise ConfigurationError(missing_setting(name, "base_url", "the URL of its server"))
        return described.base_url

    def at(self, endpoint: EndpointSpec) -> Self:
        """The same provider at another endpoint, over the same adapter; with the endpoint's model, if it has one."""
        other = copy(self)
        other.endpoint, other.backups = endpoint, ()
        other.default_model = endpoint.model or self.default_model
        return other

    @property
    def terms(self) -> Terms:
        """What is known beforehand of the terms of its prices. They tell one's own hardware from what is billed."""
        return Terms(kind=self.kind, server_address=urlsplit(self.endpoint.base_url).hostname)

    def prepare(self, request: InferenceRequest) -> PreparedRequest:
        """What is asked in the end: the model by its own name, what the settings say where the caller said nothing, and
        all of it as the model takes it.

        Pure. Raises `AirframeError` for what this backend and model cannot be asked.
        """
        request = self._completed(request)
        endpoint, catalog = self.endpoint, self.catalog
        fitted = fit_request(request, endpoint=endpoint, registry=catalog, provider=self.name, policy=self.policy)
        check = truncation_check(fitted.request, endpoint=endpoint, registry=catalog, provider=self.name)
        return PreparedRequest(fitted.request, fitted.warnings, check)

    def model_name(self, model: str | None) -> str | None:
        """A model by its own name, where `model` is an alias of the settings. Raises `AirframeError` as `spec`."""
        name, _ = self._described(model)
        return name

    def spec(self, model: str | None = None) -> ModelSpec | None:
        """What is known of a model here, the default one unless it is named; None where nothing is. Pure.

        Raises `AirframeError` for an alias of a model that is served elsewhere.
        """
        name, _ = self._described(model or self.default_model)
        return self.catalog.at(self.endpoint, name, provider=self.name)

    def problems(self, request: InferenceRequest) -> tuple[Problem, ...]:
        """Everything about a request that its model does not take as it is. Nothing is sent."""
        try:
            request = self._completed(request)
        except AirframeError as error:
            return (Problem(str(error)),)
        return find_problems(
            request, endpoint=self.endpoint, registry=self.catalog, provider=self.name, policy=self.policy
        )

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """Ask, and wait for the whole answer. Raises `AirframeError`."""
        try:
            prepared = self.prepare(request)
            result = prepared.finish(await self.adapter.infer(self.endpoint, prepared.request))
        except AirframeError as error:
            self.record(error)
            raise
        self.record(result)
        return result

    def stream(self, request: InferenceRequest) -> InferenceStream:
        """Ask, and hand out the answer as it comes; the reader tells `record` how it ended.

        Raises `AirframeError`, at once for what cannot be asked, everything else while iterating.
        """
        prepared = self.prepare(request)
        return prepared.finish_stream(self.adapter.stream_infer(self.endpoint, prepared.request))

    def record(self, outcome: InferenceResult | AirframeError | None) -> None:
        """Count one request: answered, failed, or (None) left before its end."""
        self._requests += 1
        if isinstance(outcome, InferenceResult):
            self._answers += 1
            self._prompt_tokens += outcome.usage.input_tokens or 0
            self._completion_tokens += outcome.usage.output_tokens or 0
        elif outcome is not None:
            self._failures += 1

    @overload
    async def complete(
        self,
        messages: Sequence[Message],
        *,
        model: str | None = None,
        output_type: None = None,
        repair: bool = False,
        **options: Unpack[RequestOptions],
    ) -> CompletionResult[None]: ...
    @overload
    async def complete(
        self,
        messages: Sequence[Message],
        *,
        model: str | None = None,
        output_type: type[ModelT],
        repair: bool = False,
        **options: Unpack[RequestOptions],
    ) -> CompletionResult[ModelT]: ...
    async def complete(
        self,
        messages: Sequence[Message],
        *,
        model: str | None = None,
        output_type: type[ModelT] | None = None,
        repair: bool = False,
        **options: Unpack[RequestOptions],
    ) -> CompletionResult[ModelT] | CompletionResult[None]:
        """Answer a conversation.

        Args:
            messages: what was said.
            model: None is the default model.
            output_type: what the answer should be an instance of; it becomes `parsed`.
            repair: whether an answer that is none is sent back, once, with what is wrong with it.
            options: fields of `airframe.types.InferenceRequest`.

        Raises `LLMError`; that is `OutputValidationError` for an answer that is no `output_type`.
        """
        with self._errors(model):
            if output_type is None:
                request = InferenceRequest(messages=messages, model=model, **options)
                return self._completion(model, await self.infer(request), None)
            options["response_format"] = output_format(output_type)
            request = InferenceRequest(messages=messages, model=model, **options)
            result = await self.infer(request)
            try:
                return self._completion(model, result, self._parsed(result, output_type))
            except OutputValidationError as failure:
                if not repair:
                    raise
                request = replace(request, messages=repair_messages(messages, result, failure))
            repaired = await self.infer(request)
            return self._completion(model, repaired, self._parsed(repaired, output_type), first=result)

    def stream_complete(
        self, messages: Sequence[Message], *, model: str | None = None, **options: Unpack[RequestOptions]
    ) -> TokenStream:
        """Answer a conversation piece by piece: an async iterator of `TokenChunk`, with the answer as its `result`.

        Raises `LLMError`.
        """
        with self._errors(model):
            return self._token_stream(InferenceRequest(messages=messages, model=model, **options))

    async def complete_with_vision(
        self,
        prompt: str,
        images: Sequence[Image],
        *,
        model: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> CompletionResult[None]:
        """Answer a question about images: URLs, bytes, paths of files or `ImagePart`s. Raises `LLMError`."""
        with self._errors(model):
            parts = [await image_part(image) for image in images]
            question = Message("user", [*parts, TextPart(prompt)])
        return await self.complete([question], model=model, **options)

    async def generate(self, model: str | None, prompt: str, options: Mapping[str, object] | None = None) -> str:
        """The text that follows a prompt.

        Raises `LLMError`; that is `LLMInvalidRequestError` for an option that is not in `default_options`.
        """
        with self._errors(model):
            return (await self.infer(self._generate_request(model, prompt, options))).text

    def generate_stream(
        self, model: str | None, prompt: str, options: Mapping[str, object] | None = None
    ) -> TokenStream:
        """The same, piece by piece: an async iterator of `TokenChunk`. Errors as `generate`."""
        with self._errors(model):
            return self._token_stream(self._generate_request(model, prompt, options))

    async def health_check(self) -> HealthReport:
        """Whether the backend can take a call now. A backend that is down is a report, not an error."""
        return await self.adapter.check_health(self.endpoint)

    async def list_models(self) -> Sequence[ModelInfo]:
        """The models that the backend offers. Raises `LLMError`."""
        with self._errors(None):
            return await self.adapter.list_models(self.endpoint)

    def get_stats(self) -> ProviderStats:
        """What went through so far."""
        return ProviderStats(
            requests=self._requests,
            answers=self._answers,
            failures=self._failures,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
        )

    async def close(self) -> None:
        """Close the connections. The provider may be used again afterwards."""
        await self.adapter.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _completed(self, request: InferenceRequest) -> InferenceRequest:
        """With the model by its own name, and what the settings say where the caller said nothing."""
        model, config = self._described(request.model or self.default_model)
        return configured_for(request, config, model)

    def _described(self, model: str | None) -> tuple[str | None, LLMConfig]:
        """What the settings say of a model: its own name, where they use an alias, and how it is asked."""
        entry = self.models.get(model) if model else None
        if entry is None:
            return model, self.config
        config = self.config.over(entry)
        if entry.id is None:
            return model, config
        try:
            id = parse_model_id(entry.id, self.catalog.providers | {self.name})
        except ConfigurationError as error:
            raise InvalidRequestError(f"model {model!r}: {error}") from None
        if id.provider not in {None, self.name} or (id.runtime and not id.runs_at(self.kind, self.endpoint.base_url)):
            raise InvalidRequestError(f"model {model!r} stands for {entry.id!r}, which is not served by {self.name}")
        return id.name, config

    def _completion(
        self, model: str | None, result: InferenceResult, parsed: ParsedT, *, first: InferenceResult | None = None
    ) -> CompletionResult[ParsedT]:
        """`first` is an answer that had to be repaired: it is paid for too."""
        model = model or self.default_model
        cost = self._cost(model, result)
        if first is not None and cost is not None:
            before = self._cost(model, first)
            cost = None if before is None else cost + before
        return CompletionResult(
            provider=self.name,
            model=result.model or model,
            result=result,
            usage=added_usage(first.usage, result.usage) if first else result.usage,
            cost=cost,
            parsed=parsed,
        )

    def _parsed(self, result: InferenceResult, output_type: type[ModelT]) -> ModelT:
        try:
            return parse_output(result, output_type)
        except OutputValidationError as error:
            error.provider, error.model = self.name, result.model
            raise

    def _cost(self, model: str | None, result: InferenceResult) -> Decimal | None:
        terms = replace(
            self.terms,
            service_tier=result.service_tier,
            seconds=sum(attempt.duration for attempt in result.attempts) or None,
        )
        return attempt_cost(
            self._prices or get_cost_calculator(),
            self.name,
            (result.model, model),
            whole_consumption(result),
            reported=result.reported_cost,
            terms=terms,
        ).usd

    def _token_stream(self, request: InferenceRequest) -> TokenStream:
        return TokenStream(
            self.stream(request),
            provider=self.name,
            model=request.model or self.default_model,
            record=self.record,
            complete=lambda result: self._completion(request.model, result, None),
        )

    def _generate_request(
        self, model: str | None, prompt: str, options: Mapping[str, object] | None
    ) -> InferenceRequest:
        given = options or {}
        if unknown := [name for name in given if name not in self.default_options]:
            raise InvalidRequestError(
                f"options: {self.name} does not know {', '.join(sorted(unknown))}; "
                f"it knows {', '.join(sorted(self.default_options))}"
            )
        _, config = self._described(model or self.default_model)
        stated = {**config.model_dump(exclude_none=True), "num_predict": config.max_tokens}
        described = {name: value for name in self.default_options if (value := stated.get(name)) is not None}
        fields = {**self.default_options, **described, **given}
        fields["max_tokens"] = fields.pop("num_predict")
        try:
            return InferenceRequest(
                messages=conversation(prompt, None, ()),
                model=model,
                **cast("RequestOptions", fields),  # InferenceRequest checks the values
            )
        except InvalidRequestError as error:  # in the caller's words
            raise InvalidRequestError(str(error).replace("max_tokens", "num_predict")) from None

    @contextmanager
    def _errors(self, model: str | None) -> Generator[None]:
        try:
            yield
        except AirframeError as error:
            raise llm_error(error, provider=self.name, model=model or self.default_model) from error
