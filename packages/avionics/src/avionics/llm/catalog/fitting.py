"""A request made to fit one model: checked and transformed, before anything is sent. Pure.

What the caller must know is an error: a model that cannot do what is asked, a value out of range, a prompt that is too
long. What merely does not fit the model (a temperature for a model that reasons, an effort that it does not know) is
sent otherwise or left out, as the policy says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, cast

from airframe.endpoints import BackendKind, EndpointSpec
from airframe.errors import AirframeError, ErrorCategory, InvalidRequestError
from airframe.types import InferenceRequest, InferenceWarning
from avionics.errors import MisfitError
from avionics.llm.catalog.checks import check_request
from avionics.llm.catalog.model_spec import ModelSpec
from avionics.llm.catalog.parameters import fit_parameters
from avionics.llm.catalog.reasoning import fit_reasoning
from avionics.llm.catalog.registry import ModelRegistry
from avionics.llm.requests import estimate_prompt_tokens

__all__ = ["Fitted", "Policy", "Problem", "find_problems", "fit_request"]

Policy: TypeAlias = Literal["error", "warn", "drop"]
"""What becomes of what does not fit: nothing is sent, or it is changed, told by the result's warnings or in silence."""

_SMALLEST_CONTEXT = 4096
_ANSWER = 2048  # tokens kept free for an answer whose length nobody has limited


@dataclass(frozen=True, slots=True)
class Fitted:
    """The request to send, and what of the original one it does not say."""

    request: InferenceRequest
    warnings: tuple[InferenceWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """What does not fit, in words. If it is `fatal`, nothing is sent; else the call is made without it."""

    message: str
    fatal: bool = True


def fit_request(
    request: InferenceRequest,
    *,
    endpoint: EndpointSpec,
    registry: ModelRegistry,
    provider: str | None = None,
    policy: Policy = "warn",
) -> Fitted:
    """The request as the model at `endpoint` takes it; `provider` is what the settings call the endpoint.

    A model of which nothing is known is sent what the caller said. Under the policy `error` airframe is asked to be
    strict too, so that nothing is left out that the wire format cannot carry.

    Raises `InvalidRequestError`; its category is `unsupported`, `context_length` or `not_found` where another model may
    do, and names every problem where there are several.
    """
    fitted, notes, problems = _examine(request, endpoint, registry, provider)
    if policy == "error":
        problems = (*problems, *_as_problems(notes))
        fitted = replace(fitted, strict=True)
    if problems:
        raise _joined(problems)
    return Fitted(fitted, () if policy == "drop" else tuple(notes))


def find_problems(
    request: InferenceRequest,
    *,
    endpoint: EndpointSpec,
    registry: ModelRegistry,
    provider: str | None = None,
    policy: Policy = "warn",
) -> tuple[Problem, ...]:
    """Everything about the request that does not fit the model."""
    _, notes, problems = _examine(request, endpoint, registry, provider)
    return (
        *(Problem(str(problem)) for problem in problems),
        *(Problem(note.message, fatal=policy == "error") for note in notes),
    )


def _examine(
    request: InferenceRequest, endpoint: EndpointSpec, registry: ModelRegistry, provider: str | None
) -> tuple[InferenceRequest, Sequence[InferenceWarning], Sequence[AirframeError]]:
    kind = str(endpoint.backend_kind)
    model = request.model or endpoint.model
    rules = registry.rules_at(endpoint, model, provider=provider)
    spec = rules.spec if rules else None
    notes: list[InferenceWarning] = []
    problems: list[AirframeError] = []
    if rules is None:
        if model and registry.expects(endpoint):
            notes.append(InferenceWarning("model", f"{model!r} is a model {registry.unknown(model)}"))
    else:
        try:
            request, lost = fit_reasoning(request, rules.spec, kind)
            notes += lost
        except InvalidRequestError as error:
            problems.append(error)
        request, lost = fit_parameters(request, rules)
        notes += lost
        problems += check_request(request, rules, endpoint)
    if kind == BackendKind.OLLAMA:
        request = _with_context(request, spec, endpoint)
    return request, notes, problems


def _with_context(request: InferenceRequest, spec: ModelSpec | None, endpoint: EndpointSpec) -> InferenceRequest:
    """Ollama loads a model with the context that is asked for, and cuts the beginning off whatever is longer."""
    own = request.extra_params.get("options")
    options = cast("Mapping[str, object]", own) if isinstance(own, Mapping) else dict[str, object]()
    if endpoint.capacity.context_window is not None or "num_ctx" in options:
        return request
    size = _context_for(estimate_prompt_tokens(request) + (request.max_tokens or _ANSWER), spec)
    return replace(request, extra_params={**request.extra_params, "options": {**options, "num_ctx": size}})


def _context_for(tokens: int, spec: ModelSpec | None) -> int:
    """The context to load: what is loaded if that will do, else the next power of two that the model can have."""
    if spec and spec.loaded_context and tokens <= spec.loaded_context:
        return spec.loaded_context
    size = max(_SMALLEST_CONTEXT, 1 << (tokens - 1).bit_length())
    return min(size, spec.context_window) if spec and spec.context_window else size


def _as_problems(notes: Sequence[InferenceWarning]) -> Iterator[AirframeError]:
    for note in notes:
        category = ErrorCategory.NOT_FOUND if note.subject == "model" else ErrorCategory.INVALID_REQUEST
        yield MisfitError(note.message.removesuffix("; it was not sent"), category=category)


def _joined(problems: Sequence[AirframeError]) -> AirframeError:
    """One error for all of them, of the kind of the first."""
    return type(problems[0])("; ".join(map(str, problems)), category=problems[0].category)
