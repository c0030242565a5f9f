"""The arrows between the two packages and inside them, read from the source: imports inside functions count too."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from pathlib import Path

import airframe
import avionics

AIRFRAME, AVIONICS = Path(airframe.__file__).parent, Path(avionics.__file__).parent

# The vocabulary, the wire formats and the retry decision: no I/O, no event loop.
PURE = ("endpoints.py", "errors.py", "protocols/", "rate_limits.py", "redaction.py", "retry.py", "types.py", "types/")
INPUT_OUTPUT = {
    "airframe._http",
    "anyio",
    "asyncio",
    "httpx",
    "httpx_sse",
    "os",
    "socket",
    "ssl",
    "trio",
}


def test_airframe_does_not_know_what_stands_above_it() -> None:
    """airframe imports no orchestration, telemetry, settings, database or prices."""
    above = {"alembic", "avionics", "genai_prices", "opentelemetry", "pydantic_settings", "sqlalchemy"}
    assert list(arrows(AIRFRAME, to=above)) == []


def test_httpx_is_known_to_the_transport_alone() -> None:
    """The HTTP library can be exchanged in one package."""
    assert [(path, name) for path, name in arrows(AIRFRAME, to={"httpx"}) if not path.startswith("_http/")] == []
    assert list(arrows(AVIONICS, to={"httpx", "httpx_sse"})) == []


def test_vocabulary_wire_formats_and_retry_do_no_input_or_output() -> None:
    """What can be tested with bytes and values alone stays so."""
    assert [(path, name) for path, name in arrows(AIRFRAME, to=INPUT_OUTPUT) if path.startswith(PURE)] == []


def test_wire_formats_do_not_know_adapters() -> None:
    """A wire format knows nothing of host dialects, transport and streams."""
    upwards = {"airframe.adapters", "airframe.registry", "airframe.stream", "airframe.testing"}
    assert [(path, name) for path, name in arrows(AIRFRAME, to=upwards) if path.startswith("protocols/")] == []


def test_what_is_shipped_does_not_import_its_test_tools() -> None:
    """The scripted model and the test server are imported by tests and the demo only."""
    tools = {"gguf", "numpy", "pytest"}
    assert [(path, name) for path, name in arrows(AIRFRAME, to=tools) if not path.startswith("testing/")] == []


def test_avionics_uses_public_names_of_airframe() -> None:
    """avionics takes nothing from a private module of airframe, and no wire format."""
    private = [name for _, name in arrows(AVIONICS, to={"airframe"}) if any(part[0] == "_" for part in name.split("."))]
    assert private == []
    assert list(arrows(AVIONICS, to={"airframe.protocols"})) == []


def test_one_package_imports_the_telemetry_sdk() -> None:
    """Modules speak to OpenTelemetry's API; the SDK and its exporters are set up in one place."""
    sdk = {"opentelemetry.exporter", "opentelemetry.sdk", "prometheus_client"}
    assert [(path, name) for path, name in arrows(AVIONICS, to=sdk) if not path.startswith("telemetry/sdk/")] == []


def arrows(package: Path, *, to: Collection[str]) -> Iterator[tuple[str, str]]:
    """(file, imported name) of every import in `package` of one of the modules `to`, or of something inside it."""
    for path in sorted(package.rglob("*.py")):
        for name in imported(path):
            if any(name == module or name.startswith(f"{module}.") for module in to):
                yield path.relative_to(package).as_posix(), name


def imported(path: Path) -> Iterator[str]:
    """Dotted names: `from a.b import c` gives `a.b.c`, which may be a module or a name in one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{alias.name}" for alias in names)
            case _:
                pass
