"""The version, written in this one place; the build reads it too."""

__version__ = "0.1.0"
