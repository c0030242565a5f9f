"""The agent: it lets the model ask for the weather until it has an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from airframe import Adapter, EndpointSpec, InferenceRequest, Message, ToolSpec

__all__ = ["WeatherAgent"]

LOOK_UP = ToolSpec(
    name="look_up",
    description="The weather of a city, as of now.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


class WeatherAgent:
    """Answers questions about the weather, through any adapter."""

    def __init__(self, adapter: Adapter, endpoint: EndpointSpec, look_up: Callable[[str], str]) -> None:
        self._adapter = adapter
        self._endpoint = endpoint
        self._look_up = look_up

    async def answer(self, question: str) -> str:
        """What the model says in the end."""
        request = InferenceRequest(messages=[Message("user", question)], tools=[LOOK_UP])
        while True:
            result = await self._adapter.infer(self._endpoint, request)
            if not result.tool_calls:
                return result.text
            observations = [
                Message.tool(call.id, self._look_up(_city(call.parsed_arguments))) for call in result.tool_calls
            ]
            request = replace(request, messages=[*request.messages, result.message, *observations])


def _city(arguments: Mapping[str, object] | None) -> str:
    return str((arguments or {}).get("city", ""))
