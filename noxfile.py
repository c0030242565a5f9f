"""The one list of checks: `nox` runs them all, `nox -s lint types` some of them, `nox -l` names them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"

PYTHONS = ["3.11", "3.12", "3.13"]
AIRFRAME, AVIONICS = "packages/airframe", "packages/avionics"
AIRFRAME_EXTRAS, AVIONICS_EXTRAS = "[llamacpp,testing,tiny-model]", "[all]"
CONSUMER = "tests/airframe/consumer"
LONG = ("--timeout", "1200", "-o", "faulthandler_timeout=1500")  # for tests that take minutes when nothing hangs
EDITABLE = ("--editable", AIRFRAME + AIRFRAME_EXTRAS, "--editable", AVIONICS + AVIONICS_EXTRAS)


def group(name: str) -> tuple[str, ...]:
    """The requirements of a dependency group of pyproject.toml."""
    return nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), name)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, likely mistakes and spelling."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("codespell", "packages", "docs", "tests", "scripts", "README.md", "CONTRIBUTING.md")


@nox.session
def types(session: nox.Session) -> None:
    """mypy and basedpyright, both strict, on packages, tests and scripts."""
    session.install(*EDITABLE, *group("test"), *group("types"), *group("build"))
    session.run("mypy")
    session.run("basedpyright", "--pythonpath", str(Path(session.bin, "python")))


@nox.session
def layers(session: nox.Session) -> None:
    """Which module may import which: the contracts in pyproject.toml."""
    session.install("--no-deps", "--editable", AIRFRAME, "--editable", AVIONICS)
    session.install(*group("lint"))
    session.run("lint-imports", "--no-cache")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The suite, on every Python that is installed here."""
    session.install(*EDITABLE, *group("test"), *group("oracle"))
    session.run("pytest", *session.posargs)


@nox.session
def wheels(session: nox.Session) -> None:
    """What users install, the two wheels without the source trees, against all tests but the longest."""
    session.install(*group("build"))
    folder = Path(session.create_tmp())
    for wheel in folder.glob("*.whl"):
        wheel.unlink()
    for package in (AIRFRAME, AVIONICS):
        session.run("uv", "build", "--wheel", "--out-dir", str(folder), package)
    (airframe,), (avionics,) = folder.glob("jeeves_airframe-*.whl"), folder.glob("jeeves_avionics-*.whl")
    # Built anew under the same version: a reused environment would keep the old ones.
    session.run("uv", "pip", "uninstall", "--quiet", "jeeves-airframe", "jeeves-avionics")
    session.install(f"{airframe}{AIRFRAME_EXTRAS}", f"{avionics}{AVIONICS_EXTRAS}", *group("test"))
    session.run("python", "-P", "-c", ONLY_WHEELS, silent=True)
    # nox keeps temporary files inside the checkout, where pytest runs of the tests would find our settings.
    environment = {"TMPDIR": tempfile.gettempdir()}
    # Faults and simulations take minutes, and nothing that they find depends on how a package was installed.
    tests = session.posargs or ["--ignore", "tests/airframe/faults", "--ignore", "tests/simulation"]
    session.run("pytest", *tests, env=environment, success_codes=[0, 1])
    # What failed has to pass by itself, as in .ci/run; 5 says that nothing did.
    again = ("--last-failed", "--last-failed-no-failures", "none")
    session.run("pytest", *tests, *again, env=environment, success_codes=[0, 5])
    run_consumer(session, f"{airframe.absolute()}[testing]")


def run_consumer(session: nox.Session, airframe: str) -> None:
    """The tests of a project of somebody else, in an environment that holds it, the wheel and nothing of ours."""
    environment = Path(session.create_tmp(), "consumer").absolute()
    python = str(environment / "bin" / "python")
    session.run("uv", "venv", "--quiet", "--clear", str(environment))
    session.run("uv", "pip", "install", "--quiet", "--python", python, airframe, "trio", CONSUMER)
    with session.chdir(CONSUMER):
        session.run(python, "-m", "pytest", "-p", "no:cacheprovider", external=True)


ONLY_WHEELS = """
import pathlib, airframe, avionics
for package in (airframe, avionics):
    installed = pathlib.Path(package.__file__).resolve()
    assert "site-packages" in installed.parts, f"{package.__name__} comes from {installed}, not from its wheel"
    assert (installed.parent / "py.typed").exists(), f"the wheel of {package.__name__} lacks py.typed"
"""


@nox.session
def lowest(session: nox.Session) -> None:
    """The suite on the lowest versions that the ranges of the packages and the test group allow."""
    if session.venv_backend != "uv":
        session.skip("only uv resolves to the lowest versions")
    session.install("--resolution", "lowest-direct", *EDITABLE, *group("test"))
    session.run("pytest", *session.posargs)


@nox.session
def httpx2(session: nox.Session) -> None:
    """airframe's tests on httpx2, the continuation of httpx."""
    session.install("--editable", AIRFRAME + AIRFRAME_EXTRAS, "--editable", AVIONICS, *group("test"), "httpx2")
    session.run(
        "pytest",
        "-p",
        "httpx2_instead",
        "tests/airframe",
        "tests/integration",
        *session.posargs,
        env={"PYTHONPATH": "tests/plugins"},
    )


@nox.session
def docs(session: nox.Session) -> None:
    """The site, without a broken link, and the examples in it."""
    session.install(*EDITABLE, *group("test"), *group("docs"))
    session.run("zensical", "build", "--strict", "--clean")
    session.run("pytest", "tests/integration/test_documentation.py")


@nox.session(default=False)
def torture(session: nox.Session) -> None:
    """Answers of every wire format, cut at every byte."""
    session.install(*EDITABLE, *group("test"))
    tests = "tests/airframe/faults/test_torture.py"
    session.run("pytest", *LONG, tests, *session.posargs, env={"AIRFRAME_EVERY_CUT": "1"})


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """Ten thousand mixed calls on each event loop and transport, after which nothing has grown."""
    session.install(*EDITABLE, *group("test"))
    tests = "tests/airframe/faults/test_soak.py"
    session.run("pytest", *LONG, "-s", tests, *session.posargs, env={"AIRFRAME_SOAK_CALLS": "10000"})


@nox.session(default=False)
def simulation(session: nox.Session) -> None:
    """Two thousand calls with each of seven seeds, on both event loops, over backends that fail and recover."""
    session.install(*EDITABLE, *group("test"))
    environment = {"AVIONICS_SIMULATION_CALLS": "2000"}
    session.run("pytest", "--timeout", "1200", "tests/simulation", *session.posargs, env=environment)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """CPU time against raw httpx: `nox -s bench -- --size quick`; `--peers openai litellm` measures these too."""
    session.install(*EDITABLE, "aiohttp", "httpx-aiohttp", "httpx-sse")
    environments = Path(session.create_tmp(), "peers").absolute()
    for requirements in Path("tests/benchmarks/peers").glob("*.txt"):
        if requirements.stem in session.posargs:
            python = environments / requirements.stem / "bin" / "python"
            if not python.exists():
                session.run("uv", "venv", "--quiet", str(python.parents[1]), external=True)
            session.run(
                "uv", "pip", "install", "--quiet", "--python", str(python), "-r", str(requirements), external=True
            )
    page = "docs/explanation/performance.md"
    arguments = [*session.posargs, "--environments", str(environments), "--write", page]
    session.run("python", "-m", "bench", *arguments, env={"PYTHONPATH": "tests/benchmarks"})
