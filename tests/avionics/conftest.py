"""The two ways to ask a gateway: most of its promises hold for both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from avionics.llm import LLMGateway, LLMResponse


@pytest.fixture(params=["whole", "streamed"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Awaitable[LLMResponse]]:
    """Asks a gateway and gives the response; a test that takes it runs once for each of the two ways."""
    return ask_streamed if request.param == "streamed" else ask_whole


async def ask_whole(gateway: LLMGateway, prompt: str = "Why?", *, model: str | None = None) -> LLMResponse:
    return await gateway.complete(prompt, model=model)


async def ask_streamed(gateway: LLMGateway, prompt: str = "Why?", *, model: str | None = None) -> LLMResponse:
    async with gateway.complete_stream(prompt, model=model) as stream:
        text = "".join([chunk.text async for chunk in stream])
        assert text == stream.response.text
        return stream.response
