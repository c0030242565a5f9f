"""What an import loads: heavy and optional packages are loaded by those who use them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from importlib.util import find_spec

import pytest
from packaging.requirements import Requirement

HEAVY = {
    "alembic",
    "celery",
    "genai_prices",
    "llama_cpp",
    "numpy",
    "opentelemetry.sdk",
    "redis",
    "rich",
    "sqlalchemy",
    "starlette",
    "typer",
    "xllamacpp",
}

NOT_ASKED_FOR = {
    "avionics.llm.batch.call_map",
    "avionics.llm.cache.redis_store",
    "avionics.llm.cache.sql_store",
    "avionics.llm.catalog.discovery",
    "avionics.llm.chat",
    "avionics.llm.conversation",
    "avionics.llm.explanation",
    "avionics.llm.limits.redis_store",
    "avionics.llm.limits.sqlite_store",
    "avionics.llm.middleware",
    "avionics.llm.nodes.pool",
}

FIRST_ANSWER = """
import asyncio
from avionics.llm import LLMGateway
from avionics.settings import Settings
asyncio.run(LLMGateway(Settings(llm_provider="mock"), observers=[]).complete("Hi"))
"""


def test_airframe_loads_its_dependencies_and_no_more() -> None:
    """`import airframe` loads the standard library, httpx, anyio, pydantic and what these need."""
    # Where they happen to be installed, httpx loads its own command line (extra `cli`), and anyio loads sniffio.
    allowed = import_names(closure(["httpx[cli]", "anyio", "pydantic", "sniffio"]))
    loaded = {name.partition(".")[0] for name in loaded_by("import airframe")}
    assert loaded - allowed - set(sys.stdlib_module_names) == {"airframe"}


@pytest.mark.parametrize("module", ["avionics", "avionics.llm.gateway"])
def test_avionics_loads_nothing_heavy(module: str) -> None:
    """Importing the package or the gateway loads no database, prices, telemetry SDK, server or command line."""
    brought_by_httpx = {name for name in loaded_by("import httpx") if name in HEAVY}
    assert (loaded_by(f"import {module}") & HEAVY) - brought_by_httpx == set()


@pytest.mark.parametrize("statement", ["import avionics.llm.gateway", FIRST_ANSWER], ids=["imported", "answered"])
def test_a_gateway_loads_what_it_was_asked_for(statement: str) -> None:
    """Without nodes, middleware, batches, stores and the like, none of their modules is loaded."""
    assert all(map(find_spec, NOT_ASKED_FOR)), "a name is out of date"
    assert loaded_by(statement) & NOT_ASKED_FOR == set()


def test_a_gateway_loads_the_provider_that_it_asks() -> None:
    """No other provider is loaded, and no HTTP client for one that needs none."""
    loaded = loaded_by(FIRST_ANSWER)
    assert {name for name in loaded if name.startswith("avionics.llm.providers.")} == {"avionics.llm.providers.mock"}
    assert "httpx" not in loaded


def test_settings_load_no_wire_format() -> None:
    """To read settings, the vocabulary of airframe is enough."""
    loaded = loaded_by("from avionics.settings import Settings; Settings()")
    assert {name for name in loaded if name.startswith(("airframe.protocols", "airframe.exchange", "httpx"))} == set()


def loaded_by(statement: str) -> set[str]:
    """The modules that `statement` loads on top of what this interpreter loads by itself."""
    command = (
        f"import sys; before = set(sys.modules)\n{statement}\nprint(*sorted(set(sys.modules) - before), sep='\\n')"
    )
    run = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def closure(requirements: Iterable[str]) -> set[str]:
    """The installed distributions that `requirements` need, themselves included, by normalized name."""
    found: set[str] = set()
    waiting = [Requirement(requirement) for requirement in requirements]
    while waiting:
        requirement = waiting.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        try:
            lines = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:
            continue  # an extra that is not installed
        if name not in found or requirement.extras:
            found.add(name)
            waiting += [need for need in map(Requirement, lines) if applies(need, requirement.extras or {""})]
    return found


def applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)


def import_names(distributions: set[str]) -> set[str]:
    """The top-level modules of these distributions."""
    by_module = metadata.packages_distributions()
    return {
        module
        for module, owners in by_module.items()
        if distributions & {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners}
    }
