"""What a server says it is occupied with: what it leaves open stays unknown."""

from __future__ import annotations

import pytest

from airframe import EndpointSpec, LlamaServerAdapter, LMStudioAdapter, OllamaAdapter, OpenAIChatAdapter, ServerLoad
from airframe.adapters import HttpAdapter
from airframe.testing.hostile import Connection, HostileServer, head, unused_port
from airframe.testing.server import FakeServer

pytestmark = pytest.mark.anyio

LLAMA = {
    "/slots": b'[{"id": 0, "is_processing": true}, {"id": 1, "is_processing": false}]',
    "/props": b'{"total_slots": 4}',
    "/metrics": b"# HELP llamacpp:requests_deferred Number\nllamacpp:requests_deferred 3\nllamacpp:tokens 5\n",
    "/v1/models": b'{"data": [{"id": "qwen3", "status": {"value": "loaded"}}, '
    b'{"id": "other", "status": {"value": "unloaded"}}]}',
}


def server_with(*paths: str) -> HostileServer:
    """A llama-server that runs with these of its pages; asked for another one, it says that it is not there."""

    def answer(connection: Connection) -> None:
        page = connection.request.target
        body = LLAMA[page] if page in paths else b'{"error": {"code": 501, "message": "not supported"}}'
        connection.send(head(200 if page in paths else 501, content_length=len(body)) + body)

    return HostileServer(answer)


@pytest.mark.parametrize(
    ("pages", "load"),
    [
        (LLAMA, ServerLoad(slots=2, busy_slots=1, waiting=3, loaded_models=("qwen3",))),
        (["/v1/models", "/props"], ServerLoad(slots=4, loaded_models=("qwen3",))),
        (["/slots"], ServerLoad(slots=2, busy_slots=1)),
        ([], ServerLoad()),
    ],
    ids=["everything", "no slots", "slots alone", "nothing"],
)
async def test_llama_server_tells_what_it_runs_with(pages: list[str], load: ServerLoad) -> None:
    """Slots, what waits and what is loaded; a page that is switched off is unknown, and no error."""
    async with LlamaServerAdapter(max_retries=0) as adapter:
        with server_with(*pages) as server:
            assert await adapter.check_load(EndpointSpec(base_url=server.base_url)) == load


@pytest.mark.parametrize(
    ("adapter", "dialect", "load"),
    [
        (OllamaAdapter, "ollama", ServerLoad(loaded_models=("scripted",))),
        (OpenAIChatAdapter, "openai", ServerLoad()),
    ],
)
async def test_others_tell_what_is_loaded_at_most(adapter: type[HttpAdapter], dialect: str, load: ServerLoad) -> None:
    """Ollama says which models are in its memory, a hosted API nothing."""
    with FakeServer(dialect=dialect) as server:
        async with adapter(max_retries=0) as asked:  # type: ignore[call-arg] # each brings its own wire format
            assert await asked.check_load(server.endpoint(dialect)) == load


@pytest.mark.parametrize("adapter", [LlamaServerAdapter, LMStudioAdapter, OllamaAdapter])
async def test_nobody_there_is_unknown(adapter: type[LlamaServerAdapter | LMStudioAdapter | OllamaAdapter]) -> None:
    """It never raises: whether somebody is there, the health check says."""
    async with adapter(max_retries=0) as asked:
        assert await asked.check_load(EndpointSpec(base_url=f"http://127.0.0.1:{unused_port()}")) == ServerLoad()
