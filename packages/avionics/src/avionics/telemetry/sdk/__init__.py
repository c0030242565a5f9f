"""OpenTelemetry's SDK, as `avionics.telemetry.setup` sets it up: the one place that imports it."""

__all__: list[str] = []
