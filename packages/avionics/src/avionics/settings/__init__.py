"""The settings: who can be asked, for whom, and how.

What the code gives wins over the environment, that over a dotenv file, that over a secrets directory, that over a
settings file, that over the defaults. All mistakes together are one `ConfigurationError`, which names each field, where
it stands, the shape of its value, and what is expected, and never repeats a value.
"""

from typing import TYPE_CHECKING

from avionics._lazy_names import loader

if TYPE_CHECKING:
    from avionics.settings.agents import AgentSettings, ModelSettings
    from avionics.settings.cache import CacheSettings
    from avionics.settings.call_log import CallLogSettings
    from avionics.settings.calls import LimitsSettings
    from avionics.settings.database import DatabaseSettings
    from avionics.settings.flat_names import FLAT_NAMES
    from avionics.settings.limits import BudgetSettings, RateSettings
    from avionics.settings.llm_config import LLMConfig, ReasoningSettings
    from avionics.settings.nodes import NodesSettings
    from avionics.settings.prices import PriceRow, PriceSettings
    from avionics.settings.process import get_settings, reload_settings, reset_settings, set_settings
    from avionics.settings.providers import ProviderSettings, TimeoutSettings
    from avionics.settings.routing import RoutingSettings
    from avionics.settings.schema import settings_schema
    from avionics.settings.settings import Settings
    from avionics.settings.telemetry import TelemetrySettings
else:
    __getattr__ = loader(
        __name__,
        {
            "avionics.settings.agents": ("AgentSettings", "ModelSettings"),
            "avionics.settings.cache": ("CacheSettings",),
            "avionics.settings.call_log": ("CallLogSettings",),
            "avionics.settings.calls": ("LimitsSettings",),
            "avionics.settings.database": ("DatabaseSettings",),
            "avionics.settings.flat_names": ("FLAT_NAMES",),
            "avionics.settings.limits": ("BudgetSettings", "RateSettings"),
            "avionics.settings.llm_config": ("LLMConfig", "ReasoningSettings"),
            "avionics.settings.nodes": ("NodesSettings",),
            "avionics.settings.prices": ("PriceRow", "PriceSettings"),
            "avionics.settings.process": ("get_settings", "reload_settings", "reset_settings", "set_settings"),
            "avionics.settings.providers": ("ProviderSettings", "TimeoutSettings"),
            "avionics.settings.routing": ("RoutingSettings",),
            "avionics.settings.schema": ("settings_schema",),
            "avionics.settings.settings": ("Settings",),
            "avionics.settings.telemetry": ("TelemetrySettings",),
        },
    )

__all__ = [
    "FLAT_NAMES",
    "AgentSettings",
    "BudgetSettings",
    "CacheSettings",
    "CallLogSettings",
    "DatabaseSettings",
    "LLMConfig",
    "LimitsSettings",
    "ModelSettings",
    "NodesSettings",
    "PriceRow",
    "PriceSettings",
    "ProviderSettings",
    "RateSettings",
    "ReasoningSettings",
    "RoutingSettings",
    "Settings",
    "TelemetrySettings",
    "TimeoutSettings",
    "get_settings",
    "reload_settings",
    "reset_settings",
    "set_settings",
    "settings_schema",
]


def __dir__() -> list[str]:
    return sorted(__all__)
