"""What an experiment makes of a call: a variant for its session, and the route and parameters of that variant."""

from __future__ import annotations

from typing import Any

import pytest

from airframe.testing import Answer
from airframe.types import Message
from avionics.errors import ConfigurationError
from avionics.llm.experiments.assignment import choose
from avionics.settings import Settings
from avionics.testing import ScriptedGateway

pytestmark = pytest.mark.anyio

ALWAYS = [Answer(text="a")] * 40


def gateway_of(**experiments: Any) -> ScriptedGateway:
    """A gateway with these experiments, two providers and a route to the second."""
    settings = Settings(
        llm_provider="llamaserver",
        agents={"planner": {"temperature": 0.9, "system": "Plan."}},
        routing={"routes": {"other": {"deployments": [{"provider": "openai", "temperature": 0.1}]}}},
        experiments=experiments,
    )
    return ScriptedGateway(settings=settings, llamaserver=ALWAYS, openai=ALWAYS)


def forced(**variant: Any) -> dict[str, Any]:
    """An experiment in which every call is of one variant."""
    return {"variants": [{"name": "control", "weight": 0}, {"name": "v", **variant}]}


async def test_a_session_keeps_to_its_variant() -> None:
    """All of its calls, streamed ones too, in every gateway; another session may have another."""
    experiment = {"variants": [{"name": "control"}, {"name": "v", "route": "other"}]}
    of_session: dict[str, set[str]] = {}
    for _ in range(2):
        gateway = gateway_of(e=experiment)
        for session in ("s1", "s2", "s3", "s4", "s5", "s6"):
            await gateway.complete("Why?", session_id=session, conversation_id=None)
            async with gateway.complete_stream("Why?", session_id=session, conversation_id="other") as stream:
                async for _ in stream:
                    pass
        for started in gateway.recorder.started:
            of_session.setdefault(started.session_id or "", set()).add(started.variant or "")
            assert started.provider == {"e/control": "llamaserver", "e/v": "openai"}[started.variant or ""]
    assert [len(variants) for variants in of_session.values()] == [1] * 6
    assert {variant for variants in of_session.values() for variant in variants} == {"e/control", "e/v"}


async def test_without_a_session_the_conversation_decides_or_else_the_call() -> None:
    """So a conversation is not led by two variants."""
    experiment = {"variants": [{"name": "control"}, {"name": "v"}]}
    gateway = gateway_of(e=experiment)
    for number in range(10):
        await gateway.complete("Why?", conversation_id=f"c{number % 2}")
    for _ in range(10):
        await gateway.complete("Why?")
    weights = {"control": 1, "v": 1}
    assert [started.variant for started in gateway.recorder.started] == [
        f"e/{choose('e', weights, started.conversation_id or started.call_id)}" for started in gateway.recorder.started
    ]


async def test_a_variant_says_whom_to_ask_and_how() -> None:
    """Its parameters win over those of the route, and those over the agent's; the rest is as without it."""
    gateway = gateway_of(e=forced(route="other", system="Be brief.", max_tokens=7))
    await gateway.complete("Why?", agent_name="planner")
    (asked,) = gateway.asked("openai")
    assert (asked.temperature, asked.max_tokens, asked.messages[0].content) == (0.1, 7, "Be brief.")


async def test_the_control_is_as_without_the_experiment() -> None:
    """It changes nothing but the record."""
    without = gateway_of()
    within = gateway_of(e={"variants": [{"name": "control"}, {"name": "v", "weight": 0, "top_p": 0.5}]})
    for gateway in (without, within):
        await gateway.complete("Why?", agent_name="planner", temperature=0.2)
    assert within.asked("llamaserver") == without.asked("llamaserver")
    assert [started.variant for started in within.recorder.started] == ["e/control"]


@pytest.mark.parametrize(
    ("varied", "said"),
    [
        ({"temperature": 0.5}, {"temperature": 0.0}),
        ({"route": "other"}, {"model": "gpt-5"}),
        ({"model": "gpt-5"}, {"provider": "llamaserver"}),
        ({"system": "Be brief."}, {"system": "Be long."}),
        ({"system": "Be brief."}, {"messages": [Message("system", "Be long.")]}),
        ({"stop": ["."]}, {"stop": ["!"]}),
    ],
    ids=str,
)
async def test_a_call_that_says_itself_what_is_varied_takes_no_part(
    varied: dict[str, Any], said: dict[str, Any]
) -> None:
    """Its own word holds in any variant, so it would say nothing of them. One that says something else takes part."""
    gateway = gateway_of(e=forced(**varied))
    await gateway.complete("Why?", **said)
    await gateway.complete("Why?", seed=1)
    assert [started.variant for started in gateway.recorder.started] == [None, "e/v"]


async def test_only_the_agents_that_are_named_take_part() -> None:
    """Calls without an agent are those of `default`."""
    gateway = gateway_of(e={**forced(), "agents": ["planner"]}, f={**forced(), "agents": ["default"]})
    for agent in ("planner", "reviewer", None):
        await gateway.complete("Why?", agent_name=agent)
    assert [started.variant for started in gateway.recorder.started] == ["e/v", None, "f/v"]


async def test_a_call_takes_part_in_one_experiment() -> None:
    """In the first whose share it is in; who is not in that goes on to the next."""
    gateway = gateway_of(e={**forced(), "share": 0.5}, f=forced(), g=forced())
    for number in range(30):
        await gateway.complete("Why?", session_id=str(number))
    assert {started.variant for started in gateway.recorder.started} == {"e/v", "f/v"}


async def test_explain_tells_the_variants_plan() -> None:
    """What would be asked, as it would be asked."""
    gateway = gateway_of(e=forced(route="other"))
    plan = gateway.explain("Why?", session_id="s")
    (target,) = plan.targets
    assert (plan.route, plan.variant, target.deployment) == ("other", "e/v", "openai")
    assert gateway.recorder.started == []


@pytest.mark.parametrize(
    ("experiment", "words"),
    [
        ({"variants": []}, "experiments.e.variants"),
        ({"variants": [{"name": "a"}, {"name": "a"}]}, "two variants are called 'a'"),
        ({"variants": [{"name": "a", "weight": 0}]}, "no variant has a weight"),
        ({"variants": [{"name": "a", "wieght": 1}]}, "weight"),
        ({"variants": [{"name": "a/b"}]}, "experiments.e.variants.0.name"),
        ({"variants": [{"name": "a", "route": "othr"}]}, "did you mean 'other'"),
        ({"variants": [{"name": "a", "route": "other", "model": "m"}]}, "give either route, or provider"),
        ({"variants": [{"name": "a"}], "shadow": {"to": "b"}}, "shadow.to names no variant; known are a"),
        ({"variants": [{"name": "a"}], "share": 2}, "experiments.e.share"),
    ],
    ids=str,
)
def test_a_mistake_in_an_experiment_is_named(experiment: dict[str, Any], words: str) -> None:
    """Before the first call."""
    with pytest.raises(ConfigurationError, match=words):
        gateway_of(e=experiment)


def test_a_variant_cannot_ask_somebody_unknown() -> None:
    """It is found out when the gateway is made, not when the first session gets that variant."""
    with pytest.raises(ConfigurationError, match="nobody"):
        gateway_of(e=forced(provider="nobody"))
