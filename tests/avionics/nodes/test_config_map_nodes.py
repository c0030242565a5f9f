"""Nodes from a ConfigMap: the real client of Kubernetes, over a real socket, against an API that a test plays."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest
import yaml

from airframe.testing.hostile import Connection, HostileServer, chunk, head, unused_port
from avionics.llm.nodes import ConfigMapNodes, NodePool, NodeProfile, keep_current
from avionics.settings.nodes import ConfigMapSettings, NodeHealthSettings

pytest.importorskip("kubernetes", reason="the extra kubernetes is not installed")
pytestmark = pytest.mark.anyio

Until = Callable[[Callable[[], object]], Awaitable[None]]

FOLDER = "/api/v1/namespaces/llm/configmaps"


def listing(*names: str) -> str:
    return json.dumps({"nodes": {name: {"base_url": f"http://{name}:8080"} for name in names}})


class Cluster:
    """The API of a cluster, as far as one ConfigMap needs it; `change` is what kubectl would do.

    Source: kubernetes.io/docs/reference/using-api/api-concepts, "Efficient detection of changes" (read 2026-11-20).
    """

    def __init__(self, *names: str) -> None:
        self.events: list[bytes] = []
        self.refusals: list[int] = []
        """Statuses with which the next requests are refused."""
        self.queries: list[Mapping[str, list[str]]] = []
        self.tokens: list[str | None] = []
        self._object: Mapping[str, object] | None = None
        self._changed = threading.Condition()
        self._ended_watches = 0
        self._closed = False
        self.change(listing(*names))
        self._server = HostileServer(self._answer)

    @property
    def base_url(self) -> str:
        return self._server.base_url

    def change(self, text: str, *, key: str = "nodes.yaml", kind: str = "MODIFIED") -> None:
        with self._changed:
            version = str(len(self.events) + 1)
            changed = {"metadata": {"name": "nodes", "resourceVersion": version}, "data": {key: text}}
            self.events.append(json.dumps({"type": kind, "object": changed}).encode() + b"\n")
            self._object = None if kind == "DELETED" else changed
            self._changed.notify_all()

    def forget(self) -> None:
        """As a server does with versions that are too old."""
        with self._changed:
            self.events.append(b'{"type": "ERROR", "object": {"kind": "Status", "code": 410}}\n')
            self._object = {**(self._object or {}), "metadata": {"resourceVersion": str(len(self.events))}}
            self._changed.notify_all()

    def end_watches(self) -> None:
        """As a server does after a while."""
        with self._changed:
            self._ended_watches += 1
            self._changed.notify_all()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._server)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self.end_watches()
        self._stack.close()

    def _answer(self, connection: Connection) -> None:
        request, ended = connection.request, self._ended_watches
        target = urlsplit(request.target)
        query = parse_qs(target.query)
        self.tokens.append(request.headers.get("authorization"))
        self.queries.append(query)
        if self.refusals:
            self._send(connection, self.refusals.pop(0), {"kind": "Status"})
        elif target.path == f"{FOLDER}/nodes" and self._object:
            self._send(connection, 200, self._object)
        elif target.path == FOLDER and query["watch"][0].lower() == "true":
            connection.send(head(200, chunked=True))
            for event in self._events_since(int(query["resourceVersion"][0]), ended):
                connection.send(chunk(event))
            connection.send(chunk())
        else:
            self._send(connection, 404, {"kind": "Status"})

    def _send(self, connection: Connection, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        connection.send(head(status, content_length=len(body)) + body)

    def _events_since(self, version: int, ended: int) -> Iterator[bytes]:
        for position in itertools.count(version):
            with self._changed:
                self._changed.wait_for(partial(self._has_news, position, ended))
                if self._is_over(ended):
                    return
                event = self.events[position]
            yield event

    def _has_news(self, position: int, ended: int) -> bool:
        return self._is_over(ended) or len(self.events) > position

    def _is_over(self, ended: int) -> bool:
        return self._closed or self._ended_watches > ended


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster with the node `a`."""
    with Cluster("a") as running:
        yield running


@pytest.fixture
def kubeconfig(cluster: Cluster, tmp_path: Path) -> Path:
    """The file with which everybody reaches a cluster."""
    return write_kubeconfig(tmp_path, cluster.base_url)


def write_kubeconfig(folder: Path, server: str) -> Path:
    file = folder / "kubeconfig"
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "here", "cluster": {"server": server}}],
                "users": [{"name": "me", "user": {"token": "made-up"}}],
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
                "current-context": "here",
            }
        )
    )
    return file


def nodes_of(kubeconfig: Path) -> ConfigMapNodes:
    settings = ConfigMapSettings(name="nodes", namespace="llm", kubeconfig=kubeconfig)
    return ConfigMapNodes(settings, first_wait=0.001)


def names(nodes: ConfigMapNodes) -> list[str]:
    return [profile.name for profile in nodes.list_profiles()]


async def test_it_is_read_and_followed(cluster: Cluster, kubeconfig: Path, until: Until) -> None:
    """Known when the watch has started, and changed as the ConfigMap is; no change is missed in between."""
    nodes = nodes_of(kubeconfig)
    assert names(nodes) == []
    async with anyio.create_task_group() as tasks:
        await tasks.start(nodes.watch)
        assert names(nodes) == ["a"]
        cluster.change(listing("b", "c"))
        await until(lambda: names(nodes) == ["b", "c"])
        cluster.change(json.dumps({"nodes": {"d": {"base_url": "http://d", "agents": ["planner"]}}}))
        await until(lambda: nodes.get_profile_for_agent("planner"))
        tasks.cancel_scope.cancel()
    assert set(cluster.tokens) == {"Bearer made-up"}
    read, watch = cluster.queries
    assert (read, watch["fieldSelector"], watch["resourceVersion"]) == ({}, ["metadata.name=nodes"], ["1"])


@pytest.mark.parametrize("end", [Cluster.end_watches, Cluster.forget])
async def test_a_watch_that_ends_is_begun_anew(
    cluster: Cluster, kubeconfig: Path, until: Until, end: Callable[[Cluster], None]
) -> None:
    """Servers end it now and then, and forget old versions; the ConfigMap is read again, and followed from there."""
    nodes = nodes_of(kubeconfig)

    async def end_the_watch_and_change_to(name: str) -> None:
        await until(lambda: "watch" in cluster.queries[-1])
        before = len(cluster.queries)
        end(cluster)
        await until(lambda: len(cluster.queries) == before + 2)
        cluster.change(listing(name))
        await until(lambda: names(nodes) == [name])

    async with anyio.create_task_group() as tasks:
        await tasks.start(nodes.watch)
        await end_the_watch_and_change_to("b")
        await end_the_watch_and_change_to("c")
        tasks.cancel_scope.cancel()
    assert nodes.problem is None


@pytest.mark.parametrize(
    ("text", "key", "kind", "problem"),
    [
        ("nodes: [", "nodes.yaml", "MODIFIED", "invalid YAML"),
        ("nodes: {}", "other.yaml", "MODIFIED", "it has no key 'nodes.yaml'; its keys are other.yaml"),
        ("nodes: {}", "nodes.yaml", "DELETED", "was deleted"),
        ("nodes: {}", "nodes.yaml", "ERROR", "the API ended the watch"),
    ],
)
async def test_a_broken_config_map_changes_nothing(
    cluster: Cluster,
    kubeconfig: Path,
    until: Until,
    caplog: pytest.LogCaptureFixture,
    text: str,
    key: str,
    kind: str,
    problem: str,
) -> None:
    """The last good list stays, the trouble is told once, and the next good one is taken."""
    nodes = nodes_of(kubeconfig)
    async with anyio.create_task_group() as tasks:
        await tasks.start(nodes.watch)
        cluster.change(text, key=key, kind=kind)
        await until(lambda: problem in caplog.text)
        cluster.change(listing("b"))
        await until(lambda: names(nodes) == ["b"])
        tasks.cancel_scope.cancel()
    assert nodes.problem is None
    assert sum(problem in message for message in caplog.messages) == 1


@pytest.mark.parametrize(
    ("status", "problem"),
    [(403, "the account may not get and watch it"), (404, "there is none"), (500, "the API answered status 500")],
)
async def test_a_refusal_is_told_and_tried_again(
    cluster: Cluster, kubeconfig: Path, until: Until, status: int, problem: str
) -> None:
    """The watch has started, without nodes; when the API answers, they are there."""
    nodes = nodes_of(kubeconfig)
    cluster.refusals += [status] * 3
    async with anyio.create_task_group() as tasks:
        await tasks.start(nodes.watch)
        assert problem in (nodes.problem or "")
        await until(lambda: names(nodes) == ["a"])
        assert nodes.problem is None
        tasks.cancel_scope.cancel()


async def test_an_api_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The program starts without nodes, and goes on asking."""
    nodes = nodes_of(write_kubeconfig(tmp_path, f"http://127.0.0.1:{unused_port()}"))
    async with anyio.create_task_group() as tasks:
        await tasks.start(nodes.watch)
        assert "the API of the cluster is not reached" in (nodes.problem or "")
        tasks.cancel_scope.cancel()


async def test_a_cluster_that_nobody_describes_is_told(tmp_path: Path) -> None:
    """Outside of a cluster, and without the file."""
    nodes = nodes_of(tmp_path / "missing")
    async with anyio.create_task_group() as tasks:
        await tasks.start(nodes.watch)
        assert "how the cluster is reached is not known" in (nodes.problem or "")
        tasks.cancel_scope.cancel()


async def test_a_pool_over_it(cluster: Cluster, kubeconfig: Path, until: Until) -> None:
    """Its nodes are asked, and cancelled, nothing goes on waiting in a thread."""
    pool = NodePool(nodes_of(kubeconfig), health=NodeHealthSettings(interval=None))

    def asked() -> list[NodeProfile]:
        return list(pool.candidates())

    async with keep_current(pool):
        assert [node.name for node in asked()] == ["a"]
        cluster.change(listing("b"))
        await until(lambda: [node.name for node in asked()] == ["b"])
    workers = [thread for thread in threading.enumerate() if "hostile" not in thread.name]
    await until(lambda: all(not reads_a_socket(thread) for thread in workers))


def reads_a_socket(thread: threading.Thread) -> bool:
    """Whether a thread is inside `follow`."""
    import sys

    frame = sys._current_frames().get(thread.ident or 0)
    while frame:
        if frame.f_code.co_name == "follow":
            return True
        frame = frame.f_back
    return False
