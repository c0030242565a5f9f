"""A provider without a backend: it answers from a script, or repeats what it was asked."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import TYPE_CHECKING, Self

from typing_extensions import override

from airframe.endpoints import EndpointSpec
from airframe.types import InferenceRequest, ModelInfo, Usage
from avionics.llm.provider import LLMProvider
from avionics.llm.requests import estimate_prompt_tokens, estimate_tokens
from avionics.settings import LLMConfig, Settings

if TYPE_CHECKING:
    from airframe.testing import Answer, Step
    from airframe.testing.clock import Timer

__all__ = ["MockProvider"]

_MODEL = "mock"


class MockProvider(LLMProvider):
    """Answers each call with the next step of `script`; without one, with the words of the last message, for ever.

    Under the `name` of another provider it stands in for that one, with its prices. `clock` is on which the delays of
    the script pass; by default they take no time.
    """

    name = "mock"
    kind = "mock"

    def __init__(
        self,
        script: Iterable[Step] | None = None,
        *,
        name: str = name,
        default_model: str | None = _MODEL,
        config: LLMConfig | None = None,
        clock: Timer | None = None,
    ) -> None:
        from airframe.testing import ScriptedAdapter  # only where there is no backend

        self.script = ScriptedAdapter(
            repeat(_echo) if script is None else script, models=[ModelInfo(id=default_model or _MODEL)], clock=clock
        )
        endpoint = EndpointSpec(base_url="http://mock.invalid", backend_kind=ScriptedAdapter.kind)
        super().__init__(self.script, endpoint, name=name, default_model=default_model, config=config)

    @override
    @classmethod
    def from_settings(cls, settings: Settings, name: str | None = None, agent_name: str | None = None) -> Self:
        """Reads the models, and the parameters of the agent."""
        name = name or cls.name
        agent = settings.agent(agent_name)
        own_model = agent.model if agent.provider == name else None
        provider = cls(name=name, default_model=own_model or settings.provider(name).model, config=agent)
        provider.models = settings.models
        return provider


def _echo(request: InferenceRequest) -> Answer:
    from airframe.testing import Answer

    text = request.messages[-1].text
    words = text.split(" ")
    tokens = estimate_tokens(text)
    return Answer(
        chunks=[word if position == 0 else f" {word}" for position, word in enumerate(words)],
        usage=Usage(input_tokens=estimate_prompt_tokens(request), output_tokens=tokens),
    )
