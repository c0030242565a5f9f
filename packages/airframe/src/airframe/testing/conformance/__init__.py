"""The contracts of every backend kind, as checks that anybody can run on a kind of their own.

    from airframe.testing.conformance import ADAPTER_CHECKS, WIRE_CHECKS, ConformanceCase

    CASE = ConformanceCase(name="my_server", ...)  # what the server sends, and what it means

    @pytest.mark.parametrize("check", WIRE_CHECKS, ids=lambda check: check.__name__)
    def test_wire_format(check):
        check(CASE)

    @pytest.mark.anyio
    @pytest.mark.parametrize("check", ADAPTER_CHECKS, ids=lambda check: check.__name__)
    async def test_adapter(check):
        await check(CASE)

A check raises `AssertionError`. Wire checks are pure; adapter checks talk to a server on 127.0.0.1 that they start.
"""

from airframe.testing.conformance.adapter_checks import ADAPTER_CHECKS, AdapterCheck
from airframe.testing.conformance.case import ConformanceCase, ErrorAnswer, comparable
from airframe.testing.conformance.decoding import Decoded, decode_stream
from airframe.testing.conformance.wire_checks import WIRE_CHECKS, WireCheck

__all__ = [
    "ADAPTER_CHECKS",
    "WIRE_CHECKS",
    "AdapterCheck",
    "ConformanceCase",
    "Decoded",
    "ErrorAnswer",
    "WireCheck",
    "comparable",
    "decode_stream",
]
