"""Noticing that a server has cut a prompt and said nothing: by what it counted, against what was sent. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from airframe.endpoints import BackendKind, EndpointSpec
from airframe.types import InferenceRequest, InferenceResult, InferenceWarning
from avionics.llm.catalog.checks import known_window
from avionics.llm.catalog.model_spec import ModelSpec
from avionics.llm.catalog.registry import ModelRegistry
from avionics.llm.requests import estimate_prompt_tokens

__all__ = ["AnswerCheck", "truncation_check"]

AnswerCheck: TypeAlias = Callable[[InferenceResult], tuple[InferenceWarning, ...]]
"""Looks at a whole answer and gives what there is to warn about."""

_SILENT_KINDS = frozenset({BackendKind.LM_STUDIO, BackendKind.MLX, BackendKind.OLLAMA, BackendKind.OPENAI_COMPATIBLE})
"""Those that may cut a prompt and say nothing. The others refuse one that is too long."""

_WORTH_A_LOOK = 256
"""Tokens below which an estimate says nothing: a chat template weighs as much."""

_WELL_BELOW = 2
"""Our estimate is this many times what was counted: too much for a rule of thumb to be wrong by."""

_WELL_ABOVE = 1.25
"""Our estimate is this many times the loaded context, and the server answered nevertheless."""


def truncation_check(
    request: InferenceRequest, *, endpoint: EndpointSpec, registry: ModelRegistry, provider: str | None = None
) -> AnswerCheck | None:
    """What looks whether the answer to `request`, as it is sent, can be to the whole prompt; None where it must be.

    Ollama and LM Studio cut the beginning off a prompt that is longer than the loaded context, and answer as if nothing
    had happened. What they counted tells.
    """
    if endpoint.backend_kind not in _SILENT_KINDS:
        return None
    estimate = estimate_prompt_tokens(request)
    if estimate < _WORTH_A_LOOK:
        return None
    model = request.model or endpoint.model
    context = _loaded_context(request, endpoint, registry.at(endpoint, model, provider=provider))

    def check(result: InferenceResult) -> tuple[InferenceWarning, ...]:
        counted = result.usage.input_tokens
        if counted is None:
            return ()
        too_few = counted * _WELL_BELOW < estimate
        too_long = context is not None and counted <= context < estimate / _WELL_ABOVE
        return (_warning(counted, estimate, context),) if too_few or too_long else ()

    return check


def _warning(counted: int, estimate: int, context: int | None) -> InferenceWarning:
    return InferenceWarning(
        "messages",
        f"the server counted {counted} tokens of prompt, where by our estimate about {estimate} were sent"
        f"{'' if context is None else f' to a context of {context}'}; it may have cut the beginning off: load the "
        "model with a larger context, or shorten the prompt",
    )


def _loaded_context(request: InferenceRequest, endpoint: EndpointSpec, spec: ModelSpec | None) -> int | None:
    match request.extra_params.get("options"):
        case {"num_ctx": int(asked)}:
            return asked
        case _:
            return (spec and spec.loaded_context) or known_window(spec, endpoint)
