"""Before anything is sent: what the caller has to know is an error, what merely does not fit follows the policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure
from airframe.types import (
    AudioPart,
    FilePart,
    ImagePart,
    InferenceWarning,
    JSONSchemaFormat,
    Message,
    ReasoningOptions,
    TextPart,
    ToolResultPart,
    ToolSpec,
)
from avionics.errors import (
    LLMContextLengthError,
    LLMInvalidRequestError,
    ModelNotFoundError,
    RequestTransformationError,
    UnsupportedOperationError,
)
from avionics.llm import ModelRegistry, ModelSpec, create_llm_provider
from avionics.llm.catalog import ParameterRule
from avionics.settings import Settings
from avionics.testing import ScriptedGateway

pytestmark = pytest.mark.anyio

Ask = Callable[..., Any]
TOOL = ToolSpec(name="look_up")
PICTURE = ImagePart(url="https://example.invalid/a.png")


@pytest.mark.parametrize(
    ("model", "right_call"),
    [
        ("gpt-image-2", "POST /v1/images/generations"),
        ("tts-1", "POST /v1/audio/speech"),
        ("whisper-1", "POST /v1/audio/transcriptions"),
        ("sora-2", "POST /v1/videos"),
        ("text-embedding-3-small", "POST /v1/embeddings"),
    ],
)
async def test_text_from_a_model_that_makes_none_names_the_right_call(model: str, right_call: str, ask: Ask) -> None:
    """Who asks an image model for a chat is told which call it is made for."""
    with pytest.raises(UnsupportedOperationError, match=right_call):
        await ask("openai", model)


@pytest.mark.parametrize(
    ("kind", "model", "options", "words"),
    [
        ("openai", "o1-mini", {"tools": [TOOL]}, "o1-mini cannot call tools"),
        ("openai", "gpt-6-astra", {"tools": [TOOL]}, "takes no tools over chat completions; ask it over Responses"),
        ("openai", "gpt-5-pro", {}, "is not served over chat completions; ask it over Responses"),
        ("openai", "o1-mini", {"response_format": JSONSchemaFormat(schema={})}, "cannot be held to a JSON schema"),
        ("openai", "o3-mini", {"messages": [Message("user", [PICTURE])]}, r"messages\[0\] holds image"),
        (
            "openai",
            "gpt-4o",
            {"messages": [Message("user", "?"), Message("user", [AudioPart(data=b"x", format="wav")])]},
            r"messages\[1\] holds audio, which gpt-4o does not read; it reads text, image, file",
        ),
        ("openai", "o3-mini", {"messages": [Message("user", [FilePart(file_id="f")])]}, "holds file"),
        (
            "anthropic",
            "claude-opus-5",
            {"messages": [Message("user", [AudioPart(data=b"x", format="wav")])]},
            "holds audio",
        ),
        (
            "openai",
            "o3-mini",
            {"messages": [Message("tool", [ToolResultPart(tool_call_id="1", content=[TextPart("a"), PICTURE])])]},
            "holds image",
        ),
    ],
)
async def test_what_a_model_cannot_do_is_an_error(
    kind: str, model: str, options: dict[str, Any], words: str, ask: Ask
) -> None:
    """A modality or a tool that the model does not take is refused before anything is sent, in its name."""
    with pytest.raises(UnsupportedOperationError, match=words):
        await ask(kind, model, **options)


@pytest.mark.parametrize(
    ("kind", "model", "options", "words"),
    [
        ("openai", "gpt-4.1", {"temperature": 2.5}, "temperature must be between 0 and 2 for gpt-4.1, got 2.5"),
        ("openai", "gpt-4.1", {"presence_penalty": -3}, "presence_penalty must be between -2 and 2"),
        ("openai", "gpt-4.1", {"logprobs": True, "top_logprobs": 21}, "top_logprobs must be between 0 and 20"),
        ("anthropic", "claude-haiku-4-5", {"temperature": 1.5}, "temperature must be between 0 and 1"),
        ("openai_responses", "gpt-4.1", {"max_tokens": 5}, "max_tokens must be at least 16 for gpt-4.1, got 5"),
        (
            "openai",
            "gpt-5",
            {"reasoning": ReasoningOptions(effort="a lot")},
            "reasoning.effort must be one of minimal, low, medium, high for gpt-5, got 'a lot'",
        ),
        (
            "anthropic",
            "claude-haiku-4-5",
            {"reasoning": ReasoningOptions(budget_tokens=4000), "max_tokens": 3000},
            r"reasoning.budget_tokens \(4000\) must be smaller than max_tokens \(3000\)",
        ),
    ],
)
async def test_a_value_out_of_range_is_an_error(
    kind: str, model: str, options: dict[str, Any], words: str, ask: Ask
) -> None:
    """The message has the field, the range and the value."""
    with pytest.raises(LLMInvalidRequestError, match=words):
        await ask(kind, model, **options)


async def test_the_edges_of_a_range_are_in_it(ask: Ask) -> None:
    """2 is a temperature of GPT-4.1, and 16 a length of an answer over Responses."""
    asked = await ask("openai_responses", "gpt-4.1", temperature=2, max_tokens=16)
    assert (asked.body["temperature"], asked.body["max_output_tokens"], asked.subjects) == (2, 16, [])


async def test_every_problem_is_named_at_once(ask: Ask) -> None:
    """One error holds all of them."""
    with pytest.raises(UnsupportedOperationError) as caught:
        await ask("openai", "o1-mini", tools=[TOOL], messages=[Message("user", [PICTURE])])
    assert "cannot call tools" in str(caught.value)
    assert "holds image" in str(caught.value)


async def test_a_prompt_far_beyond_the_window_is_refused_with_an_estimate(ask: Ask) -> None:
    """The number is said to be our estimate; a prompt that may still fit is left to the backend, which counts."""
    words = "about 300000 tokens long by our estimate, and gpt-4o has a window of 128000"
    with pytest.raises(LLMContextLengthError, match=words):
        await ask("openai", "gpt-4o", messages=[Message("user", "x" * 1_200_000)])
    assert (await ask("openai", "gpt-4o", messages=[Message("user", "x" * 600_000)])).body["model"] == "gpt-4o"


async def test_tool_results_count_towards_the_window(ask: Ask) -> None:
    """What fills a window in practice is what tools return."""
    with pytest.raises(LLMContextLengthError):
        await ask("openai", "gpt-4o", messages=[Message.tool("1", "x" * 1_200_000)])


async def test_the_window_that_the_endpoint_has_holds_too(ask: Ask) -> None:
    """A model loaded with a small context has that, whatever it was made for."""
    spec = ModelSpec(id="ollama:big", name="big", provider="ollama", context_window=100_000)
    with pytest.raises(LLMContextLengthError, match="a window of 1000"):
        await ask(
            "ollama",
            "big",
            registry=ModelRegistry([spec]),
            context_window=1000,
            messages=[Message("user", "x" * 8000)],
        )


class TestPolicy:
    """What becomes of a temperature for a model that reasons."""

    async def test_warn_drops_it_and_says_so(self, ask: Ask) -> None:
        """The default: the result lists what was not sent, and why."""
        asked = await ask("openai", "o3", temperature=0.2)
        assert asked.words == "o3 does not take temperature, which models that always reason refuse; it was not sent"

    async def test_drop_is_silent(self, ask: Ask) -> None:
        """Nothing is sent of it, and nothing is said."""
        asked = await ask("openai", "o3", temperature=0.2, policy="drop")
        assert ("temperature" in asked.body, asked.subjects) == (False, [])

    async def test_error_sends_nothing(self, ask: Ask) -> None:
        """All of it is told in one error."""
        with pytest.raises(RequestTransformationError) as caught:
            await ask("openai", "o3", temperature=0.2, stop=["x"], policy="error")
        assert "temperature" in str(caught.value)
        assert "stop" in str(caught.value)

    async def test_error_holds_for_the_wire_format_too(self, ask: Ask) -> None:
        """What the format cannot carry is refused as well: OpenAI's has no `top_k`."""
        assert (await ask("openai", "gpt-4.1", top_k=4)).subjects == ["top_k"]
        with pytest.raises(LLMInvalidRequestError, match="top_k"):
            await ask("openai", "gpt-4.1", top_k=4, policy="error")

    async def test_error_lets_a_request_that_fits_pass(self, ask: Ask) -> None:
        """Strictness refuses nothing else."""
        assert (await ask("openai", "gpt-4.1", temperature=0.2, policy="error")).body["temperature"] == 0.2


class TestUnknownModels:
    """The vendors' own addresses offer what the catalog lists; elsewhere names are the operator's business."""

    async def test_one_is_asked_for_with_a_warning(self, ask: Ask) -> None:
        """A model newer than the catalog works, and a misspelt one is told what it looks like."""
        asked = await ask("openai", "gpt-5-minni")
        assert asked.body["model"] == "gpt-5-minni"
        assert "nearest are openai:gpt-5-mini" in asked.words

    async def test_under_the_policy_error_it_is_not_found(self, ask: Ask) -> None:
        """Then nothing is sent, and the nearest ids are suggested."""
        with pytest.raises(ModelNotFoundError, match="nearest are anthropic:claude-opus-5"):
            await ask("anthropic", "claude-opus-five", policy="error")

    @pytest.mark.parametrize(
        ("kind", "base_url"), [("azure", None), ("ollama", None), ("openai", "http://127.0.0.1:1")]
    )
    async def test_elsewhere_nothing_is_said(self, kind: str, base_url: str | None, ask: Ask) -> None:
        """A deployment on Azure, a local model, or a gateway in front of many may be called anything."""
        assert (await ask(kind, "my-own-model", base_url=base_url)).subjects == []


class TestOwnRules:
    """What a user says of a model holds like a row of the catalog."""

    @staticmethod
    def registry(**rule: Any) -> ModelRegistry:
        spec = ModelSpec(id="openai:mine", name="mine", provider="openai", parameters=(ParameterRule(**rule),))
        return ModelRegistry([spec])

    async def test_a_default_is_sent_where_nothing_is_said(self, ask: Ask) -> None:
        """The caller's own value wins."""
        registry = self.registry(names=("temperature",), default=0.6)
        assert (await ask("openai", "mine", registry=registry)).body["temperature"] == 0.6
        assert (await ask("openai", "mine", registry=registry, temperature=0.1)).body["temperature"] == 0.1

    async def test_a_field_is_renamed(self, ask: Ask) -> None:
        """A server that calls it otherwise gets it under that name, and only that."""
        registry = self.registry(names=("seed",), rename="random_seed")
        body = (await ask("openai", "mine", registry=registry, seed=7)).body
        assert (body.get("seed"), body["random_seed"]) == (None, 7)

    async def test_a_rule_may_hold_for_one_kind_of_backend(self, ask: Ask) -> None:
        """Elsewhere the same model takes the field."""
        registry = self.registry(names=("seed",), drop="there", kinds=("azure",))
        assert (await ask("openai", "mine", registry=registry, seed=7)).body["seed"] == 7

    async def test_a_value_of_another_type_is_an_error(self, ask: Ask) -> None:
        """A number where a model wants a text is named before it is sent."""
        registry = self.registry(names=("extra_params.style",), type="text")
        with pytest.raises(LLMInvalidRequestError, match=r"extra_params.style must be a text for mine, got int"):
            await ask("openai", "mine", registry=registry, extra_params={"style": 3})

    def test_a_rule_about_no_field_is_an_error(self) -> None:
        """A misspelt name is a mistake, not a rule that never holds."""
        with pytest.raises(ValueError, match="did you mean temperature"):
            ParameterRule(names=("temperture",), drop="no")


async def test_the_longest_answer_is_cut_to_what_the_model_can_say(ask: Ask) -> None:
    """A limit above the model's own means the same as the model's own."""
    asked = await ask("openai", "gpt-4o", max_tokens=50_000)
    assert (asked.body["max_completion_tokens"], asked.subjects) == (16_384, ["max_tokens"])


class TestGateway:
    """The gateway asks each target in its own way."""

    async def test_every_target_of_a_fallback_is_fitted_anew(self) -> None:
        """What the first model does not take reaches the second one as the caller said it."""
        gateway = ScriptedGateway(
            model="o3", openai=[Failure(ErrorCategory.OVERLOADED)], llamaserver=[Answer(text="Because.")]
        )
        response = await gateway.complete("Why?", temperature=0.2)
        assert response.metadata["warnings"] == ()
        assert [request.temperature for name in ("openai", "llamaserver") for request in gateway.asked(name)] == [
            None,
            0.2,
        ]

    async def test_what_one_model_cannot_do_another_may(self) -> None:
        """An ability that is missing is a reason to fall back, and nothing is sent to the model that lacks it."""
        gateway = ScriptedGateway(model="o1-mini", openai=[], llamaserver=[Answer(text="Because.")])
        response = await gateway.complete("Why?", tools=[TOOL])
        assert (response.provider, gateway.asked("openai")) == ("llamaserver", [])

    async def test_a_streamed_answer_has_the_warnings_too(self) -> None:
        """They come with its last chunk, and with the response."""
        gateway = ScriptedGateway(model="o3", openai=[Answer(text="Because.")])
        async with gateway.complete_stream("Why?", temperature=0.2) as stream:
            assert "".join([chunk.text async for chunk in stream]) == "Because."
        (warning,) = cast("Sequence[InferenceWarning]", stream.response.metadata["warnings"])
        assert warning.subject == "temperature"


async def test_the_policy_is_a_setting() -> None:
    """`routing.unsupported_parameters` reaches every provider that is made from the settings."""
    settings = Settings(routing={"unsupported_parameters": "error"}, openai_api_key="sk-made-up")
    assert create_llm_provider("openai", settings).policy == "error"
    assert create_llm_provider("openai", Settings(openai_api_key="sk-made-up")).policy == "warn"


async def test_what_the_settings_say_of_a_model_holds_for_its_calls() -> None:
    """A spec in `models` is a row of the catalog for the providers made from these settings."""
    spec = {"like": "openai:o3", "context_window": 1000}
    settings = Settings(models={"azure:my-deployment": {"spec": spec}}, openai_api_key="sk-made-up")
    known = ModelRegistry.from_settings(settings).find("my-deployment", provider="azure")
    assert known is not None
    assert (known.id, known.canonical_name, known.context_window) == ("azure:my-deployment", "o3", 1000)
    assert create_llm_provider("openai", settings).catalog.find("azure:my-deployment") == known
