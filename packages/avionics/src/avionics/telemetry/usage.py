"""The tokens of a call or an attempt in the words of a profile. Pure.

Only what a backend counted is told: of an estimate, the source alone is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from opentelemetry.util.types import AttributeValue

from airframe.types import Usage
from avionics.llm.records import UsageSource
from avionics.settings.telemetry import SemconvProfile
from avionics.telemetry import semconv

__all__ = ["UsageNames", "by_modality", "usage_attributes", "usage_names"]

UsageNames: TypeAlias = Mapping[str, str]
"""Attributes, and the field of `Usage` that each one shows."""

_TOTALS: Final = {semconv.USAGE_INPUT_TOKENS: "input_tokens", semconv.USAGE_OUTPUT_TOKENS: "output_tokens"}
_LATEST: Final[UsageNames] = MappingProxyType(
    {
        **_TOTALS,
        semconv.USAGE_CACHE_READ_TOKENS: "cache_read_tokens",
        semconv.USAGE_CACHE_WRITE_TOKENS: "cache_write_tokens",
        semconv.USAGE_REASONING_TOKENS: "reasoning_tokens",
        semconv.USAGE_AUDIO_INPUT_TOKENS: "input_audio_tokens",
        semconv.USAGE_AUDIO_OUTPUT_TOKENS: "output_audio_tokens",
    }
)
_CLASSIC: Final[UsageNames] = MappingProxyType({**_LATEST, semconv.USAGE_CACHE_CREATION_TOKENS: "cache_write_tokens"})


def usage_names(profile: SemconvProfile) -> UsageNames:
    """The attributes of a profile."""
    return _LATEST if profile == "latest" else _CLASSIC


def usage_attributes(usage: Usage | None, source: UsageSource, names: UsageNames) -> dict[str, AttributeValue]:
    """What is known of the tokens. Parts of a total are left out when they are 0, as the conventions want it."""
    if usage is None:
        return {}
    attributes: dict[str, AttributeValue] = {semconv.USAGE_SOURCE: source}
    if source == "reported":
        for name, field in names.items():
            count: int | None = getattr(usage, field)
            if count or (count == 0 and name in _TOTALS):
                attributes[name] = count
    return attributes


def by_modality(total: int, audio: int | None) -> Iterator[tuple[str, int]]:
    """A total by modality, as far as the backend tells them apart."""
    if audio:
        yield "audio", audio
    if total != audio or not total:
        yield "unknown", total - (audio or 0)
