"""Limits: how fast calls may be made, and what they may cost. Reserve before a call, settle after it."""

from avionics.llm.limits.demand import Demand
from avionics.llm.limits.limiter import Limiter
from avionics.llm.limits.reservation import Reservation
from avionics.llm.limits.state import LimitState

__all__ = ["Demand", "LimitState", "Limiter", "Reservation"]
