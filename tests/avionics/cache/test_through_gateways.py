"""The response cache behind gateways, in every store: what one was answered, another one has."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from airframe.testing import Answer
from airframe.types import Usage
from avionics.settings import Settings
from avionics.testing import ScriptedGateway

pytestmark = pytest.mark.anyio


def gateway_over(backend: dict[str, str], *script: Answer) -> ScriptedGateway:
    settings = Settings(llm_provider="openai", cache={**backend, "all": True, "timeout": 30})
    return ScriptedGateway(settings=settings, openai=script)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_what_one_was_answered_another_one_has(backend: dict[str, str], *, streamed: bool) -> None:
    """In memory each has its own; elsewhere a second gateway asks nobody, and pays nothing."""
    usage = Usage(input_tokens=1000, output_tokens=10)
    shared = backend["backend"] != "memory"

    async def text_of(gateway: ScriptedGateway, **options: Any) -> str:
        if not streamed:
            return (await gateway.complete("Why?", **options)).text
        async with gateway.complete_stream("Why?", **options) as stream:
            return "|".join([chunk.text async for chunk in stream])

    expected = "a|b|" if streamed else "ab"
    async with gateway_over(backend, Answer(chunks=["a", "b"], usage=usage)) as first:
        assert [await text_of(first) for _ in range(2)] == [expected] * 2
        assert first.get_stats().cache_hits == 1
    async with gateway_over(backend, *([] if shared else [Answer(chunks=["a", "b"], usage=usage)])) as second:
        assert await text_of(second) == expected
        assert second.get_stats().cache_hits == shared
        assert (second.get_stats().cost_usd == Decimal(0)) == shared
