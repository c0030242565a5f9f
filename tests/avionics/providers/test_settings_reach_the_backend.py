"""What the settings say is what is asked: for the default agent, for another one, for a model, for one call."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airframe.adapters import Adapter, AnthropicAdapter, HttpAdapter, MLXAdapter, OpenAIResponsesAdapter
from airframe.endpoints import CapacityHints, Timeouts
from airframe.errors import InvalidRequestError
from airframe.testing.hostile import Connection, HostileServer, head
from airframe.types import InferenceRequest, Message, ReasoningOptions
from avionics.errors import ConfigurationError, LLMInvalidRequestError
from avionics.llm import (
    AnthropicProvider,
    LocalGPTOSSProvider,
    MockProvider,
    OpenAIProvider,
    ProviderFactory,
    create_agent_provider,
    create_llm_provider,
)
from avionics.settings import LLMConfig, Settings

KEY = "sk-proj-abcdefghijklmnop"

PARAMETERS = {
    "temperature": 0.25,
    "max_tokens": 77,
    "top_p": 0.5,
    "top_k": 9,
    "min_p": 0.125,
    "repeat_penalty": 1.5,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.75,
    "stop": ("END",),
    "seed": 4,
}


def asked(provider: MockProvider) -> InferenceRequest:
    return provider.script.calls[-1][1]


@pytest.mark.anyio
class TestParameters:
    """Where a call says nothing, the agent does; where that is silent, the model's entry."""

    async def test_every_parameter_of_an_agent_is_asked_for(self) -> None:
        """None of them is a setting that nobody reads."""
        described = {**PARAMETERS, "system": "You plan.", "reasoning": {"effort": "low"}, "model": "big"}
        settings = Settings(llm_provider="mock", agents={"planner": described})
        provider = create_agent_provider(settings, "planner")
        assert isinstance(provider, MockProvider)
        await provider.complete([Message("user", "Plan.")])
        request = asked(provider)
        assert {name: getattr(request, name) for name in PARAMETERS} == PARAMETERS
        assert set(LLMConfig.model_fields) - {"price"} == {*PARAMETERS, "system", "reasoning"}
        assert request.messages == [Message("system", "You plan."), Message("user", "Plan.")]
        assert (request.reasoning, request.model) == (ReasoningOptions(effort="low"), "big")

    async def test_a_call_wins_over_the_agent(self) -> None:
        """Zero and a system message of its own are something said."""
        settings = Settings(llm_provider="mock", agents={"planner": {"temperature": 0.9, "system": "You plan."}})
        provider = create_agent_provider(settings, "planner")
        assert isinstance(provider, MockProvider)
        mine = [Message("system", "You sing."), Message("user", "Sing.")]
        await provider.complete(mine, temperature=0)
        assert (asked(provider).temperature, asked(provider).messages) == (0, mine)

    async def test_a_models_entry_stands_behind_the_agent(self) -> None:
        """By the model's name, and by an alias that the backend never sees."""
        settings = Settings(
            llm_provider="openai",
            openai_api_key=KEY,
            agents={"planner": {"temperature": 0.5}},
            models={"fast": {"id": "openai:gpt-4.1-mini", "temperature": 0.1, "max_tokens": 50}, "big": {"top_p": 0.3}},
        )
        provider = create_agent_provider(settings, "planner")
        fast = provider.prepare(InferenceRequest(messages=[Message("user", "Hi")], model="fast")).request
        assert (fast.model, fast.temperature, fast.max_tokens) == ("gpt-4.1-mini", 0.5, 50)
        big = provider.prepare(InferenceRequest(messages=[Message("user", "Hi")], model="big")).request
        assert (big.model, big.top_p, big.max_tokens) == ("big", 0.3, None)

    async def test_an_alias_of_another_provider_is_refused(self) -> None:
        """Its model would not be known here."""
        settings = Settings(openai_api_key=KEY, models={"fast": {"id": "ollama:llama3.2"}})
        with pytest.raises(
            LLMInvalidRequestError, match=r"'fast' stands for 'ollama:llama3.2', which is not served by op"
        ):
            await create_llm_provider("openai", settings).complete([Message("user", "Hi")], model="fast")

    @pytest.mark.parametrize(
        ("id", "name"),
        [
            ("llama3:latest:ollama@127.0.0.1:11434", "llama3:latest"),
            ("llama3:latest:ollama", "llama3:latest"),
            ("ollama:llama3:latest", "llama3:latest"),
            ("llama3:latest", "llama3:latest"),
        ],
    )
    async def test_an_alias_is_an_id_in_any_form(self, id: str, name: str) -> None:
        """A provider serves what has its name, what runs where it is, and what is said to be nobody's."""
        provider = create_llm_provider("ollama", Settings(models={"desk": {"id": id, "seed": 3}}))
        request = provider.prepare(InferenceRequest(messages=[Message("user", "Hi")], model="desk")).request
        assert (request.model, request.seed) == (name, 3)

    @pytest.mark.parametrize("id", ["llama3:ollama@10.0.0.7:11434", "llama3:lm_studio", "left:llama3"])
    async def test_an_alias_of_another_place_is_refused(self, id: str) -> None:
        """Another address, another runtime, another name from the settings."""
        providers = {"left": {"kind": "ollama", "base_url": "http://10.0.0.8:11434"}}
        provider = create_llm_provider("ollama", Settings(providers=providers, models={"desk": {"id": id}}))
        with pytest.raises(InvalidRequestError, match=f"'desk' stands for '{id}', which is not served by ollama"):
            provider.prepare(InferenceRequest(messages=[Message("user", "Hi")], model="desk"))

    async def test_generate_takes_the_settings_before_its_own_defaults(self) -> None:
        """0.7 and 512 are for those who say nothing anywhere."""
        settings = Settings(
            llm_provider="mock", default_temperature=0.2, agents={"poet": {"max_tokens": 9, "stop": ["X"]}}
        )
        provider = create_agent_provider(settings, "poet")
        assert isinstance(provider, MockProvider)
        await provider.generate(None, "Hi", {"stop": ["Y"]})
        request = asked(provider)
        assert (request.temperature, request.max_tokens, request.stop, request.top_p) == (0.2, 9, ["Y"], 0.95)


class TestAgents:
    """An agent has a provider; another one can be asked in its place."""

    def test_the_agents_provider_and_model(self) -> None:
        """And with another provider, the agent's parameters without its model."""
        settings = Settings(agents={"planner": {"provider": "ollama", "model": "llama3.2", "temperature": 0.5}})
        own = create_agent_provider(settings, "planner")
        assert (own.name, own.default_model, own.config.temperature) == ("ollama", "llama3.2", 0.5)
        other = create_agent_provider(settings, "planner", override_provider="mock")
        assert (other.name, other.default_model, other.config.temperature) == ("mock", "mock", 0.5)

    def test_an_agent_that_is_not_described_is_the_default_one(self) -> None:
        """Nobody has to describe every agent."""
        settings = Settings(llm_provider="mock", default_model="m")
        provider = create_agent_provider(settings, "somebody")
        assert (provider.name, provider.default_model) == ("mock", "m")


class TestAdapters:
    """What the settings say of a backend reaches airframe."""

    def test_the_endpoint_has_everything_that_is_described(self, tmp_path: Path) -> None:
        """Nothing of it is a setting that nobody reads."""
        described = {
            "kind": "openai_compatible",
            "base_url": "https://a.example/v1",
            "api_key": KEY,
            "headers": {"X-A": "b"},
            "proxy": "http://proxy.example:3128",
            "trust_env": True,
            "ca_file": str(tmp_path / "ca.pem"),
            "client_cert": [str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")],
            "max_connections": 3,
            "context_window": 8192,
            "slots": 2,
            "markup": "think",
        }
        endpoint = create_llm_provider("mine", Settings(providers={"mine": described})).endpoint
        assert (endpoint.base_url, endpoint.key, endpoint.headers) == ("https://a.example/v1", KEY, {"X-A": "b"})
        assert (endpoint.proxy, endpoint.trust_env) == ("http://proxy.example:3128", True)
        assert endpoint.ca_file == str(tmp_path / "ca.pem")
        assert endpoint.client_cert == (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
        assert (endpoint.max_connections, endpoint.markup) == (3, "think")
        assert endpoint.capacity == CapacityHints(slots=2, context_window=8192)

    def test_limits_hold_for_who_does_not_say_otherwise(self) -> None:
        """The provider's own come first, then `limits`, then what is usual for the kind."""
        settings = Settings(
            limits={"timeouts": {"idle": 5, "connect": 2}, "max_retries": 1},
            providers={"ollama": {"timeouts": {"idle": 9}}, "lmstudio": {"max_retries": 0}},
        )
        timeouts = _timeouts(create_llm_provider("ollama", settings).adapter)
        usual = Timeouts.local()
        assert (timeouts.idle, timeouts.connect, timeouts.first_event) == (9, 2, usual.first_event)
        assert _timeouts(create_llm_provider("lmstudio", settings).adapter).idle == 5

    def test_options_choose_the_wire_format(self) -> None:
        """Chat completions or Responses, whoever serves them."""
        responses = {"options": {"api_type": "responses"}}
        settings = Settings(
            openai_api_key=KEY,
            azure_endpoint="https://a.openai.azure.com",
            azure_api_key=KEY,
            providers={"openai": responses, "azure": responses, "openrouter": {"api_key": KEY, **responses}},
        )
        assert isinstance(create_llm_provider("openai", settings).adapter, OpenAIResponsesAdapter)
        for name in ("azure", "openrouter"):
            adapter = create_llm_provider(name, settings).adapter
            assert isinstance(adapter, HttpAdapter)
            assert "Responses" in type(adapter.protocol).__name__

    def test_each_name_makes_its_class(self) -> None:
        """A name of the user's own makes the class of its kind."""
        mine = {"kind": "anthropic", "base_url": "http://127.0.0.1:8080"}
        settings = Settings(providers={"mine": mine, "gpt": {"kind": "openai", "api_key": KEY}})
        claude = create_llm_provider("mine", settings)
        assert isinstance(claude, AnthropicProvider)
        assert isinstance(claude.adapter, AnthropicAdapter)
        assert isinstance(create_llm_provider("gpt", settings), OpenAIProvider)
        gpt_oss = create_llm_provider("gpt_oss", settings)
        assert isinstance(gpt_oss, LocalGPTOSSProvider)
        assert isinstance(gpt_oss.adapter, MLXAdapter)

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("openai", "set the environment variable AVIONICS_OPENAI_API_KEY, or openai_api_key in the settings file"),
            ("anthropic", "anthropic needs a key; set the environment variable AVIONICS_ANTHROPIC_API_KEY"),
            ("azure", "azure needs the URL of its server; set the environment variable AVIONICS_AZURE_ENDPOINT"),
            ("openrouter", "set the environment variable AVIONICS_PROVIDERS__OPENROUTER__API_KEY"),
            ("openai_compatible", "set the environment variable AVIONICS_PROVIDERS__OPENAI_COMPATIBLE__BASE_URL"),
            ("llamacpp", "needs the GGUF file of a model; set the environment variable AVIONICS_LLAMACPP_MODEL_PATH"),
        ],
    )
    def test_what_a_provider_cannot_do_without_is_named(self, name: str, said: str) -> None:
        """With the variable and the setting that give it."""
        with pytest.raises(ConfigurationError) as caught:
            create_llm_provider(name, Settings())
        assert said in str(caught.value)

    def test_a_variable_that_holds_no_key_is_named(self) -> None:
        """The setting is there; what it refers to is not."""
        settings = Settings(providers={"openai": {"api_key_env": "NO_SUCH_KEY"}})
        with pytest.raises(ConfigurationError, match="api_key_env: the variable NO_SUCH_KEY holds no key; set it"):
            create_llm_provider("openai", settings)


def _timeouts(adapter: Adapter) -> Timeouts:
    assert isinstance(adapter, HttpAdapter)
    return adapter._timeouts  # no public name shows what the exchange will take


@pytest.mark.anyio
class TestFileForm:
    """`llm: {backend: ..., <backend>: {...}}` describes one provider."""

    async def test_the_backend_is_asked_as_described(self) -> None:
        """Address, key, model and parameters are those of the file."""

        def script(connection: Connection) -> None:
            message = {"role": "assistant", "content": "Hi."}
            body = json.dumps({"model": "m", "message": message, "done": True, "done_reason": "stop"}).encode()
            connection.send(head(content_length=len(body)) + body)

        with HostileServer(script) as server:
            provider = ProviderFactory.create_from_config(
                {
                    "llm": {
                        "backend": "ollama",
                        "temperature": 0.25,
                        "ollama": {"base_url": server.base_url, "model": "m"},
                    }
                }
            )
            async with provider:
                answer = await provider.complete([Message("user", "Hello?")])
        document = json.loads(server.requests[-1].body)
        assert (provider.name, answer.content) == ("ollama", "Hi.")
        assert (document["model"], document["options"]["temperature"]) == ("m", 0.25)

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({"llm": {"ollama": {}}}, "llm.backend is missing: give the name of a provider, one of anthropic"),
            ({"llm": "ollama"}, "llm must be a mapping with a backend, got str"),
            (
                {"backend": "ollama", "ollama": {"modl": "m"}},
                "providers.ollama.modl .*: there is no such setting; did you",
            ),
            ({"backend": "olama"}, "unknown provider 'olama'; did you mean 'ollama'"),
        ],
    )
    async def test_a_mistake_in_it_is_one_clear_error(self, config: dict[str, object], said: str) -> None:
        """It names the field and the remedy."""
        with pytest.raises(ConfigurationError, match=said):
            ProviderFactory.create_from_config(config)
