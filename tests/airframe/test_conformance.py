"""Every wire format keeps every promise: see airframe.testing.conformance."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airframe import adapter_kinds
from airframe.testing.conformance import (
    ADAPTER_CHECKS,
    WIRE_CHECKS,
    AdapterCheck,
    ConformanceCase,
    WireCheck,
    comparable,
    decode_stream,
)

# Kinds without a wire format of their own.
NO_WIRE: dict[str, str] = {
    "llama_cpp": "tests/airframe/adapters/test_llama_cpp.py",
    "llama_cpp_python": "tests/airframe/adapters/test_llama_cpp_python.py",
}


def all_cases() -> Iterator[ConformanceCase]:
    for path in sorted((Path(__file__).parent / "cases").glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"airframe_case_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield from module.CASES


CASES = {case.name: case for case in all_cases()}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> ConformanceCase:
    return CASES[request.param]


def test_every_kind_has_a_case() -> None:
    """A new kind is covered by being registered: without a case, this fails."""
    assert {case.kind for case in CASES.values()} | set(NO_WIRE) == set(adapter_kinds())


@pytest.mark.parametrize("check", WIRE_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_wire_format(case: ConformanceCase, check: WireCheck) -> None:
    """The wire format keeps the promise that the check's docstring states."""
    check(case)


@pytest.mark.anyio
@pytest.mark.parametrize("check", ADAPTER_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
async def test_adapter(case: ConformanceCase, check: AdapterCheck) -> None:
    """The adapter keeps the promise that the check's docstring states, over a real socket."""
    await check(case)


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_any_cut_makes_the_same_events(name: str, data: st.DataObject) -> None:
    """Wherever a stream is cut, the same events and the same answer come out."""
    case = CASES[name]
    places = data.draw(st.sets(st.integers(0, len(case.stream)), max_size=12), label="cuts")
    whole = decode_stream(case, [case.stream])
    cut = decode_stream(case, [case.stream[a:b] for a, b in pairwise(sorted({0, *places, len(case.stream)}))])
    assert cut.error is None
    assert cut.events == whole.events
    assert comparable(cut.result) == comparable(whole.result)
