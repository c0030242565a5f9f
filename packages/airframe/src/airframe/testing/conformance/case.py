"""A wire format described by data: what its server sends, and what that means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from airframe.endpoints import EndpointSpec
from airframe.errors import ErrorCategory
from airframe.protocols.protocol import Protocol
from airframe.redaction import Secret
from airframe.registry import AdapterFactory
from airframe.types import InferenceRequest, InferenceResult, Message
from airframe.types.request import Markup

__all__ = ["ConformanceCase", "ErrorAnswer", "comparable"]

SECRET = "sk-conformance-0123456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """An error by status: its body as the backend sends it, and the category it must get."""

    status: int
    body: bytes
    category: ErrorCategory
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformanceCase:
    """One backend kind in one wire format.

    Recordings are best: a few kilobytes each, because they are cut at every byte. `stream` and `body` are whole
    answers; a case with a tool call, and one with reasoning, show more than a greeting.

    Attributes:
        name: how tests call it.
        kind: the backend kind.
        make_adapter: makes the adapter; called with `max_retries`, as any adapter over HTTP takes.
        protocol: the wire format.
        stream: a streamed answer, from its first to its last byte.
        body: a whole answer.
        end: stands in the event that ends the stream, and in none before (`b"[DONE]"`).
        proof: stands in the event from which on the answer is whole, and in none before; None: in the one of `end`.
        expected: what `stream` says. `comparable` tells what is compared.
        expected_body: what `body` says; None: the same.
        word: an ASCII word of the answer's text, whole within one event; it is replaced by stranger ones.
        stream_error: an event by which the backend reports a failure inside the stream, framing included.
        stream_error_category: the category of that failure.
        errors: errors by status.
        usage_fields: the members that hold token counts, at whatever depth.
        request: the question.
        replies: answers to what the adapter asks besides, by the end of the path (`{"/apply-template": b"{...}"}`).
        models: the answer to `list_models`, by the end of its path, and the ids in it.
        framing: how the stream is cut.
        pings: what may come between events without being one, framing included.
        unknown_event: an event that nobody knows and that is passed over; None where the format has no such.
        base_path: what follows the origin in the base URL.
        markup: how reasoning is marked in the text.
        endpoint_options: further fields of the `EndpointSpec`.
    """

    name: str
    kind: str
    make_adapter: AdapterFactory
    protocol: Protocol
    stream: bytes
    body: bytes
    end: bytes
    proof: bytes | None = None
    expected: InferenceResult
    expected_body: InferenceResult | None = None
    word: str
    stream_error: bytes
    stream_error_category: ErrorCategory
    errors: Sequence[ErrorAnswer]
    usage_fields: frozenset[str] = frozenset({"usage"})
    request: InferenceRequest = field(
        default_factory=lambda: InferenceRequest(messages=[Message("user", "Say it.")], model="some-model")
    )
    replies: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    models: tuple[str, bytes, Sequence[str]] | None = None
    framing: Literal["sse", "ndjson"] = "sse"
    pings: Sequence[bytes] = (b": ping\n\n", b":\n\n", b"\n")
    unknown_event: bytes | None = b'event: x_unknown\ndata: {"type": "x_unknown", "x_value": 1}\n\n'
    base_path: str = ""
    markup: Markup = "none"
    endpoint_options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def endpoint(self, origin: str) -> EndpointSpec:
        """The endpoint at `origin`, with a made-up key."""
        spec = EndpointSpec(base_url=origin + self.base_path, backend_kind=self.kind, api_key=Secret(SECRET))
        return replace(spec, markup=self.markup, **self.endpoint_options)


def comparable(result: InferenceResult) -> InferenceResult:
    """`result` without what belongs to the exchange, and without the backend's raw objects beside the answer."""
    return replace(
        result,
        content=tuple(result.content),
        usage=replace(result.usage, raw={}),
        annotations=tuple(replace(annotation, raw={}) for annotation in result.annotations),
        warnings=tuple(result.warnings),
        logprobs=None,
        request_id=None,
        rate_limit=None,
        attempts=(),
        timings=None,
        extra={},
    )
