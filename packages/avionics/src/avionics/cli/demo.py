"""`avionics demo`: the main job, shown on a real llama.cpp server inside this process."""

from __future__ import annotations

import socket
import time
from typing import cast

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from airframe.types import InferenceResult, Message, ToolSpec
from avionics.cli.console import output_console
from avionics.cli.figures import attempt_line, milliseconds, money
from avionics.cli.trace_view import print_attributes, print_trace
from avionics.embedded import EmbeddedLlamaServer
from avionics.llm.cost_calculator import get_cost_calculator
from avionics.llm.gateway import LLMGateway, LLMResponse
from avionics.llm.records import AttemptFinished
from avionics.settings import Settings
from avionics.telemetry import OpenTelemetryObserver
from avionics.telemetry.sdk.span_memory import SpanMemory

__all__ = ["run"]

_HOSTED_PROVIDER, _HOSTED_MODEL = "openai", "gpt-4.1-mini"
_QUESTION = "What can you tell me about yourself?"
_TOOL_RESULT = "7 degrees"
_WEATHER = ToolSpec(
    name="get_weather",
    description="The weather in a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


async def run() -> None:
    """Show a streamed answer, what it took, its trace, a tool call and a fallback. Raises `ConfigurationError`."""
    console = output_console()
    with EmbeddedLlamaServer() as server:
        _introduce(console, server.base_url)
        spans = SpanMemory()
        observers = [OpenTelemetryObserver(spans.tracer_provider)]
        settings = Settings(
            llm_provider="llamaserver",
            llamaserver_host=server.base_url,
            default_model=server.model_name,
            llm_fallback_providers=(),
        )
        async with LLMGateway(settings, observers=observers) as gateway:
            await _show_stream(console, gateway)
            _show_trace(console, spans, attributes=True)
            await _show_tool_call(console, gateway)
            spans.take()  # those of the tool call; the fallback is told from its own
        await _show_fallback(console, server.base_url, observers)
        _show_trace(console, spans)
    _say_goodbye(console)


def _introduce(console: Console, base_url: str) -> None:
    console.print(
        "[bold]avionics demo[/]\n"
        f"A real llama.cpp server runs inside this process, at {base_url}.\n"
        "It serves a scripted model of 1 MB that only ever says its one sentence, and\n"
        "calls a tool when one is offered. [bold]All else shown here is real:[/] the HTTP, the\n"
        "events, the token counts, the times, the prices, the traces and the fallback."
    )


async def _show_stream(console: Console, gateway: LLMGateway) -> None:
    _title(console, "1. An answer, event by event")
    console.print(f"[dim]prompt[/]  {_QUESTION}")
    console.print("[dim]answer[/]  ", end="")
    started, arrivals = time.perf_counter(), list[float]()
    async with gateway.complete_stream(_QUESTION, agent_name="demo", temperature=0) as stream:
        async for chunk in stream:
            if chunk.text:
                console.print(f"[dim]{'|' if arrivals else ''}[/]{escape(chunk.text)}", end="")
                arrivals.append(time.perf_counter() - started)
    console.print()
    _facts(
        console,
        thought=cast("InferenceResult", stream.response.metadata["result"]).reasoning,
        events=f"{len(arrivals)} with text; the first after {milliseconds(arrivals[0])}, "
        f"the last after {milliseconds(arrivals[-1])}",
        **_spending(stream.response),
    )


def _spending(response: LLMResponse) -> dict[str, str]:
    """What an answer used and cost; for comparison the list price of a hosted model."""
    facts = {
        "tokens": f"{response.prompt_tokens} prompt + {response.completion_tokens} answer, as the server counted them",
        "price": f"{money(response.cost_usd)}: it runs on your own hardware",
    }
    hosted = get_cost_calculator().calculate_cost(
        _HOSTED_PROVIDER, _HOSTED_MODEL, response.prompt_tokens, response.completion_tokens
    )
    if hosted.cost_usd is not None:
        facts["estimate"] = (
            f"{money(hosted.cost_usd)} for as many tokens of {_HOSTED_PROVIDER}'s {_HOSTED_MODEL}\n"
            f"at the list price in {hosted.price_version}"
        )
    return facts


async def _show_tool_call(console: Console, gateway: LLMGateway) -> None:
    _title(console, "2. A tool call")
    question = Message("user", "How warm is it in Oslo?")
    first = await gateway.complete(messages=[question], tools=[_WEATHER], agent_name="demo", temperature=0)
    (tool_call,) = first.tool_calls
    said = Message("assistant", [*first.tool_calls])
    last = await gateway.complete(
        messages=[question, said, Message.tool(tool_call.id, _TOOL_RESULT)],
        tools=[_WEATHER],
        agent_name="demo",
        temperature=0,
    )
    _facts(
        console,
        prompt=question.text,
        offered=f"{_WEATHER.name}: {_WEATHER.description}",
        call=f"{tool_call.name}({tool_call.arguments})",
        result=f"{_TOOL_RESULT}, made up by this demo, and sent back to the model",
        answer=last.text,
    )


async def _show_fallback(console: Console, base_url: str, observers: list[OpenTelemetryObserver]) -> None:
    _title(console, "3. A provider that is down, and a fallback")
    settings = Settings(
        llm_provider=_HOSTED_PROVIDER,
        openai_base_url=f"http://127.0.0.1:{_closed_port()}/v1",
        openai_api_key="not-a-key",
        openai_model=_HOSTED_MODEL,
        llm_fallback_providers=("llamaserver",),
        llamaserver_host=base_url,
        llm_max_retries=1,
    )
    async with LLMGateway(settings, observers=observers) as gateway:
        response = await gateway.complete(_QUESTION, agent_name="demo", temperature=0)
    attempts = cast("tuple[AttemptFinished, ...]", response.metadata["attempts"])
    table = Table(
        "attempt", "why", "provider", "server", "outcome", "took", box=None, header_style="dim", pad_edge=False
    )
    for attempt in attempts:
        table.add_row(
            str(attempt.number),
            attempt.reason,
            attempt.provider,
            f"{attempt.server_address}:{attempt.server_port}",
            f"[green]{attempt_line(attempt)}[/]" if attempt.category is None else f"[red]{attempt_line(attempt)}[/]",
            milliseconds(attempt.duration),
        )
    console.print(table)
    _facts(
        console, answer=f"{response.text}", by=f"{response.provider} after {milliseconds(response.latency_ms / 1000)}"
    )


def _show_trace(console: Console, spans: SpanMemory, *, attributes: bool = False) -> None:
    finished = spans.take()
    console.print("\n[dim]its trace[/]")
    print_trace(console, finished)
    if attributes and finished:
        console.print("\n[dim]the call's span, as OpenTelemetry exports it[/]")
        print_attributes(console, finished[0])


def _say_goodbye(console: Console) -> None:
    _title(console, "Now with a model of your own")
    console.print(
        "export AVIONICS_LLAMASERVER_HOST=http://127.0.0.1:8080   [dim]# your server[/]\n"
        "avionics doctor\n"
        'avionics complete "Why is the sky blue?"'
    )


def _title(console: Console, text: str) -> None:
    console.print(f"\n[bold cyan]{text}[/]")


def _facts(console: Console, **facts: str) -> None:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, fact in facts.items():
        table.add_row(f"[dim]{name}[/]", escape(fact))
    console.print(table)


def _closed_port() -> int:
    """A port on which nobody listens: one that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
