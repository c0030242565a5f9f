"""The gateway: from a prompt to a priced, recorded answer, by whichever deployment gives one.

It is where callers come in, and owns nothing but its parts: who is asked is `planning`'s business, in which order work
is done `conductor`'s, what it cost the cost calculator's, and what is made of the records the observers'.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from anyio import to_thread

from airframe.errors import InvalidRequestError
from avionics.errors import ConfigurationError, llm_error
from avionics.llm.admission import Admission
from avionics.llm.cache import ResponseCache
from avionics.llm.cached_calls import CachedCalls
from avionics.llm.call import Call
from avionics.llm.call_id import new_call_id
from avionics.llm.call_options import CallOptions, caller_of, request_of
from avionics.llm.completion_stream import CompletionStream, StreamingCallback
from avionics.llm.conductor import Conductor
from avionics.llm.cost_calculator import CostCalculator
from avionics.llm.default_observers import default_observers
from avionics.llm.demands import Demands
from avionics.llm.deployment_stats import DeploymentStats
from avionics.llm.deployments import Deployments
from avionics.llm.dispatch import Dispatcher
from avionics.llm.experiments import Experiments, ShadowMeans, ShadowStats, ShadowTraffic, varied_route
from avionics.llm.experiments.feedback import tell_feedback
from avionics.llm.extended_calls import ExtendedCalls
from avionics.llm.forgotten import Forgotten
from avionics.llm.limits import Limiter, LimitState
from avionics.llm.nodes import node_pool
from avionics.llm.observation import FaultLog, ObserverGroup
from avionics.llm.order import Order
from avionics.llm.planning import Planner
from avionics.llm.provider import LLMProvider
from avionics.llm.quota import QuotaGate, ResourceCallback
from avionics.llm.records import CallObserver, FlushingObserver
from avionics.llm.registry import check_provider_name
from avionics.llm.responses import LLMResponse, StreamingChunk
from avionics.llm.routing import ConcurrencyGate, HealthBoard, HealthPolicy, RouteTable
from avionics.llm.settlements import Settlements
from avionics.llm.stats import GatewayStats, StatsObserver
from avionics.settings import Settings
from avionics.settings.fingerprint import fingerprint

if TYPE_CHECKING:
    from avionics.llm.batch import BatchProgress, CallMap, CallRequest
    from avionics.llm.batch.crew import Requests
    from avionics.llm.batch.results import ProgressCallback
    from avionics.llm.explanation import Explanation
    from avionics.llm.middleware import Middleware
    from avionics.llm.nodes import InferenceEndpointsProtocol

__all__ = ["LLMGateway", "LLMResponse", "StreamingChunk"]


class LLMGateway:
    """Calls models. Safe to share between tasks; close it, or use it as an async context manager.

    Args:
        settings: who is asked, and how.
        fallback_providers: the names of those asked when the first provider fails, in order; None takes the settings'.
            Routes of `routing.routes` have an order of their own.
        logger: for what goes wrong beside the calls; None is the logger `avionics.llm.gateway`.
        resource_callback: `(tokens_in, tokens_out) -> reason`; see `avionics.llm.quota.QuotaGate`.
        streaming_callback: is given every chunk of every stream.
        observers: are told of every call; None is `default_observers(settings)`: telemetry and the call log.
        providers: ready-made ones by name; they win over made ones, and closing them is their owner's business.
        cost_calculator: None is one with the prices that the settings state.
        clock: gives seconds, for cooldowns; tests and simulations bring their own.
        limiter: holds calls to rates and budgets; gateways may share one, and closing it is its owner's business. None
            is one of this gateway's own, as the settings say.
        middleware: stands around every call, outermost first; see `avionics.llm.middleware`.
        nodes: inference nodes, asked first in distributed mode (`routing.mode`); None is those of the settings.

    Raises `ConfigurationError` when the first provider cannot be made, `UnsupportedProviderError` for any unknown
    name. Another provider is made when its turn comes; one that cannot be made is a failure of that call.
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
        clock: Callable[[], float] = time.monotonic,
        nodes: InferenceEndpointsProtocol | None = None,
        limiter: Limiter | None = None,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        if isinstance(fallback_providers, str):
            raise ConfigurationError("fallback_providers must be a sequence of names, got str; wrap it in a list")
        given = dict(providers or {})
        self._config_hash = fingerprint(settings)
        self._logger = logger or logging.getLogger(__name__)
        self._routes = RouteTable.from_settings(
            settings, fallback_providers, {name: len(provider.backups) for name, provider in given.items()}
        )
        self._experiments = Experiments(settings.experiments)
        for name in (*self._routes.providers(), *self._experiments.providers()):
            if name not in given:
                check_provider_name(name, settings)
        pool = node_pool(settings, nodes)
        self._deployments = Deployments(settings, given, pool)
        self._deployments.provider(self._routes.find().tiers[0].deployments[0].provider)
        self._faults = FaultLog(self._logger)
        self._quota = QuotaGate(resource_callback, self._faults, self._logger)
        self._stats = StatsObserver()
        self._streaming_callback = streaming_callback
        self._told = tuple(default_observers(settings) if observers is None else observers)
        self._observer = ObserverGroup([self._quota, self._stats, *self._told], self._faults)
        self._prices = cost_calculator or CostCalculator.from_settings(settings)
        self._board = board = HealthBoard(HealthPolicy.from_settings(settings.routing.health), clock=clock)
        self._planner = planner = Planner(self._deployments, board, self._prices, clock=clock, nodes=pool)
        self._own_limiter = limiter is None
        self._limiter = Limiter.from_settings(settings, logger=self._logger) if limiter is None else limiter
        self._settlements, self._forgotten = Settlements(), Forgotten()
        admission = Admission(
            board=board,
            gate=ConcurrencyGate(settings.routing.concurrency),
            limiter=self._limiter,
            demands=Demands(self._deployments, self._prices),
            settlements=self._settlements,
            nodes=pool,
        )
        dispatcher = Dispatcher(self._deployments, admission, self._logger)
        self._cache = ResponseCache.from_settings(settings, faults=self._faults)
        self._cached = cached = CachedCalls(self._cache, self._deployments)
        conductor = Conductor(planner, dispatcher, admission, self._quota, cached)
        self._calls = ExtendedCalls(conductor, middleware, self._faults)
        self._shadows = ShadowTraffic(
            self._routes,
            ShadowMeans(
                settings=settings,
                deployments=self._deployments,
                prices=self._prices,
                cached=cached,
                observer=ObserverGroup(self._told, self._faults),
                faults=self._faults,
                logger=self._logger,
                clock=clock,
                config_hash=self._config_hash,
                nodes=pool,
            ),
        )

    async def complete(
        self,
        prompt: str | None = None,
        system: str | None = None,
        agent_name: str | None = None,
        **options: Unpack[CallOptions],
    ) -> LLMResponse:
        """The whole answer.

        Args:
            prompt: the question; None when `messages` end with it.
            system: what comes before everything else.
            agent_name: for whom the call is made: whose route and parameters are taken. An agent without an entry in
                the settings is `default`.
            options: see `CallOptions`.

        Raises `LLMError`; that is `AllAttemptsFailedError` when several deployments failed, `NoDeploymentError` when
        nobody could be asked, `QuotaExceededError` when the resource callback refused, and `LLMInvalidRequestError`
        that names the field for what nobody could be asked.
        """
        return await self._calls.whole(self._order(prompt, system, agent_name, options, streamed=False))

    def complete_stream(
        self,
        prompt: str | None = None,
        system: str | None = None,
        agent_name: str | None = None,
        **options: Unpack[CallOptions],
    ) -> CompletionStream:
        """The answer as it comes; arguments as for `complete`.

        Raises `LLMInvalidRequestError` at once, everything else while iterating.
        """
        order = self._order(prompt, system, agent_name, options, streamed=True)
        deliver = self._tell_chunk if self._streaming_callback else None
        return CompletionStream(order, self._calls, deliver=deliver, forgotten=self._forgotten)

    def map(
        self,
        requests: Requests,
        *,
        concurrency: int = 8,
        ordered: bool = True,
        on_progress: ProgressCallback | None = None,
        system: str | None = None,
        agent_name: str | None = None,
        **defaults: Unpack[CallOptions],
    ) -> CallMap:
        """Many calls, `concurrency` of them at once; see `CallMap`. Calls that fail are results too.

        Args:
            requests: prompts, mappings or `CallRequest`; an iterable or an async iterable, which may be endless.
            concurrency: how many calls are made at once; limits of the settings hold nevertheless.
            ordered: whether results come in the order of their requests, or as soon as they are there.
            on_progress: is given the counts after each call.
            system: as for `complete`, for requests that do not state it.
            agent_name: likewise.
            defaults: likewise.
        """
        from avionics.llm.batch import CallMap, CallRequest

        usual = CallRequest(system=system, agent_name=agent_name, options=defaults)

        async def ask(request: CallRequest) -> LLMResponse:
            stated = request.over(usual)
            return await self.complete(stated.prompt, stated.system, stated.agent_name, **stated.options)

        def told(progress: BatchProgress) -> None:
            if on_progress is not None:
                self._faults.contained("on_progress", on_progress, progress)

        return CallMap(ask, requests, concurrency=concurrency, ordered=ordered, on_progress=told)

    def explain(
        self,
        prompt: str | None = None,
        system: str | None = None,
        agent_name: str | None = None,
        *,
        stream: bool = False,
        **options: Unpack[CallOptions],
    ) -> Explanation:
        """What would become of a call, or of a `stream`, with these arguments. Nothing is sent, and nothing changes.

        Raises `LLMInvalidRequestError` as `complete` does.
        """
        from avionics.llm.explanation import Explainer

        explainer = Explainer(self._planner, self._deployments, self._board, self._prices, self._limiter, self._cached)
        return explainer.explain(self._order(prompt, system, agent_name, options, streamed=stream), stream=stream)

    def set_resource_callback(self, callback: ResourceCallback | None) -> None:
        """Exchange the resource callback; None asks nobody."""
        self._quota.callback = callback

    def set_streaming_callback(self, callback: StreamingCallback | None) -> None:
        """Exchange the streaming callback, for streams that begin from now on; None tells nobody."""
        self._streaming_callback = callback

    def get_stats(self) -> GatewayStats:
        """What went through so far, and how the deployments are now."""
        stats = self._stats.snapshot()
        watched = {name: self._watched(each) for name, each in stats.deployments.items()}
        return replace(stats, deployments=watched)

    def limits(self) -> Sequence[LimitState]:
        """How the limits stand under which calls were made so far. Nobody is asked: see `Limiter.state`."""
        return self._limiter.state()

    def shadow_stats(self) -> Mapping[str, ShadowStats]:
        """What became of the copies of calls, by experiment. `get_stats` does not count them."""
        return self._shadows.stats()

    def record_feedback(self, call_id: str, metric: str, value: float | None, comment: str | None = None) -> None:
        """Note what somebody thought of an answer, in the call log, for reports on experiments. Returns at once.

        Args:
            call_id: `response.call_id`, or the `request_id` of a chunk. The call may be of another process.
            metric: what is judged, such as `helpful`.
            value: how well it did, on the metric's own scale; None where there is only a comment.
            comment: in words.

        Raises `ValueError` for an empty name, for a value that is not finite, and where there is neither value nor
        comment.
        """
        tell_feedback(self._told, self._faults, call_id, metric, value, comment)

    async def aclose(self) -> None:
        """Close the providers that the gateway made, and let observers write what they hold.

        Copies of calls that are under way get a while to end. The gateway may be used again afterwards.
        """
        await self._shadows.aclose()
        self._forgotten.carry_out()
        await self._settlements.carry_out()
        await self._deployments.aclose()
        await self._cache.aclose()
        if self._own_limiter:
            await self._limiter.aclose()
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

    def _order(
        self, prompt: str | None, system: str | None, agent_name: str | None, options: CallOptions, *, streamed: bool
    ) -> Order:
        call_id = new_call_id()
        part = self._experiments.participation(call_id, agent_name, system, options)
        route = varied_route(part.variant if part else None, self._routes, agent_name, options)
        first = route.tiers[0].deployments[0]
        try:
            request = request_of(prompt, system, options, model=first.model or self._deployments.default_model(first))
            caller = caller_of(agent_name, options)
        except InvalidRequestError as error:
            raise llm_error(error, provider=first.provider, model=first.model) from error
        call = Call(
            request,
            caller=caller,
            route=route.providers,
            config_hash=self._config_hash,
            variant=part.label if part else None,
            streamed=streamed,
            observer=self._observer,
            prices=self._prices,
            faults=self._faults,
            id=call_id,
        )
        self._shadows.watch(call, part, options)
        stated = options.get("timeout")
        return Order(
            call=call,
            route=route,
            timeout=route.policy.total if stated is None else stated,
            priority=options.get("priority", 0),
            cache=options.get("cache"),
            cache_ttl=options.get("cache_ttl"),
        )

    def _watched(self, stats: DeploymentStats) -> DeploymentStats:
        health = self._board.health(stats.name)
        ends = health.cooldown_until
        return replace(
            stats,
            breaker=self._board.state(stats.name),
            opens_in=None if ends is None else max(ends - self._board.clock(), 0.0),
            in_flight=health.in_flight,
        )

    def _tell_chunk(self, chunk: StreamingChunk) -> None:
        callback = self._streaming_callback
        if callback is not None:
            self._faults.contained("streaming_callback", lambda: callback(chunk))
