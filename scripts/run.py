"""Runs the demo, the tests or the checks from nothing but Python 3.11 or newer with pip.

    python scripts/run.py demo                  the main job on an embedded model: no key, no server, no network
    python scripts/run.py tests [PYTEST ARGS]   the tests
    python scripts/run.py checks [NOX ARGS]     the checks of noxfile.py, such as `checks -s lint types`

Each command has a virtual environment of its own in .venv, made on first use and again when a pyproject.toml changes.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WINDOWS = sys.platform == "win32"


def group(name: str) -> list[str]:
    """The requirements of a dependency group, read here because the pip that comes with Python 3.11 cannot."""
    import tomllib  # not before main has looked at the version of Python

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    requirements: list[str] = settings["dependency-groups"][name]
    return requirements


def editable(extras_of_airframe: str, extras_of_avionics: str) -> list[str]:
    """What makes pip install both packages from their source trees."""
    airframe, avionics = ROOT / "packages" / "airframe", ROOT / "packages" / "avionics"
    return ["--editable", f"{airframe}{extras_of_airframe}", "--editable", f"{avionics}{extras_of_avionics}"]


def environment(name: str, requirements: Sequence[str]) -> Path:
    """The folder of programs of the environment `name`, which holds `requirements`."""
    folder = ROOT / ".venv" / name
    stamp = folder / "installed"
    wanted = fingerprint(requirements)
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"Setting up {folder.relative_to(ROOT)} ...", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        run(folder / ("Scripts" if WINDOWS else "bin") / "python", "-m", "pip", "install", "--quiet", *requirements)
        stamp.write_text(wanted, encoding="utf-8")
    return folder / ("Scripts" if WINDOWS else "bin")


def fingerprint(requirements: Sequence[str]) -> str:
    """Changes with the interpreter, the requirements, and what the metadata of the packages is made of."""
    metadata = sorted([*ROOT.glob("packages/*/pyproject.toml"), *ROOT.glob("packages/*/src/*/_version.py")])
    parts = [sys.version, *requirements, *(path.read_text(encoding="utf-8") for path in metadata)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def run(*command: str | Path) -> None:
    """Runs a program in the root folder; its failure ends this one with the same status."""
    status = subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode
    if status:
        sys.exit(status)


def main(arguments: Sequence[str]) -> None:
    match arguments:
        case ["demo", *rest]:
            run(environment("demo", editable("", "[demo]")) / "avionics", "demo", *rest)
        case ["tests", *rest]:
            requirements = [*editable("[llamacpp,testing,tiny-model]", "[all]"), *group("test"), *group("oracle")]
            run(environment("tests", requirements) / "pytest", *rest)
        case ["checks", *rest]:
            run(environment("checks", group("build")) / "nox", *rest)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    if sys.version_info[:2] < (3, 11):  # noqa: UP036 - whoever has an older one reads this
        sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.")
    main(sys.argv[1:])
