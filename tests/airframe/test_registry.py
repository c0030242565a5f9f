"""Which adapter speaks to which kind of backend."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import airframe.registry
from airframe import (
    BackendKind,
    ConfigurationError,
    LlamaServerAdapter,
    OpenAICompatibleAdapter,
    adapter_factory,
    adapter_kinds,
    create_adapter,
    register_adapter,
)
from airframe.testing import ScriptedAdapter


@pytest.fixture(autouse=True)
def nothing_stays_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airframe.registry, "_registered", {})


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which packages count as installed."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def install(folder: Path, distribution: str, entry_points: str, **modules: str) -> None:
    """Put a distribution with entry points into `folder`, as an installer leaves it behind."""
    metadata = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[airframe.adapters]\n{entry_points}\n")
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)


@pytest.mark.parametrize("kind", list(BackendKind))
def test_every_kind_that_airframe_names_has_an_adapter_of_that_kind(kind: BackendKind) -> None:
    """`BackendKind` promises nothing that cannot be made, by member or by name."""
    assert adapter_factory(kind.value) is adapter_factory(kind)
    assert kind in adapter_kinds()
    if kind == BackendKind.LLAMA_CPP_PYTHON and importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("llama-cpp-python is not installed (extra llama-cpp-python)")
    assert create_adapter(kind).kind == kind


def test_options_reach_the_adapter() -> None:
    """What is given to `create_adapter` is given to the class, which judges it."""
    assert isinstance(create_adapter("llama_server", api_type="native", max_retries=0), LlamaServerAdapter)
    with pytest.raises(ConfigurationError, match="api_type must be"):
        create_adapter("llama_server", api_type="telepathy")


@pytest.mark.parametrize(
    ("asked", "meant"), [("llama-server", "llama_server"), ("OpenAI_compatable", "openai_compatible")]
)
def test_an_unknown_kind_names_the_known_ones_and_the_nearest(asked: str, meant: str) -> None:
    """A misspelt kind is answered with what exists, the likeliest first."""
    with pytest.raises(ConfigurationError) as caught:
        create_adapter(asked)
    assert f"did you mean {meant!r}?" in str(caught.value)
    assert all(kind in str(caught.value) for kind in BackendKind)


def test_an_unknown_kind_that_resembles_nothing_gets_no_guess() -> None:
    """A guess is only made when there is something to guess."""
    with pytest.raises(ConfigurationError, match="'zzz' is unknown; known kinds: ") as caught:
        adapter_factory("zzz")
    assert "did you mean" not in str(caught.value)


def test_a_program_registers_a_kind_of_its_own() -> None:
    """A function counts as well as a class, so a server that differs only in data needs no class."""
    register_adapter("my_server", partial(OpenAICompatibleAdapter, max_retries=0))
    assert isinstance(create_adapter("my_server"), OpenAICompatibleAdapter)
    assert "my_server" in adapter_kinds()


def test_a_kind_is_replaced_only_when_one_says_so() -> None:
    """Two parts of a program cannot take each other's kind away, nor airframe's, by accident."""
    register_adapter("my_server", ScriptedAdapter)
    for kind in ("my_server", "openai"):
        with pytest.raises(ConfigurationError, match="replace=True"):
            register_adapter(kind, ScriptedAdapter)
        register_adapter(kind, ScriptedAdapter, replace=True)
        assert isinstance(create_adapter(kind), ScriptedAdapter)


@pytest.mark.parametrize("kind", ["", " my_server"])
def test_a_kind_has_a_name(kind: str) -> None:
    """A name that nobody could ask for is refused."""
    with pytest.raises(ConfigurationError, match="must be a name"):
        register_adapter(kind, ScriptedAdapter)


def test_what_is_registered_must_make_adapters() -> None:
    """Something else is refused with the kind's name: when it is registered, or at the latest when it is used."""
    with pytest.raises(ConfigurationError, match="'my_server' must be an adapter class"):
        register_adapter("my_server", "ScriptedAdapter")  # type: ignore[arg-type]
    register_adapter("my_server", dict)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="'my_server' made dict, which is no Adapter"):
        create_adapter("my_server")


def test_an_installed_package_brings_a_kind(installed: Path) -> None:
    """An entry point is listed unloaded, and loaded when its kind is asked for."""
    source = "from airframe.testing import ScriptedAdapter\nclass Mine(ScriptedAdapter):\n    kind = 'mine'\n"
    install(installed, "mine-airframe", "mine = mine_adapter:Mine", mine_adapter=source)
    assert "mine" in adapter_kinds()
    assert "mine_adapter" not in sys.modules
    assert create_adapter("mine").kind == "mine"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("mine = nowhere:Mine", "ModuleNotFoundError: No module named 'nowhere'"),
        ("mine = mine_adapter:Absent", "AttributeError"),
        ("mine = mine_adapter:broken", "RuntimeError: half installed"),
        ("mine = mine_constant:VALUE", "is int, no adapter class"),
    ],
)
def test_a_package_that_cannot_be_loaded_is_named(installed: Path, entry: str, said: str) -> None:
    """The error says whose entry point failed, and how."""
    broken = "def __getattr__(name):\n    raise {'broken': RuntimeError('half installed')}.get(name, AttributeError)"
    install(installed, "mine-airframe", entry, mine_adapter=broken, mine_constant="VALUE = 1\n")
    with pytest.raises(ConfigurationError, match="mine-airframe") as caught:
        create_adapter("mine")
    assert said in str(caught.value)


def test_two_packages_with_the_same_kind_are_both_named(installed: Path) -> None:
    """Which one is taken is not left to chance; a program may choose."""
    for number in (1, 2):
        install(installed, f"mine-{number}", "mine = airframe.testing:ScriptedAdapter")
    with pytest.raises(ConfigurationError, match=r"mine-1 and mine-2|mine-2 and mine-1"):
        create_adapter("mine")
    register_adapter("mine", ScriptedAdapter)
    assert isinstance(create_adapter("mine"), ScriptedAdapter)


def test_an_installed_package_does_not_take_over_a_kind_of_airframe(installed: Path) -> None:
    """Who speaks to `openai` does not change by installing something."""
    install(installed, "mine-airframe", "openai = airframe.testing:ScriptedAdapter")
    assert not isinstance(create_adapter("openai"), ScriptedAdapter)
