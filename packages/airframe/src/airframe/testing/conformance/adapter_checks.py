"""The contracts of an adapter, over a real socket on this machine. Each check is an async function of a case."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from airframe.adapters import Adapter
from airframe.errors import AirframeError, BackendError, InvalidRequestError, TruncatedAnswerError
from airframe.redaction import MASK
from airframe.retry import RetryPolicy
from airframe.testing.conformance.case import SECRET, ConformanceCase, comparable
from airframe.testing.conformance.decoding import decode_stream, sound
from airframe.testing.conformance.frames import frames_of, pieces, proof_index
from airframe.testing.hostile.server import Connection, HostileServer, ReceivedRequest, chunk, head
from airframe.types import (
    AudioPart,
    DoneEvent,
    FilePart,
    HostedTool,
    HostedToolPart,
    ImagePart,
    InferenceRequest,
    InferenceResult,
    JSONSchemaFormat,
    Message,
    MessageEvent,
    NamedTool,
    ReasoningOptions,
    ReasoningPart,
    RefusalPart,
    StreamEvent,
    TextPart,
    TokenEvent,
    ToolCall,
    ToolCallEvent,
    ToolResultPart,
    ToolSpec,
)

__all__ = [
    "ADAPTER_CHECKS",
    "AdapterCheck",
    "check_error_answers",
    "check_extra_params",
    "check_health_never_raises",
    "check_key",
    "check_leaving",
    "check_models",
    "check_no_retry_after_output",
    "check_nothing_dropped_in_silence",
    "check_retry_before_output",
    "check_stream",
    "check_stream_error_over_socket",
    "check_stream_in_pieces",
    "check_whole_answer",
]

AdapterCheck: TypeAlias = Callable[[ConformanceCase], Awaitable[None]]
_Answer: TypeAlias = Callable[[Connection], None]


async def check_stream(case: ConformanceCase) -> None:
    """A stream over a socket: the decoder's events, each call whole, the message, the end, and nothing more."""
    with _server(case, _streamed(case, [case.stream])) as server:
        events, result, error = await _listen(case, server)
    assert error is None, f"{error!r}"
    decoded = decode_stream(case, [case.stream])
    calls: list[StreamEvent] = [ToolCallEvent(call) for call in decoded.result.tool_calls]
    *spoken, message, done = events
    assert spoken == [*decoded.events, *calls]
    assert isinstance(message, MessageEvent)
    assert isinstance(done, DoneEvent)
    assert result is not None
    assert message.result is result
    assert comparable(result) == comparable(case.expected)
    assert _text(spoken) == result.text, "the TOKEN events do not add up to the text"
    assert [attempt.category for attempt in result.attempts] == [None]
    _check_request(case, server)


async def check_stream_in_pieces(case: ConformanceCase) -> None:
    """The same answer comes when every few bytes are a piece of their own."""
    for size in (1, 5):
        with _server(case, _streamed(case, pieces(case.stream, size))) as server:
            _, result, error = await _listen(case, server)
        assert error is None, f"by {size} bytes: {error!r}"
        assert result is not None
        assert comparable(result) == comparable(case.expected), f"by {size} bytes: another result"


async def check_whole_answer(case: ConformanceCase) -> None:
    """`infer` gives the whole answer, and so does a stream that the server answers with a whole document."""
    expected = comparable(case.expected_body or case.expected)
    with _server(case, _document(case.body)) as server:
        async with _adapter(case) as adapter:
            result = await adapter.infer(case.endpoint(server.base_url), case.request)
            assert comparable(result) == expected
            _check_request(case, server)
        _, streamed, error = await _listen(case, server)
        assert error is None, f"a document in place of a stream: {error!r}"
        assert streamed is not None
        assert comparable(streamed) == expected


async def check_error_answers(case: ConformanceCase) -> None:
    """An error by status is raised with its category, by `infer` and by a stream, and is not committed."""
    for answer in case.errors:
        reply = _document(answer.body, status=answer.status, headers=answer.headers)
        with _server(case, reply) as server:
            for ask in (_listen, _infer):
                _, _, error = await ask(case, server)
                place = f"{answer.status} {answer.body[:60]!r}, {ask.__name__}"
                assert isinstance(error, BackendError), f"{place}: {error!r}"
                assert error.category is answer.category, f"{place}: {error.category}"
                assert (error.status, error.committed) == (answer.status, False), place
                assert [attempt.category for attempt in error.attempts] == [answer.category], place


async def check_retry_before_output(case: ConformanceCase) -> None:
    """Until the first event an attempt is repeated, as often as the policy says, and every attempt is recorded."""
    policy = RetryPolicy(max_retries=2, backoff=0.0)
    for name, failure in (
        ("closed without an answer", Connection.close),
        ("closed in the first event", _streamed(case, [case.stream[:3]], end=Connection.close)),
        ("an empty stream", _streamed(case, [])),
    ):
        with _server(case, failure, failure, _streamed(case, [case.stream])) as server:
            _, result, error = await _listen(case, server, retry=policy)
            assert error is None, f"{name}: {error!r}"
            assert result is not None
            assert len(result.attempts) == 3, f"{name}: {result.attempts}"
            assert comparable(result) == comparable(case.expected), f"{name}: another result"
        with _server(case, failure) as server:
            _, _, error = await _listen(case, server, retry=RetryPolicy(max_retries=0))
            assert error is not None, f"{name}: no error without retries"
            assert len(error.attempts) == len(_asked(case, server)) == 1, f"{name}: retried although turned off"


async def check_no_retry_after_output(case: ConformanceCase) -> None:
    """Once an event was delivered nothing is repeated; the error says so and holds what had been said."""
    frames = frames_of(case)
    for index in range(1, proof_index(case, frames) + 1):
        before = b"".join(frames[:index])
        spoken = decode_stream(case, [before])
        for name, end in (("in order", _last_chunk), ("by closing", Connection.close), ("by reset", Connection.reset)):
            with _server(case, _streamed(case, [before], end=end)) as server:
                events, _, error = await _listen(case, server, retry=RetryPolicy(max_retries=2, backoff=0.0))
            place = f"cut {name} after {index} events"
            assert error is not None, f"{place}: passes for complete"
            if end is _last_chunk:
                assert isinstance(error, TruncatedAnswerError), f"{place}: {error!r}"
            if end is Connection.reset:  # a reset may overtake what was sent
                assert events == spoken.events[: len(events)], place
            else:
                assert events[: spoken.fed] == spoken.events[: spoken.fed], f"{place}: events were lost"
            assert error.committed == bool(events), f"{place}: committed is {error.committed}"
            assert (len(error.attempts) == 1) == bool(events), f"{place}: {len(error.attempts)} attempts"
            assert error.partial is not None, f"{place}: no partial result"
            assert error.partial.finish_reason is None, place
            assert comparable(error.partial).text.startswith(_text(events)), f"{place}: the partial result lost text"
            assert not any(call.complete for call in error.partial.tool_calls), f"{place}: a tool call is complete"


async def check_stream_error_over_socket(case: ConformanceCase) -> None:
    """An error inside a 200 is raised with its own category, and the connection is dropped at once."""
    frames = frames_of(case)
    for index in range(proof_index(case, frames) + 1):
        before = b"".join(frames[:index])
        spoken = decode_stream(case, [before])
        answer = _streamed(case, [before + case.stream_error], end=Connection.stall)
        with _server(case, answer) as server:
            events, _, error = await _listen(case, server)
            place = f"after {index} events"
            assert isinstance(error, BackendError), f"{place}: {error!r}"
            assert error.category is case.stream_error_category, f"{place}: {error.category}"
            assert events[: spoken.fed] == spoken.events[: spoken.fed], f"{place}: events were lost"
            assert error.committed == bool(events), place
            assert error.partial is not None, place
            await _disconnected(server)


async def check_leaving(case: ConformanceCase) -> None:
    """Whoever leaves a stream early disconnects, and the adapter goes on working."""
    frames = frames_of(case)
    beginning = next(
        b"".join(frames[:index])
        for index in range(1, len(frames) + 1)
        if decode_stream(case, [b"".join(frames[:index])]).fed
    )
    unfinished = _streamed(case, [beginning], end=Connection.stall)
    with _server(case, unfinished, _streamed(case, [case.stream])) as server:
        async with _adapter(case) as adapter:
            endpoint = case.endpoint(server.base_url)
            async with adapter.stream_infer(endpoint, case.request) as stream:
                async for _ in stream:
                    break
            await _disconnected(server)
            async with adapter.stream_infer(endpoint, case.request) as stream:
                async for _ in stream:
                    pass
            assert comparable(stream.result) == comparable(case.expected)


async def check_key(case: ConformanceCase) -> None:
    """The key goes to its origin, and never comes back: not by an error that quotes it, not by a redirect."""
    echo = json.dumps({"error": {"message": f"Incorrect API key provided: {SECRET}", "code": SECRET}}).encode()
    with _server(case, _document(echo, status=401)) as server:
        _, _, error = await _infer(case, server)
        assert any(SECRET in value for value in _asked(case, server)[0].headers.values()), "the key was not sent"
        assert error is not None
        shown = f"{error} {error!r} {error.body} {error.code} {error.attempts} {vars(error)}"
        assert SECRET not in shown, f"the key is shown: {shown}"
        assert MASK in str(error)
    with (
        _server(case, _document(case.body)) as elsewhere,
        _server(case, _document(b"", status=307, headers={"location": elsewhere.base_url + "/"})) as server,
    ):
        _, _, error = await _infer(case, server)
        assert isinstance(error, BackendError), f"a redirect: {error!r}"
        assert elsewhere.requests == [], "a redirect was followed"


async def check_extra_params(case: ConformanceCase) -> None:
    """`extra_params` and `extra_headers` are sent as they are, and win."""
    request = replace(
        case.request,
        temperature=0.5,
        extra_params={"x_mine": {"deep": [1, None]}, "stream": "mine"},
        extra_headers={"X-Mine": "yes"},
    )
    with _server(case, _document(case.body)) as server:
        _, _, error = await _infer(case, server, request)
        assert error is None, f"{error!r}"
        sent = _asked(case, server)[-1]
        body = json.loads(sent.body)
        found = (body.get("x_mine"), body.get("stream"), sent.headers.get("x-mine"))
        assert found == ({"deep": [1, None]}, "mine", "yes"), f"extra_params and extra_headers arrived as {found}"


async def check_nothing_dropped_in_silence(case: ConformanceCase) -> None:
    """What a request asks for is sent, or is named in a warning; a strict request fails instead of being warned."""
    with _server(case, _document(case.body)) as server:
        async with _adapter(case) as adapter:
            endpoint = case.endpoint(server.base_url)

            async def ask(request: InferenceRequest) -> tuple[list[bytes], InferenceResult]:
                server.requests.clear()
                result = await adapter.infer(endpoint, request)
                return [sent.body for sent in server.requests], result

            for name, (without, wanted) in _wishes(case.request).items():
                plain, before = await ask(without)
                sent, after = await ask(wanted)
                news = [
                    warning
                    for warning in after.warnings
                    if warning not in before.warnings or name.startswith(f"{warning.subject}.")
                ]
                assert sent != plain or news, f"{name} is neither sent nor warned of"
                refused = False
                try:
                    await ask(replace(wanted, strict=True))
                except InvalidRequestError as error:
                    refused = bool(sound(error))
                assert refused == bool(after.warnings), f"{name}: warned of {after.warnings}, strict refuses: {refused}"


async def check_models(case: ConformanceCase) -> None:
    """The models are listed with their ids, and a server that lists none is still a server."""
    if case.models is None:
        return
    _, _, ids = case.models
    with _server(case, _document(case.body)) as server:
        async with _adapter(case) as adapter:
            listed = await adapter.list_models(case.endpoint(server.base_url))
    assert [model.id for model in listed] == list(ids)


async def check_health_never_raises(case: ConformanceCase) -> None:
    """A probe reports what it found, also when that is nonsense or nothing."""
    for answer in (Connection.close, _document(b"nonsense"), _document(b"", status=500), _document(b"[]")):
        with HostileServer(answer) as server:
            async with _adapter(case) as adapter:
                report = await adapter.check_health(case.endpoint(server.base_url))
                assert report.detail or report.healthy
                assert SECRET not in repr(report)


ADAPTER_CHECKS: Sequence[AdapterCheck] = (
    check_stream,
    check_stream_in_pieces,
    check_whole_answer,
    check_error_answers,
    check_retry_before_output,
    check_no_retry_after_output,
    check_stream_error_over_socket,
    check_leaving,
    check_key,
    check_extra_params,
    check_nothing_dropped_in_silence,
    check_models,
    check_health_never_raises,
)
"""Every check of this file."""


# -- asking


def _adapter(case: ConformanceCase, retry: RetryPolicy | None = None) -> AbstractAsyncContextManager[Adapter]:
    return case.make_adapter(retry=retry or RetryPolicy(max_retries=0))


async def _listen(
    case: ConformanceCase,
    server: HostileServer,
    request: InferenceRequest | None = None,
    retry: RetryPolicy | None = None,
) -> tuple[list[StreamEvent], InferenceResult | None, AirframeError | None]:
    """The events of a stream, and how it ended."""
    events: list[StreamEvent] = []
    async with (
        _adapter(case, retry) as adapter,
        adapter.stream_infer(case.endpoint(server.base_url), request or case.request) as stream,
    ):
        try:
            async for event in stream:
                events.append(event)  # noqa: PERF401 - an error must not take along what came before it
        except AirframeError as error:
            return events, None, sound(error)
        return events, stream.result, None


async def _infer(
    case: ConformanceCase, server: HostileServer, request: InferenceRequest | None = None
) -> tuple[list[StreamEvent], InferenceResult | None, AirframeError | None]:
    """The whole answer, or the error in its place."""
    async with _adapter(case) as adapter:
        try:
            return [], await adapter.infer(case.endpoint(server.base_url), request or case.request), None
        except AirframeError as error:
            return [], None, sound(error)


async def _disconnected(server: HostileServer) -> None:
    await server.until(disconnects=1)


def _text(events: Iterable[StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TokenEvent))


# -- answering


def _server(case: ConformanceCase, *answers: _Answer) -> HostileServer:
    """Gives each inference request the next answer, and the last one to all further; knows `case.replies`."""
    replies = dict(case.replies)
    if case.models is not None:
        path, listed, _ = case.models
        replies[path] = listed
    asked = 0

    def script(connection: Connection) -> None:
        nonlocal asked
        if (reply := _reply(replies, connection.request)) is not None:
            connection.send(head(content_length=len(reply)) + reply)
            return
        asked += 1
        answers[min(asked, len(answers)) - 1](connection)

    return HostileServer(script)


def _reply(replies: Mapping[str, bytes], request: ReceivedRequest) -> bytes | None:
    path = urlsplit(request.target).path
    return next((body for end, body in replies.items() if path.endswith(end)), None)


def _asked(case: ConformanceCase, server: HostileServer) -> list[ReceivedRequest]:
    """The requests for inference."""
    return [request for request in server.requests if _reply(case.replies, request) is None]


def _document(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> _Answer:
    answer = head(status, content_length=len(body), headers=headers) + body
    return lambda connection: connection.send(answer)


def _last_chunk(connection: Connection) -> None:
    connection.send(chunk())


def _streamed(
    case: ConformanceCase, data: Iterable[bytes], *, end: Callable[[Connection], None] = _last_chunk
) -> _Answer:
    """A stream in these pieces, each a chunk sent by itself."""
    chunks = [chunk(piece) for piece in data if piece]
    content_type = "application/x-ndjson" if case.framing == "ndjson" else "text/event-stream"

    def answer(connection: Connection) -> None:
        connection.send(head(content_type=content_type, chunked=True))
        for piece in chunks:
            connection.send(piece)
        end(connection)

    return answer


def _check_request(case: ConformanceCase, server: HostileServer) -> None:
    sent = _asked(case, server)
    assert len(sent) == 1, f"{len(sent)} requests for one question"
    assert isinstance(json.loads(sent[0].body), dict)
    assert sent[0].headers.get("content-type", "").startswith("application/json")
    assert sent[0].headers.get("user-agent", "").startswith("jeeves-airframe/")


# -- wishes


def _wishes(request: InferenceRequest) -> dict[str, tuple[InferenceRequest, InferenceRequest]]:
    """Each thing that can be asked for, as a request without it and one with it."""
    tools = replace(request, tools=[ToolSpec(name="look", description="Look.")])
    options: dict[str, dict[str, Any]] = {
        "tools": {"tools": [ToolSpec(name="look", description="Look.")]},
        "tools[web_search]": {"tools": [HostedTool("web_search")]},
        "response_format": {"response_format": JSONSchemaFormat(schema={"type": "object"}, name="n", strict=True)},
        "max_tokens": {"max_tokens": 1717},
        "temperature": {"temperature": 0.25},
        "top_p": {"top_p": 0.5},
        "top_k": {"top_k": 7},
        "min_p": {"min_p": 0.125},
        "repeat_penalty": {"repeat_penalty": 1.25},
        "presence_penalty": {"presence_penalty": 0.5},
        "frequency_penalty": {"frequency_penalty": 0.75},
        "stop": {"stop": ["END"]},
        "seed": {"seed": 11},
        "logprobs": {"logprobs": True},
        "top_logprobs": {"logprobs": True, "top_logprobs": 2},
        "reasoning.effort": {"reasoning": ReasoningOptions(effort="low")},
        "reasoning.budget_tokens": {"reasoning": ReasoningOptions(budget_tokens=1024), "max_tokens": 4096},
        "reasoning.summary": {"reasoning": ReasoningOptions(summary="auto")},
        "reasoning.enabled": {"reasoning": ReasoningOptions(enabled=True)},
        "verbosity": {"verbosity": "low"},
        "service_tier": {"service_tier": "flex"},
        "prompt_cache_key": {"prompt_cache_key": "k"},
        "metadata": {"metadata": {"a": "b"}},
        "user": {"user": "u"},
        "previous_response_id": {"previous_response_id": "resp_1"},
        "store": {"store": True},
    }
    parts: dict[str, tuple[Message, ...]] = {
        "ImagePart": (Message("user", [_IMAGE]),),
        "ImagePart.url": (Message("user", [ImagePart(url="https://example.invalid/a.png")]),),
        "AudioPart": (Message("user", [AudioPart(data=b"RIFF", format="wav")]),),
        "FilePart": (Message("user", [_FILE]),),
        "FilePart.url": (Message("user", [FilePart(url="https://example.invalid/a.pdf")]),),
        "FilePart.file_id": (Message("user", [FilePart(file_id="file_1")]),),
        "RefusalPart": (Message("assistant", [RefusalPart("I will not.")]),),
        "ReasoningPart": (Message("assistant", [ReasoningPart(text="Hm.", issuer="x", signature="s")]),),
        "HostedToolPart": (Message("assistant", [HostedToolPart(kind="web_search_call", issuer="x")]),),
        "cache": (Message("user", "More.", cache="default"),),
        "name": (Message("user", "More.", name="ann"),),
    }
    call = Message("assistant", [ToolCall(id="call_1", name="look")])
    result = Message("tool", [ToolResultPart(tool_call_id="call_1", content="Seen.")])
    failed = Message("tool", [ToolResultPart(tool_call_id="call_1", content="Seen.", is_error=True)])
    shown = Message("tool", [ToolResultPart(tool_call_id="call_1", content=[TextPart("Seen."), _IMAGE])])
    asking = [*request.messages, call, result]
    return (
        {name: (request, replace(request, **wish)) for name, wish in options.items()}
        | {name: (_with(request, *_bare(said)), _with(request, *said)) for name, said in parts.items()}
        | {
            "tools.options": (
                tools,
                replace(tools, tools=[ToolSpec(name="look", description="Look.", options={"defer_loading": True})]),
            ),
            "response_format.description": (
                replace(request, response_format=JSONSchemaFormat(schema={"type": "object"})),
                replace(request, response_format=JSONSchemaFormat(schema={"type": "object"}, description="Things.")),
            ),
            "ImagePart.detail": (
                _with(request, Message("user", [_IMAGE])),
                _with(request, Message("user", [_DETAILED])),
            ),
            "FilePart.context": (_with(request, Message("user", [_FILE])), _with(request, Message("user", [_TOLD]))),
            "tool_choice": (tools, replace(tools, tool_choice="required")),
            "tool_choice.name": (tools, replace(tools, tool_choice=NamedTool("look"))),
            "parallel_tool_calls": (tools, replace(tools, parallel_tool_calls=False)),
            "ToolCall": (request, replace(request, messages=asking)),
            "ToolResultPart.is_error": (
                replace(request, messages=asking),
                replace(request, messages=[*request.messages, call, failed]),
            ),
            "ToolResultPart.content": (
                replace(request, messages=asking),
                replace(request, messages=[*request.messages, call, shown]),
            ),
        }
    )


_IMAGE = ImagePart(data=b"\x89PNG", media_type="image/png")
_DETAILED = replace(_IMAGE, detail="low")
_FILE = FilePart(data=b"%PDF", media_type="application/pdf", filename="a.pdf")
_TOLD = replace(_FILE, context="A bill.")


def _with(request: InferenceRequest, *more: Message) -> InferenceRequest:
    return replace(request, messages=[*request.messages, *more])


def _bare(messages: Sequence[Message]) -> list[Message]:
    """The same turns without what is asked about."""
    return [Message(message.role, message.text) for message in messages]
