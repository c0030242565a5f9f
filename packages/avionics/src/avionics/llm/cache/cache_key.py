"""The key of an answer: a hash of everything that was asked, and of whom, for whom.

Equal requests have equal keys, in whatever order their mappings are; 1 and 1.0 are equal. The request and the parts of
its messages are walked field by field, so a field that is added to them later is in the key by itself. One that has its
default is left out: requests that do not use the new field keep their keys. Keys and headers of the endpoint are not in
it: a new key is no other backend.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, TypeAlias, cast

from airframe.endpoints import EndpointSpec
from airframe.types import InferenceRequest

__all__ = ["UnfitValueError", "cache_key"]

_VERSION = 1
"""Of the key and of what is kept under it. A new one makes the cache forget everything."""

_EXACT_INTEGERS = 2**53  # up to here a float is the integer that it shows

_Canonical: TypeAlias = "str | int | float | bool | list[_Canonical] | dict[str, _Canonical] | None"


class UnfitValueError(ValueError):
    """A request holds a value that is no JSON, so it cannot be told from others. The message says where."""


def cache_key(*, provider: str, endpoint: EndpointSpec, request: InferenceRequest, tenant: str | None) -> str:
    """64 hexadecimal digits. `request` is as the backend is asked. Raises `UnfitValueError`."""
    parts = {
        "version": _VERSION,
        "tenant": tenant,
        "provider": provider,
        "kind": endpoint.backend_kind,
        "place": endpoint.base_url,
        "model": endpoint.model,
        "markup": endpoint.markup,
        "request": request,
    }
    text = json.dumps(_canonical(parts, ""), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: object, place: str) -> _Canonical:
    """The value as JSON. Lists, mappings, bytes and records are marked, so that none looks like another."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, bytes):
        return {"bytes": hashlib.sha256(value).hexdigest()}
    if isinstance(value, Mapping):
        return {"map": _entries(cast("Mapping[object, object]", value), place)}
    if isinstance(value, Sequence):
        items = enumerate(cast("Sequence[object]", value))
        return [_canonical(item, f"{place}[{position}]") for position, item in items]
    if is_dataclass(value) and not isinstance(value, type):
        entries = {item.name: cast("object", getattr(value, item.name)) for item in fields(value)}
        stated = {item.name: entries[item.name] for item in fields(value) if not _is_default(item, entries[item.name])}
        return {"record": type(value).__name__, "fields": _entries(stated, place)}
    raise UnfitValueError(f"{place} holds a {type(value).__name__}, which is no JSON")


def _entries(entries: Mapping[object, object] | Mapping[str, object], place: str) -> dict[str, _Canonical]:
    canonical: dict[str, _Canonical] = {}
    for name, value in entries.items():
        if not isinstance(name, str):
            raise UnfitValueError(f"{place} has a name that is a {type(name).__name__}, not a text")
        canonical[name] = _canonical(value, f"{place}.{name}" if place else name)
    return canonical


def _is_default(item: Field[Any], value: object) -> bool:
    if item.default_factory is not MISSING:
        return bool(value == item.default_factory())
    return bool(value == item.default)


def _number(value: float) -> int | float:
    exact = math.isfinite(value) and abs(value) <= _EXACT_INTEGERS and value.is_integer()
    return int(value) if exact else value
