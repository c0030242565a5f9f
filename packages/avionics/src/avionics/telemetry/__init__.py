"""Calls as traces and metrics."""

from avionics.telemetry.observer import OpenTelemetryObserver

__all__ = ["OpenTelemetryObserver"]
