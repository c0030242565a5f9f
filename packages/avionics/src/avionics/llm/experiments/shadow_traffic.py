"""Shadow traffic: copies of real calls, made as another variant would, whose answers nobody waits for.

A copy begins when its call is over, so it cannot delay it; it is made of what was sent, after all middleware. Nothing
that becomes of it reaches a caller: it has health, places and a budget of its own, so its failures leave no deployment
alone, and its cost is nobody's. The response cache is left out. The call log has it as a call of the variant
`experiment/shadow:NAME`; the gateway's statistics do not count it.

Calls that were cancelled or left are not copied: who leaves may be about to end the event loop. Nor is what the
response cache answered: copies are not answered by it, so each repetition of a question would be paid for.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from avionics.errors import AvionicsError, BudgetExceededError, LimitsUnavailableError
from avionics.llm.call import Call
from avionics.llm.call_options import CallOptions
from avionics.llm.experiments.assignment import is_chosen
from avionics.llm.experiments.copies import Copies
from avionics.llm.experiments.participation import Participation
from avionics.llm.experiments.shadow_calls import ShadowMeans, shadow_calls
from avionics.llm.experiments.variation import varied_route
from avionics.llm.records import Outcome
from avionics.llm.routing import Route, RouteTable

__all__ = ["ShadowStats", "ShadowTraffic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowStats:
    """What became of the copies of one experiment.

    Attributes:
        answered: copies that got an answer.
        failed: copies that got none.
        refused: copies that were not made, or not to their end, because their budget has too little left.
        crowded_out: copies that were not made, because as many as may were under way.
        under_way: copies that are made at this moment.
    """

    answered: int = 0
    failed: int = 0
    refused: int = 0
    crowded_out: int = 0
    under_way: int = 0


class ShadowTraffic:
    """The copies of all experiments of a gateway."""

    def __init__(self, routes: RouteTable, means: ShadowMeans) -> None:
        self._routes = routes
        self._faults = means.faults
        self._logger = means.logger
        self._calls = shadow_calls(means)
        self._copies = Copies()
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in self._calls}

    def watch(self, call: Call, part: Participation | None, options: CallOptions) -> None:
        """Have a call copied when it is over, if its turn it is."""
        shadow = part.settings.shadow if part else None
        if part is None or shadow is None or shadow.to == part.variant.name:
            return
        if is_chosen(shadow.share, part.experiment, "shadow", call.id):
            variant = part.settings.variant(shadow.to)
            route = varied_route(variant, self._routes, call.caller.agent_name, options)
            call.when_over.append(partial(self._over, part.experiment, call, route))

    def stats(self) -> Mapping[str, ShadowStats]:
        """What became of the copies so far, by experiment."""
        with self._lock:
            return {
                name: ShadowStats(**counts, under_way=self._copies.count(name)) for name, counts in self._counts.items()
            }

    async def aclose(self) -> None:
        """Wait for copies that are under way, as long as the settings say, then cancel them."""
        if self._calls:
            await self._copies.aclose(max(each.shadow.patience for each in self._calls.values()))
        for calls in self._calls.values():
            await calls.aclose()

    def _over(self, experiment: str, call: Call, route: Route, outcome: Outcome) -> None:
        if outcome in {"success", "error"} and call.cache != "hit":
            self._faults.contained("shadow traffic", self._start, experiment, call, route)

    def _start(self, experiment: str, call: Call, route: Route) -> None:
        most = self._calls[experiment].shadow.concurrency
        if not self._copies.start(experiment, most, partial(self._copy, experiment, call, route)):
            self._count(experiment, "crowded_out")

    async def _copy(self, experiment: str, call: Call, route: Route) -> None:
        try:
            await self._calls[experiment].copy(call, route)
        except (BudgetExceededError, LimitsUnavailableError) as error:
            if self._count(experiment, "refused") == 1:
                self._logger.warning(
                    "a copy for the experiment %s is not made, and others may follow: %s", experiment, error
                )
        except AvionicsError:  # it is on record
            self._count(experiment, "failed")
        except Exception as error:  # noqa: BLE001 - a fault of ours harms no call, and is told
            self._count(experiment, "failed")
            self._faults.contained("shadow traffic", _raise, error)
        else:
            self._count(experiment, "answered")

    def _count(self, experiment: str, what: str) -> int:
        with self._lock:
            self._counts[experiment][what] += 1
            return self._counts[experiment][what]


def _raise(error: Exception) -> None:
    raise error
