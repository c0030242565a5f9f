"""The settings of this process, with what the command line says instead."""

from __future__ import annotations

from avionics.settings import Settings, get_settings

__all__ = ["chosen_settings"]


def chosen_settings(provider: str | None) -> Settings:
    """The settings, with `provider` asked first if it is given. Raises `ConfigurationError`."""
    settings = get_settings()
    return settings if provider is None else settings.asking(provider)
