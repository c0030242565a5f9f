"""Decoding a stream without a network, whatever comes of it."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from dataclasses import dataclass

from airframe.endpoints import Limits
from airframe.errors import MAX_MESSAGE_BYTES, AirframeError
from airframe.protocols.protocol import DecodeOptions
from airframe.testing.conformance.case import ConformanceCase
from airframe.types import InferenceResult, StreamEvent

__all__ = ["Decoded", "decode_stream", "options", "sound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a decoder made of a stream."""

    events: list[StreamEvent]
    """Those of the pieces, and then those of the end."""
    fed: int
    """How many events came before the end of the input was known."""
    result: InferenceResult
    complete: bool
    proven: bool
    progress: int
    error: AirframeError | None


def decode_stream(case: ConformanceCase, pieces: Iterable[bytes], limits: Limits | None = None) -> Decoded:
    """Feed `pieces` to a fresh decoder as an exchange would, and end the input unless the stream ended itself."""
    decoder = case.protocol.stream_decoder(options(case, limits))
    events: list[StreamEvent] = []
    fed: int | None = None
    failure: AirframeError | None = None
    try:
        for piece in pieces:
            decoder.feed(piece, events)
            if decoder.complete:
                break
        else:
            fed = len(events)
            decoder.finish(events)
    except AirframeError as error:
        failure = sound(error)
    return Decoded(
        events=events,
        fed=len(events) if fed is None else fed,
        result=decoder.result(),
        complete=decoder.complete,
        proven=decoder.proven,
        progress=decoder.progress,
        error=failure,
    )


def options(case: ConformanceCase, limits: Limits | None = None) -> DecodeOptions:
    """How answers of the case are read."""
    return DecodeOptions(limits=limits or Limits(), markup=case.markup)


def sound(error: AirframeError) -> AirframeError:
    """`error`, if it pickles and is short; every error of every check passes here."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(copy) is type(error), f"{type(error).__name__} pickles to {type(copy).__name__}"
    assert (str(copy), copy.category) == (str(error), error.category), "an error changes when it is pickled"
    assert len(str(error).encode()) <= MAX_MESSAGE_BYTES, f"the message has {len(str(error).encode())} bytes"
    return error
