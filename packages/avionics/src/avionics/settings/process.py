"""The settings of this process, for those who need no others."""

from __future__ import annotations

from avionics.settings.settings import Settings

__all__ = ["get_settings", "reload_settings", "reset_settings", "set_settings"]


class _Process:
    settings: Settings | None = None


def get_settings() -> Settings:
    """The settings of this process: those that were set, else read once."""
    if _Process.settings is None:
        _Process.settings = Settings()
    return _Process.settings


def set_settings(settings: Settings) -> None:
    """Makes `settings` those of this process."""
    _Process.settings = settings


def reset_settings() -> None:
    """Forgets the settings of this process; the next `get_settings` reads them anew."""
    _Process.settings = None


def reload_settings() -> Settings:
    """Reads the settings anew and makes them those of this process.

    Raises `ConfigurationError`; then those that held go on holding.
    """
    _Process.settings = Settings()
    return _Process.settings
