"""Calls as traces, metrics, events and lines of a log."""

from avionics.telemetry.call_logger import CallLogger
from avionics.telemetry.observer import OpenTelemetryObserver
from avionics.telemetry.pipeline import Telemetry, setup

__all__ = ["CallLogger", "OpenTelemetryObserver", "Telemetry", "setup"]
