"""A backup endpoint has the same models: it is asked before another provider, and inherits what it does not state."""

from __future__ import annotations

import json

import pytest

from airframe.testing.hostile import Connection, HostileServer, head, unused_port
from airframe.types import FinishReason
from avionics.llm import LLMGateway
from avionics.settings import Settings
from avionics.testing import RecordingObserver

pytestmark = pytest.mark.anyio

ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


def answering() -> HostileServer:
    def script(connection: Connection) -> None:
        body = json.dumps(ANSWER).encode()
        connection.send(head(content_length=len(body)) + body)

    return HostileServer(script)


def nobody() -> str:
    return f"http://127.0.0.1:{unused_port()}"


async def test_backups_are_asked_in_order_before_the_fallback() -> None:
    """With the model that the caller named and the key of the provider; every attempt is on record with its address."""
    recorder = RecordingObserver()
    with answering() as server:
        settings = Settings(
            llm_provider="mine",
            llm_fallback_providers=["mock"],
            llm_max_retries=0,
            providers={
                "mine": {
                    "kind": "openai_compatible",
                    "base_url": nobody(),
                    "api_key": "the-key",
                    "headers": {"X-Team": "blue"},
                    "backups": [{"base_url": nobody()}, {"base_url": f"{server.base_url}/v1"}],
                }
            },
        )
        async with LLMGateway(settings, observers=[recorder]) as gateway:
            response = await gateway.complete("Why?", model="some-model")
        (asked,), port = server.requests, server.port
    assert (response.provider, response.text) == ("mine", "Hi.")
    assert json.loads(asked.body)["model"] == "some-model"
    assert (asked.headers["authorization"], asked.headers["x-team"]) == ("Bearer the-key", "blue")
    assert [attempt.reason for attempt in recorder.end.attempts] == ["first", "failover", "failover"]
    assert recorder.end.attempts[-1].server_port == port


async def test_a_backup_states_what_differs() -> None:
    """Its own key, and its own name for the provider's model."""
    with answering() as server:
        backup = {"base_url": server.base_url, "api_key": "another", "model": "my-deployment"}
        mine = {"kind": "openai_compatible", "base_url": nobody(), "api_key": "the-key", "backups": [backup]}
        settings = Settings(llm_provider="mine", llm_max_retries=0, providers={"mine": mine})
        async with LLMGateway(settings, observers=[]) as gateway:
            response = await gateway.complete("Why?")
        (asked,) = server.requests
    assert response.metadata["finish_reason"] is FinishReason.STOP
    assert json.loads(asked.body)["model"] == "my-deployment"
    assert asked.headers["authorization"] == "Bearer another"


async def test_when_backups_fail_too_the_fallback_answers_for_its_own_model() -> None:
    """The next provider does not know the first one's model."""
    mine = {"kind": "openai_compatible", "base_url": nobody(), "backups": [{"base_url": nobody()}]}
    settings = Settings(
        llm_provider="mine", llm_fallback_providers=["mock"], llm_max_retries=0, providers={"mine": mine}
    )
    async with LLMGateway(settings, observers=[]) as gateway:
        response = await gateway.complete("Why?", model="some-model")
    assert (response.provider, response.model, response.text) == ("mock", "mock", "Why?")
