"""Nodes from a file: however it changes, the list follows, and a broken file changes nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio
import pytest

from airframe.testing import Clock
from avionics.errors import ConfigurationError, MissingKeyError
from avionics.llm.nodes import FileNodes, NodeProfile

KEY = "sk-made-up-for-this-test"


def listed(*names: str) -> str:
    """A list of these nodes; lists of as many names are equally long."""
    return json.dumps({"nodes": {name: {"base_url": f"http://{name}:8080"} for name in names}})


def names(profiles: Sequence[NodeProfile]) -> list[str]:
    return [profile.name for profile in profiles]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the node `a`."""
    path = tmp_path / "nodes.yaml"
    path.write_text(listed("a"))
    return path


@pytest.fixture
def nodes(file: Path) -> FileNodes:
    """The nodes of that file; each question looks at it."""
    return FileNodes(file, interval=1e-9)


class TestContent:
    """What a file says of a node."""

    def test_a_node_with_everything(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Address, kind, provider, key, whom and what it is for."""
        monkeypatch.setenv("LEFT_KEY", KEY)
        monkeypatch.setenv("LEFT_HOST", "10.0.0.7")
        file = tmp_path / "nodes.yaml"
        file.write_text(
            """
            nodes:
              left:
                base_url: http://${LEFT_HOST}:11434
                kind: ollama
                api_key_env: LEFT_KEY
                model: llama3.2
                agents: [planner]
                models: [llama3.2, qwen3]
                labels: {gpu: h100}
                weight: 2
                slots: 4
                max_connections: 8
              right: {base_url: "http://10.0.0.8:8080"}
            """
        )
        nodes = FileNodes(file)
        left, right = nodes.list_profiles()
        assert (left.name, left.provider, left.agents, left.models) == (
            "left",
            "ollama",
            ("planner",),
            ("llama3.2", "qwen3"),
        )
        assert (left.labels, left.weight, left.endpoint.capacity.slots) == ({"gpu": "h100"}, 2.0, 4)
        assert (left.endpoint.base_url, left.endpoint.backend_kind) == ("http://10.0.0.7:11434", "ollama")
        assert (left.endpoint.key, left.endpoint.model, left.endpoint.max_connections) == (KEY, "llama3.2", 8)
        assert (right.provider, right.endpoint.backend_kind, right.endpoint.key) == (
            "llamaserver",
            "llama_server",
            None,
        )
        assert nodes.get_profile_for_agent("planner") == left
        assert nodes.get_profile_for_agent("writer") is None

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("nodes: [", r"nodes\.yaml, line 1, column 9: invalid YAML"),
            ("", "must hold a mapping with the entry 'nodes', got nothing"),
            ("left: {}", r"left \(.*nodes\.yaml, line 1\): there is no such setting"),
            ("nodes:\n  a: {}", r"nodes\.a\.base_url \(.*line 2\): field required"),
            ("nodes:\n  a: {base_url: 'http://a', sloths: 1}", r"did you mean 'slots'\?"),
            (f"nodes:\n  a: {{base_url: 'http://{KEY}@a'}}", r"nodes\.a\.base_url .* user name or password"),
            ("nodes:\n  a: {base_url: 'http://a', weight: 0}", r"nodes\.a\.weight"),
            ("nodes:\n  'a b': {base_url: 'http://a'}", r"nodes\.a b"),
            ("nodes:\n  a: {base_url: 'http://a', provider: nobody}", "no provider 'nobody'"),
            ("nodes:\n  a: {base_url: 'http://a', kind: strange}", "'strange' is none of"),
            ("nodes:\n  a: {base_url: 'http://${NOT_SET}'}", r"line 2: the variable NOT_SET is not set"),
        ],
    )
    def test_a_mistake_is_one_clear_error(self, tmp_path: Path, text: str, said: str) -> None:
        """It names the file, the line and the field, and repeats no value."""
        file = tmp_path / "nodes.yaml"
        file.write_text(text)
        with pytest.raises(ConfigurationError, match=said) as caught:
            FileNodes(file)
        assert KEY not in str(caught.value)

    def test_a_key_that_is_not_set_is_named(self, tmp_path: Path) -> None:
        """By its variable."""
        file = tmp_path / "nodes.yaml"
        file.write_text("nodes: {a: {base_url: 'http://a', api_key_env: NOT_SET}}")
        with pytest.raises(MissingKeyError, match=r"nodes\.a\.api_key_env: the variable NOT_SET holds no key"):
            FileNodes(file)

    def test_a_missing_file_is_an_error_at_the_beginning(self, tmp_path: Path) -> None:
        """Nobody would notice it later."""
        with pytest.raises(ConfigurationError, match=r"missing\.yaml: the list of nodes cannot be read"):
            FileNodes(tmp_path / "missing.yaml")


class TestChanges:
    """What becomes of the list when the file changes."""

    def test_a_file_that_is_replaced(self, file: Path, nodes: FileNodes) -> None:
        """By renaming, as careful programs do it."""
        other = file.with_suffix(".new")
        other.write_text(listed("b", "c"))
        other.rename(file)
        assert names(nodes.list_profiles()) == ["b", "c"]

    def test_a_file_that_is_written_in_place(self, file: Path, nodes: FileNodes) -> None:
        """With the same length, and within the same tick of the file system's clock."""
        for name in "bcdefgh":
            file.write_text(listed(name))
            assert names(nodes.list_profiles()) == [name]

    def test_a_config_map_that_is_mounted(self, tmp_path: Path) -> None:
        """Kubernetes turns the link `..data` from one folder to another; the file itself is a link through it."""
        for version, name in (("..1", "a"), ("..2", "b")):
            (tmp_path / version).mkdir()
            (tmp_path / version / "nodes.yaml").write_text(listed(name))
        data, file = tmp_path / "..data", tmp_path / "nodes.yaml"
        data.symlink_to("..1")
        file.symlink_to("..data/nodes.yaml")
        nodes = FileNodes(file, interval=1e-9)
        assert names(nodes.list_profiles()) == ["a"]
        turned = tmp_path / "..data_tmp"
        turned.symlink_to("..2")
        turned.rename(data)
        assert names(nodes.list_profiles()) == ["b"]

    def test_a_broken_file_changes_nothing_and_is_told_once(
        self, file: Path, nodes: FileNodes, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Each new trouble once; when it is over, the list follows again."""
        caplog.set_level(logging.INFO)
        file.write_text("nodes: [")
        for _ in range(3):
            assert names(nodes.list_profiles()) == ["a"]
        assert "invalid YAML" in (nodes.problem or "")
        file.unlink()
        for _ in range(3):
            assert names(nodes.list_profiles()) == ["a"]
        assert "cannot be read" in (nodes.problem or "")
        file.write_text(listed("a"))
        assert names(nodes.list_profiles()) == ["a"]
        assert nodes.problem is None
        file.write_text(listed("b"))
        assert names(nodes.list_profiles()) == ["b"]
        levels = [record.levelname for record in caplog.records]
        assert levels == ["WARNING", "WARNING", "INFO", "INFO"]

    def test_an_empty_list_is_a_list(self, file: Path, nodes: FileNodes) -> None:
        """Somebody may want no nodes; an empty file is no list."""
        file.write_text("nodes: {}")
        assert nodes.list_profiles() == ()

    def test_questions_look_at_the_file_now_and_then(self, file: Path, clock: Clock) -> None:
        """Not at every call: it may lie on a slow disk."""
        nodes = FileNodes(file, interval=2.0, clock=lambda: clock.now)
        file.write_text(listed("b"))
        assert names(nodes.list_profiles()) == ["a"]
        clock.now = 2.0
        assert names(nodes.list_profiles()) == ["b"]

    @pytest.mark.anyio
    async def test_the_background_follows(
        self, file: Path, until: Callable[[Callable[[], object]], Awaitable[None]], clock: Clock
    ) -> None:
        """Then questions read nothing: the time for them stands still here. Cancelled, it ends at once."""
        nodes = FileNodes(file, interval=0.001, clock=lambda: clock.now)
        async with anyio.create_task_group() as tasks:
            await tasks.start(nodes.watch)
            await anyio.Path(file).write_text(listed("b"))
            await until(lambda: names(nodes.list_profiles()) == ["b"])
            await anyio.Path(file).write_text("nodes: [")
            await until(lambda: nodes.problem)
            assert names(nodes.list_profiles()) == ["b"]
            tasks.cancel_scope.cancel()
