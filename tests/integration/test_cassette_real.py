"""A real llama.cpp server, recorded once and replayed without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from airframe import EndpointSpec, InferenceRequest, InferenceResult, LlamaServerAdapter, Message
from airframe.errors import TruncatedAnswerError
from airframe.testing import Cassette
from airframe.testing.llama_server import LlamaServerProcess
from airframe.testing.mutators import cut_after, split_anywhere
from airframe.testing.tiny_model import REPLY
from airframe.types import ReasoningOptions, StreamEvent

pytestmark = pytest.mark.anyio

REQUEST = InferenceRequest(
    messages=[Message("user", "Hi")], temperature=0.0, max_tokens=120, reasoning=ReasoningOptions(enabled=False)
)


async def converse(cassette: Cassette, endpoint: EndpointSpec) -> tuple[list[StreamEvent], InferenceResult]:
    """A streamed and a whole answer, and a look at the server's health."""
    adapter = LlamaServerAdapter(transport=cassette.transport)
    assert (await adapter.check_health(endpoint)).healthy
    events = [event async for event in adapter.stream_infer(endpoint, REQUEST)]
    return events[:-2], await adapter.infer(endpoint, REQUEST)


async def test_a_recorded_server_is_replayed_to_the_byte(llama_server: LlamaServerProcess, tmp_path: Path) -> None:
    """The replay gives the same events and results as the server gave; the recorded pieces are written as they came."""
    path = tmp_path / "llama.cassette"
    async with Cassette.record(path) as cassette:
        events, whole = await converse(cassette, EndpointSpec(base_url=llama_server.base_url))
    assert whole.text == REPLY
    nowhere = EndpointSpec(base_url="http://127.0.0.1:1")
    with Cassette.replay(path) as cassette:
        again, replayed = await converse(cassette, nowhere)
    assert again == events
    assert (replayed.text, replayed.usage, replayed.timings) == (whole.text, whole.usage, whole.timings)
    with Cassette.replay(path, faults=split_anywhere(), seed=3) as cassette:
        assert (await converse(cassette, nowhere))[0] == events
    with Cassette.replay(path, faults=cut_after(events=3)) as cassette:
        stream = LlamaServerAdapter(transport=cassette.transport, max_retries=0).stream_infer(nowhere, REQUEST)
        with pytest.raises(TruncatedAnswerError) as caught:
            [event async for event in stream]
    assert caught.value.partial is not None
    assert REPLY.startswith(caught.value.partial.text)
    assert caught.value.partial.text


async def test_the_key_of_a_real_server_is_not_on_the_cassette(tiny_model: Path, tmp_path: Path) -> None:
    """A server that asks for a key is recorded with it and replayed without."""
    path = tmp_path / "llama.cassette"
    key = "made-up-key-0123456789"
    with LlamaServerProcess(tiny_model, api_key=key) as server:
        async with Cassette.record(path) as cassette:
            endpoint = EndpointSpec(base_url=server.base_url, api_key=key)
            recorded = await LlamaServerAdapter(transport=cassette.transport).infer(endpoint, REQUEST)
    assert key not in Path(path).read_text(encoding="utf-8")  # noqa: ASYNC240 - a small file
    with Cassette.replay(path) as cassette:
        adapter = LlamaServerAdapter(transport=cassette.transport)
        assert (await adapter.infer(EndpointSpec(base_url=server.base_url), REQUEST)).text == recorded.text == REPLY
