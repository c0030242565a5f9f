"""Which model a provider is asked for that is not the first."""

from __future__ import annotations

import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure
from avionics.llm import LLMGateway, MockProvider
from avionics.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("own", ["tiny", None])
async def test_a_fallback_is_not_asked_for_the_first_one_s_model(own: str | None) -> None:
    """It is asked for its own, and where it has none of its own, the server may choose: it would not know the name."""
    first = MockProvider([Failure(ErrorCategory.CONNECTION)], name="openai")
    second = MockProvider([Answer(text="a")], name="llamaserver", default_model=own)
    settings = Settings(llm_provider="openai")
    gateway = LLMGateway(settings, ["llamaserver"], observers=[], providers={"openai": first, "llamaserver": second})
    response = await gateway.complete("Hi", model="gpt-5")
    assert response.provider == "llamaserver"
    assert [request.model for request in first.script.requests] == ["gpt-5"]
    assert [request.model for request in second.script.requests] == [own]
