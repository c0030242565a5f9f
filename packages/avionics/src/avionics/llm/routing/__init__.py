"""Whom a call asks: routes, what a deployment can serve, how it fares, and the order among equals. Pure decisions.

Two things hold state: `HealthBoard` and `ConcurrencyGate`.
"""

from avionics.llm.routing.balancing import Situation
from avionics.llm.routing.concurrency_gate import ConcurrencyGate, Places, Slot
from avionics.llm.routing.deployment import Conditions, Deployment
from avionics.llm.routing.failover import FAILS_OVER, fails_over
from avionics.llm.routing.health import BreakerState, DeploymentHealth, HealthPolicy, state_of
from avionics.llm.routing.health_board import HealthBoard
from avionics.llm.routing.needs import Circumstances, Needs
from avionics.llm.routing.planner import Exclusion, RoutePlan, plan
from avionics.llm.routing.route import Route, RoutePolicy, StreamPolicy, Tier
from avionics.llm.routing.route_table import RouteTable

__all__ = [
    "FAILS_OVER",
    "BreakerState",
    "Circumstances",
    "ConcurrencyGate",
    "Conditions",
    "Deployment",
    "DeploymentHealth",
    "Exclusion",
    "HealthBoard",
    "HealthPolicy",
    "Needs",
    "Places",
    "Route",
    "RoutePlan",
    "RoutePolicy",
    "RouteTable",
    "Situation",
    "Slot",
    "StreamPolicy",
    "Tier",
    "fails_over",
    "plan",
    "state_of",
]
