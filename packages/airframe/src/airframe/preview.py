"""What would be sent, for those who want to look before they ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airframe.endpoints import Timeouts
from airframe.types.json_value import JSONValue
from airframe.types.result import InferenceWarning

__all__ = ["RequestPreview"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPreview:
    """A request that was not sent. Headers are left out: keys are among them.

    Attributes:
        method: how it would be sent.
        url: where it would go.
        body: the JSON that would be sent.
        warnings: what of the request the wire format cannot carry.
        timeouts: the limits in time that would hold.
        max_retries: how often it would be sent again.
    """

    method: str
    url: str
    body: JSONValue
    warnings: Sequence[InferenceWarning] = ()
    timeouts: Timeouts
    max_retries: int
