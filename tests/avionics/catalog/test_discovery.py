"""What runs on this machine is found, told apart, and known with what it says of itself.

Bodies: the servers' documentation and recorded answers, read 2026-11-20 (llama.cpp 0c1e570, Ollama 0.9.3 and fb30760,
lmstudio-ai/docs c6854fb, mlx-lm 0.32.2).
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from threading import Barrier
from typing import NamedTuple, TypeAlias

import pytest

from airframe.endpoints import EndpointSpec, HealthState
from airframe.testing.hostile import Connection, HostileServer, head
from avionics.llm import ModelRegistry
from avionics.llm.catalog import FoundServer, discover, parse_model_id

pytestmark = pytest.mark.anyio

Serve: TypeAlias = Callable[..., str]


class Status(NamedTuple):
    """An answer that is not plainly 200."""

    code: int
    body: object


TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"
OLLAMA: Mapping[str, object] = {
    "/api/version": {"version": "0.9.3"},
    "/api/tags": {
        "models": [{"name": "qwen3:4b", "model": "qwen3:4b"}, {"name": "embed:latest", "model": "embed:latest"}]
    },
    "/api/ps": {"models": [{"model": "qwen3:4b", "context_length": 8192}]},
    "/api/show qwen3:4b": {
        "capabilities": ["completion", "tools", "thinking", "vision"],
        "template": TEMPLATE,
        "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960},
    },
    "/api/show embed:latest": {
        "capabilities": ["embedding"],
        "model_info": {"general.architecture": "bert", "bert.context_length": 512},
    },
}
LM_STUDIO: Mapping[str, object] = {
    "/api/v1/models": {
        "models": [
            {
                "type": "llm",
                "key": "openai/gpt-oss-20b",
                "publisher": "openai",
                "max_context_length": 131072,
                "loaded_instances": [{"id": "openai/gpt-oss-20b", "config": {"context_length": 16384}}],
                "capabilities": {"vision": False, "trained_for_tool_use": True},
            },
            {"type": "embedding", "key": "nomic", "max_context_length": 2048, "loaded_instances": ()},
        ]
    },
    "*": Status(200, {"error": "Unexpected endpoint or method. (GET /props)"}),  # an unknown path is 200 there
}
OLD_LM_STUDIO: Mapping[str, object] = {
    "/api/v0/models": {
        "data": [
            {
                "id": "qwen2-vl",
                "type": "vlm",
                "state": "not-loaded",
                "max_context_length": 32768,
                "capabilities": ["tool_use"],
            }
        ]
    },
    "*": Status(200, {"error": "Unexpected endpoint or method."}),
}
MLX: Mapping[str, object] = {
    "/health": {"status": "ok"},
    "/v1/models": {"object": "list", "data": [{"id": "mlx-community/gpt-oss-20b", "object": "model", "created": 1}]},
}
LOADING = Status(503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}})
ROUTER: Mapping[str, object] = {
    "/props": {
        "build_info": "b1",
        "default_generation_settings": {"n_ctx": 512},
        "modalities": {},
        "chat_template": TEMPLATE,
    },
    "/v1/models": {
        "data": [
            {"id": "a", "owned_by": "llamacpp", "status": {"value": "loaded"}, "meta": {"n_ctx": 4096}},
            {"id": "b", "owned_by": "llamacpp", "status": {"value": "unloaded"}},
        ]
    },
}
VLLM: Mapping[str, object] = {"/health": {}, "/v1/models": {"data": [{"id": "x", "owned_by": "vllm"}]}}
WEB_SITE: Mapping[str, object] = {"*": Status(200, "<html>")}


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that answers paths with bodies (`*` is any other path), and anything else with 404."""
    with ExitStack() as running:

        def start(
            bodies: Mapping[str, object], *, key: str | None = None, meet: tuple[str, Barrier] | None = None
        ) -> str:
            def answer(connection: Connection) -> None:
                request = connection.request
                path = request.target
                if request.method == "POST":
                    path = f"{path} {json.loads(request.body)['model']}"
                if meet is not None and meet[0] == path:
                    meet[1].wait()
                found = bodies.get(path, bodies.get("*", Status(404, "Not Found")))
                status, document = found if isinstance(found, Status) else Status(200, found)
                if key is not None and request.headers.get("authorization") != f"Bearer {key}":
                    status, document = Status(401, {"error": {"message": "Invalid API Key", "code": 401}})
                body = document.encode() if isinstance(document, str) else json.dumps(document).encode()
                connection.send(head(status, content_length=len(body)) + body)

            return running.enter_context(HostileServer(answer)).base_url

        yield start


async def found_at(url: str | EndpointSpec) -> FoundServer | None:
    servers = await discover([url], usual=(), patience=5.0)
    return servers[0] if servers else None


@pytest.mark.parametrize(
    ("bodies", "runtime"),
    [
        (OLLAMA, "ollama"),
        (LM_STUDIO, "lm_studio"),
        (OLD_LM_STUDIO, "lm_studio"),
        (MLX, "mlx"),
        (ROUTER, "llama_server"),
        (VLLM, None),
        (WEB_SITE, None),
        (dict[str, object](), None),
    ],
    ids=["ollama", "lm_studio", "old_lm_studio", "mlx", "llama_server", "vllm", "web_site", "nothing_known"],
)
async def test_a_server_is_told_by_its_words_not_by_its_port(
    bodies: Mapping[str, object], runtime: str | None, serve: Serve
) -> None:
    """Any kind may listen anywhere; what is none of them is not taken for one."""
    server = await found_at(serve(bodies))
    assert (server and server.runtime) == runtime


async def test_a_model_of_ollama_is_known_with_all_that_it_says(serve: Serve) -> None:
    """The context that is loaded and the one that could be, template, abilities; its id leads back to it."""
    url = serve(OLLAMA)
    server = await found_at(url)
    assert server is not None
    chat, embedding = server.models
    assert chat.id == f"qwen3:4b:ollama@{url.removeprefix('http://')}"
    assert parse_model_id(chat.id).base_url == url
    assert (chat.loaded, chat.loaded_context, chat.context_window) == (True, 8192, 40960)
    assert (chat.supports("tools"), chat.supports("vision"), chat.supports("reasoning")) == (True, True, True)
    assert chat.chat_template == TEMPLATE
    assert (embedding.operation, embedding.loaded, embedding.supports("tools")) == ("embedding", False, False)


async def test_a_model_that_cannot_be_shown_is_listed_all_the_same(serve: Serve) -> None:
    """What is missing of it is unknown."""
    server = await found_at(serve({path: body for path, body in OLLAMA.items() if "show" not in path}))
    assert server is not None
    assert [(model.name, model.supports("tools"), model.context_window) for model in server.models] == [
        ("qwen3:4b", None, 8192),
        ("embed:latest", None, None),
    ]


async def test_a_model_of_lm_studio_has_the_context_that_is_loaded(serve: Serve) -> None:
    """The loaded context is the limit, not the one that the model was made for."""
    server = await found_at(serve(LM_STUDIO))
    assert server is not None
    chat, embedding = server.models
    assert (chat.loaded, chat.context_window, chat.supports("tools"), chat.supports("vision")) == (
        True,
        16384,
        True,
        False,
    )
    assert (embedding.loaded, embedding.operation, server.detail) == (False, "embedding", "1 of 2 models loaded")


async def test_an_old_lm_studio_says_as_much(serve: Serve) -> None:
    """The REST before 0.4 has other words for the same."""
    server = await found_at(serve(OLD_LM_STUDIO))
    assert server is not None
    (model,) = server.models
    assert (model.loaded, model.context_window, model.supports("tools"), model.supports("vision")) == (
        False,
        32768,
        True,
        True,
    )


async def test_of_mlx_only_the_names_are_known(serve: Serve) -> None:
    """It says neither context nor abilities, and unknown is not false."""
    server = await found_at(serve(MLX))
    assert server is not None
    (model,) = server.models
    assert (model.name, model.context_window, model.loaded, model.supports("tools")) == (
        "mlx-community/gpt-oss-20b",
        None,
        None,
        None,
    )


async def test_a_router_says_which_of_its_models_are_loaded(serve: Serve) -> None:
    """Its properties are those of none of its models."""
    server = await found_at(serve(ROUTER))
    assert server is not None
    assert [(model.name, model.loaded, model.context_window, model.chat_template) for model in server.models] == [
        ("a", True, 4096, None),
        ("b", False, None, None),
    ]


async def test_a_server_that_loads_its_model_is_found_loading(serve: Serve) -> None:
    """It is there, and will have models."""
    server = await found_at(serve({"*": LOADING}))
    assert server is not None
    assert (server.runtime, server.state, server.models) == ("llama_server", HealthState.LOADING, ())


async def test_a_server_with_a_key_is_asked_with_it(serve: Serve) -> None:
    """A configured endpoint is looked at as it is configured; without its key it says nothing."""
    url = serve(ROUTER, key="sk-made-up")
    assert await found_at(url) is None
    server = await found_at(EndpointSpec(base_url=url, api_key="sk-made-up"))
    assert server is not None
    assert len(server.models) == 2


async def test_all_addresses_are_asked_at_the_same_time(serve: Serve) -> None:
    """Two servers that list their models only when both are asked for them are both found."""
    both = Barrier(2, timeout=20)
    urls = [serve(OLLAMA, meet=("/api/tags", both)), serve(MLX, meet=("/v1/models", both))]
    servers = await discover(urls, usual=(), patience=10.0)
    assert [(server.runtime, len(server.models)) for server in servers] == [("ollama", 2), ("mlx", 1)]


async def test_one_place_is_asked_once_however_it_is_written(serve: Serve) -> None:
    """What the settings say wins over the usual address of the same port."""
    url = serve(MLX)
    servers = await discover([url.replace("127.0.0.1", "localhost")], usual=[url], patience=5.0)
    assert [server.base_url for server in servers] == [url.replace("127.0.0.1", "localhost")]


async def test_a_silent_port_stops_nobody() -> None:
    """Whoever accepts and says nothing is nobody after `patience` seconds; where nothing listens, that is known."""
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ports = [listener.getsockname()[1] for listener in (silent, closed)]
        assert await discover([f"http://127.0.0.1:{port}" for port in ports], usual=(), patience=0.05) == []


async def test_the_registry_knows_what_it_found(serve: Serve) -> None:
    """A model that runs is found by its id, and by name where its server is asked for it."""
    registry = ModelRegistry()
    url = serve(OLLAMA)
    (server,) = await registry.discover([url], usual=(), patience=5.0)
    chat = server.models[0]
    assert registry.get(chat.id) == chat
    assert registry.at(EndpointSpec(base_url=url, backend_kind="ollama"), "qwen3:4b") == chat
    assert registry.at(EndpointSpec(base_url="http://127.0.0.1:1", backend_kind="ollama"), "qwen3:4b") is None
    local = EndpointSpec(base_url=url.replace("127.0.0.1", "localhost"), backend_kind="ollama")
    assert registry.at(local, "embed") == server.models[1], "without a tag, Ollama means :latest"
    assert registry.at(local, "qwen3") is None
