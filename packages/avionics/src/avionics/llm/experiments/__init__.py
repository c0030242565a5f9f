"""Experiments: calls made in one of several ways, by session; copies that nobody waits for; and what came of it.

The decision is pure (`assignment`, `variation`); the copies hold state (`shadow_traffic`, `copies`).
"""

from avionics.llm.experiments.participation import Experiments, Participation
from avionics.llm.experiments.shadow_calls import ShadowMeans
from avionics.llm.experiments.shadow_traffic import ShadowStats, ShadowTraffic
from avionics.llm.experiments.variation import varied_route

__all__ = ["Experiments", "Participation", "ShadowMeans", "ShadowStats", "ShadowTraffic", "varied_route"]
