"""`avionics route explain`: what would become of a call, without making it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich.console import Console, RenderableType
from rich.json import JSON
from rich.table import Table
from rich.text import Text

from airframe.preview import RequestPreview
from avionics.cli.console import harmless, mark, output_console
from avionics.cli.explanation_json import explanation_as_json
from avionics.cli.figures import money
from avionics.llm.explanation import Explanation, Target
from avionics.llm.gateway import LLMGateway
from avionics.llm.limits import LimitState
from avionics.settings import Settings

__all__ = ["Hypothesis", "explain_route"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """The call that might be made. None, and no tags, leave it to the settings."""

    prompt: str
    agent_name: str | None = None
    model: str | None = None
    tenant: str | None = None
    session_id: str | None = None
    tags: Sequence[str] = ()


async def explain_route(call: Hypothesis, settings: Settings, *, body: bool, as_json: bool) -> bool:
    """Print what would become of the call. False when nobody could be asked. Raises `AvionicsError`."""
    async with LLMGateway(settings, observers=[]) as gateway:
        told = gateway.explain(
            call.prompt,
            agent_name=call.agent_name,
            model=call.model,
            tenant=call.tenant,
            session_id=call.session_id,
            tags=call.tags,
        )
    if as_json:
        print(json.dumps(explanation_as_json(told)))
    else:
        _print(output_console(), told, body=body)
    return any(target.problem is None for target in told.targets)


def _print(console: Console, told: Explanation, *, body: bool) -> None:
    console.print(Text.assemble(("Route ", "dim"), (harmless(told.route), "bold"), *_policy(told)))
    said_once = {state.place for state in told.limits}
    for number, target in enumerate(told.targets, 1):
        well = target.problem is None
        sign = mark(console, "good" if well else "bad")
        model = "" if target.model is None or target.model in target.deployment else f"  {target.model}"
        console.print(f"\n{sign} [bold]{number}[/]", Text(f"{target.deployment}{model}", "" if well else "red"))
        console.print(_facts(_facts_of(target, said_once, body=body)))
    for exclusion in told.exclusions:
        console.print()
        console.print(mark(console, "note"), "[dim]-[/]", Text(exclusion.deployment.name, "dim"))
        console.print(_facts([("passed over", Text(exclusion.reason))]))
    if whole := list(_facts_of_call(told)):
        console.print()
        console.print(_facts(whole))


def _policy(told: Explanation) -> Iterator[str]:
    """What holds for the call, whoever is asked."""
    policy = told.policy
    yield f": {len(told.targets)} of {len(told.targets) + len(told.exclusions)} deployments would be asked, in order"
    if policy.max_attempts is not None and policy.max_attempts < len(told.targets):
        yield f", at most {policy.max_attempts} of them"
    if told.timeout is not None:
        yield f", within {told.timeout:g} s"
    if policy.hedge_after is not None:
        yield f"; another one beside it after {policy.hedge_after:g} s of silence"
    if told.variant is not None:
        yield f"; as {told.variant}"


def _facts_of(target: Target, said_once: Collection[str], *, body: bool) -> Iterator[tuple[str, RenderableType]]:
    if target.problem is not None:
        yield "problem", Text(harmless(target.problem), "red")
        return
    if target.preview is None:
        yield "sends", Text("nothing: the model runs in this process")
    else:
        yield "sends", Text(f"{target.preview.method} {target.preview.url}")
    yield "breaker", Text(target.breaker.replace("_", " "), "" if target.breaker == "closed" else "yellow")
    yield "price", Text(_price(target.cost_low_usd, target.cost_high_usd))
    if target.preview is not None:
        yield "patience", Text(_patience(target.preview))
    for change in target.changes:
        yield "changed", Text(harmless(f"{change.subject}: {change.message}"), "yellow")
    for state in target.limits:
        if state.place not in said_once:
            yield "limit", _limit(state)
    if body and target.preview is not None:
        yield "body", JSON.from_data(target.preview.body)


def _facts_of_call(told: Explanation) -> Iterator[tuple[str, RenderableType]]:
    if told.opens_in is not None:
        yield "waits", Text(f"all have to cool down; the first is asked in {told.opens_in:.1f} s", "yellow")
    yield "cache", Text("is asked first" if told.cache is None else f"is not asked: {told.cache}")
    for state in told.limits:
        yield "limit", _limit(state)


def _facts(facts: Iterable[tuple[str, RenderableType]]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=True, padding=(0, 2, 0, 2))
    table.add_column(style="dim", no_wrap=True, min_width=len("passed over"))
    table.add_column(overflow="fold")
    for name, fact in facts:
        table.add_row(name, fact)
    return table


def _price(low: Decimal | None, high: Decimal | None) -> str:
    if low is None or high is None:
        return "unknown" if high is None else f"at most {money(high)}"
    return money(low) if low == high else f"{money(low)} to {money(high)}"


def _patience(preview: RequestPreview) -> str:
    times = preview.timeouts
    limits = (("connect", times.connect), ("first event", times.first_event), ("idle", times.idle))
    stated = [f"{name} {seconds:g} s" for name, seconds in (*limits, ("attempt", times.attempt)) if seconds is not None]
    retries = f"{preview.max_retries} {'retry' if preview.max_retries == 1 else 'retries'}"
    return ", ".join([*stated, retries])


def _limit(state: LimitState) -> Text:
    """Such as `5 USD per day: 4.5 left, 0.3 of it held for calls under way`."""
    whose = f" ({state.subject})" if state.subject else ""
    held = f", {_amount(state.reserved)} held for calls under way" if state.reserved else ""
    is_whole = state.renews_at is None or state.left == state.limit
    renewal = "" if is_whole else f", whole again at {state.renews_at:%Y-%m-%d %H:%M} UTC"
    text = f"{state.words}{whose}: {_amount(state.left)} left{held}{renewal}"
    return Text(harmless(text), "" if state.left > 0 else "red")


def _amount(amount: Decimal | int) -> str:
    return f"{amount.normalize():f}" if isinstance(amount, Decimal) else f"{amount:,}"
