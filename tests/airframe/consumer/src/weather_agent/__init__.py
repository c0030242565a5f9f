"""An agent that knows the weather, and a backend kind of its own."""

from weather_agent.agent import WeatherAgent

__all__ = ["WeatherAgent"]
