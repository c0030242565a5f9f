"""The names of the GenAI conventions are spelled in one place."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

import avionics
from avionics.telemetry import semconv

SOURCES = Path(str(files(avionics)))


def test_only_semconv_spells_a_name_of_the_conventions() -> None:
    """A change of the conventions is a change of one file."""
    spelled_in = {
        path.relative_to(SOURCES).as_posix() for path in SOURCES.rglob("*.py") if "gen_ai." in path.read_text()
    }
    assert spelled_in == {"telemetry/semconv.py"}


@pytest.mark.parametrize(
    ("provider", "expected"),
    [("openai", "openai"), ("llamaserver", "llama_cpp"), ("azure", "azure.ai.openai"), ("MyProxy", "myproxy")],
)
def test_providers_have_the_names_of_the_conventions(provider: str, expected: str) -> None:
    """A provider that the conventions know bears their name for it; any other keeps its own in lower case."""
    assert semconv.provider_name(provider) == expected


@pytest.mark.parametrize(
    ("provider", "kind", "expected"),
    [
        ("fast", "openai_responses", "openai"),
        ("claude_eu", "anthropic", "anthropic"),
        ("vllm", "openai_compatible", "vllm"),
        ("gpt_oss", "mlx", "gpt_oss"),
    ],
)
def test_a_provider_of_any_name_is_known_by_its_kind(provider: str, kind: str, expected: str) -> None:
    """Settings may give a provider any name; its kind says who it is, unless that is anybody."""
    assert semconv.provider_name(provider, kind) == expected
