"""`OpenAIResponsesAdapter`: addresses, and responses in the background. What answers say is tested with the format."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airframe import (
    BackendError,
    EndpointSpec,
    ErrorCategory,
    FinishReason,
    InferenceRequest,
    Message,
    OpenAIResponsesAdapter,
)
from airframe.testing.hostile.server import HostileServer, ReceivedRequest

pytestmark = pytest.mark.anyio

Serve = Callable[..., HostileServer]

HI = InferenceRequest(messages=[Message("user", "Hi")], model="gpt-6-sol")
MESSAGE = {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "Hello."}]}


def response(status: str = "completed", *items: object, **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "status": status, "model": "m", "output": list(items), **more}


def endpoint(server: HostileServer, path: str = "") -> EndpointSpec:
    return EndpointSpec(base_url=server.base_url + path, api_key="sk-made-up")


@pytest.mark.parametrize(("base", "path"), [("", "/v1"), ("/v1", "/v1"), ("/openai/v1", "/openai/v1")])
async def test_addresses(base: str, path: str, json_server: Serve) -> None:
    """A root gets `/v1`, a path stays as it is; the key is shown as a bearer token."""
    with json_server(response("completed", MESSAGE)) as server:
        async with OpenAIResponsesAdapter() as adapter:
            result = await adapter.infer(endpoint(server, base), HI)
    assert result.text == "Hello."
    assert [request.target for request in server.requests] == [f"{path}/responses"]
    assert server.requests[0].headers["authorization"] == "Bearer sk-made-up"


async def test_a_response_in_the_background(json_server: Serve) -> None:
    """It is created, asked for until it is there, and then is a result with its attempt and the request's id."""
    stages = {
        ("POST", "/v1/responses"): response("queued"),
        ("GET", "/v1/responses/resp_1"): response("completed", MESSAGE),
    }

    def answer(request: ReceivedRequest) -> object:
        return stages[request.method, request.target]

    with json_server(answer, headers={"x-request-id": "req_1"}) as server:
        async with OpenAIResponsesAdapter() as adapter:
            begun = await adapter.create_background(endpoint(server), HI)
            ended = await adapter.poll(endpoint(server), begun.id)
    assert json.loads(server.requests[0].body)["background"] is True
    assert (begun.id, begun.status, begun.done, begun.result) == ("resp_1", "queued", False, None)
    assert (ended.status, ended.done) == ("completed", True)
    assert ended.result is not None
    assert (ended.result.text, ended.result.finish_reason) == ("Hello.", FinishReason.STOP)
    assert (len(ended.result.attempts), ended.result.request_id) == (1, "req_1")


async def test_a_background_response_is_cancelled(json_server: Serve) -> None:
    """Cancelling is said to the response's own address, and keeps what was said until then."""
    with json_server(response("cancelled", MESSAGE)) as server:
        async with OpenAIResponsesAdapter() as adapter:
            cancelled = await adapter.cancel(endpoint(server), "resp_1")
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/v1/responses/resp_1/cancel")
    assert cancelled.result is not None
    assert (cancelled.result.text, cancelled.result.finish_reason) == ("Hello.", FinishReason.CANCELLED)


async def test_a_response_that_is_not_kept(json_server: Serve) -> None:
    """Asking for an unknown response is an error of category `not_found`; its id cannot lead to another address."""
    unknown = {"error": {"message": "Response with id 'x' not found.", "type": "invalid_request_error", "code": None}}
    with json_server(unknown, 404) as server:
        async with OpenAIResponsesAdapter() as adapter:
            with pytest.raises(BackendError) as caught:
                await adapter.poll(endpoint(server), "../models?x")
    assert caught.value.category is ErrorCategory.NOT_FOUND
    assert server.requests[0].target == "/v1/responses/..%2Fmodels%3Fx"


async def test_asking_is_retried(json_server: Serve) -> None:
    """A background response is asked for again when the service is overloaded for a moment."""
    answers = iter([b"{", json.dumps(response("completed", MESSAGE)).encode()])

    def answer(request: ReceivedRequest) -> bytes:
        return next(answers)

    with json_server(answer) as server:
        async with OpenAIResponsesAdapter(max_retries=1) as adapter:
            ended = await adapter.poll(endpoint(server), "resp_1")
    assert ended.result is not None
    assert [attempt.category for attempt in ended.result.attempts] == [ErrorCategory.PROTOCOL, None]
