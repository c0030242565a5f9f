"""What a model cannot do at all, seen before it is asked. Pure; what is unknown of a model is no reason against it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from airframe.endpoints import EndpointSpec
from airframe.errors import AirframeError, ErrorCategory, InvalidRequestError
from airframe.types import (
    AudioPart,
    FilePart,
    ImagePart,
    InferenceRequest,
    JSONSchemaFormat,
    Part,
    ToolResultPart,
)
from avionics.llm.catalog.model_rules import ModelRules
from avionics.llm.catalog.model_spec import ModelSpec
from avionics.llm.catalog.parameters import check_parameters
from avionics.llm.requests import estimate_prompt_tokens, most_prompt_tokens
from avionics.settings.model_specs import Modality, Operation

__all__ = ["check_request", "known_window"]

_CALLS: Mapping[Operation, str] = MappingProxyType(
    {
        "image_generation": "makes images and answers no chat; ask it with POST /v1/images/generations",
        "speech": "speaks a text and answers no chat; ask it with POST /v1/audio/speech",
        "transcription": "writes down sound and answers no chat; ask it with POST /v1/audio/transcriptions",
        "video_generation": "makes videos and answers no chat; ask it with POST /v1/videos",
        "embedding": "makes embeddings and answers no chat; ask it with POST /v1/embeddings",
    }
)
"""The right call for models that are not for chats (OpenAI's API reference, read 2026-11-20)."""

_MODALITIES: Mapping[type[Part], Modality] = MappingProxyType(
    {ImagePart: "image", AudioPart: "audio", FilePart: "file"}
)

_SURELY = 1.5
"""By how much an estimate has to pass the window before the request is refused. Texts with much white space have fewer
tokens than the rule of thumb says; below this the backend, which counts, decides."""


def check_request(request: InferenceRequest, rules: ModelRules, endpoint: EndpointSpec) -> Iterator[AirframeError]:
    """What is wrong with the request for that model, most telling first."""
    spec = rules.spec
    if spec.operation != "chat":
        yield _unsupported(f"{spec.name} {_CALLS[spec.operation]}")
        return
    for name, why in rules.refusals:
        if name == "messages":
            yield _unsupported(f"{spec.name} is not served {why}")
        elif request.tools:
            yield _unsupported(f"{spec.name} takes no tools {why}")
    yield from _check_abilities(request, spec)
    yield from _check_length(request, spec, endpoint)
    yield from check_parameters(request, rules)


def known_window(spec: ModelSpec | None, endpoint: EndpointSpec) -> int | None:
    """Tokens of context that there are at most; None where nobody knows."""
    known = [size for size in (spec and spec.context_window, endpoint.capacity.context_window) if size]
    return min(known, default=None)


def _check_abilities(request: InferenceRequest, spec: ModelSpec) -> Iterator[AirframeError]:
    if request.tools and spec.supports("tools") is False:
        yield _unsupported(f"{spec.name} cannot call tools; leave tools out or choose another model")
    if isinstance(request.response_format, JSONSchemaFormat) and spec.supports("structured_output") is False:
        yield _unsupported(f"{spec.name} cannot be held to a JSON schema; leave response_format out")
    if spec.input_modalities is None:
        return
    for position, message in enumerate(request.messages):
        if isinstance(message.content, str):
            continue
        for modality in dict.fromkeys(_read(message.content)):
            if modality not in spec.input_modalities:
                yield _unsupported(
                    f"messages[{position}] holds {modality}, which {spec.name} does not read; it reads "
                    f"{', '.join(spec.input_modalities)}"
                )


def _read(parts: Iterable[Part]) -> Iterator[Modality]:
    for part in parts:
        if isinstance(part, ToolResultPart):
            yield from _read(() if isinstance(part.content, str) else part.content)
        elif modality := _MODALITIES.get(type(part)):
            yield modality


def _check_length(request: InferenceRequest, spec: ModelSpec, endpoint: EndpointSpec) -> Iterator[AirframeError]:
    window = known_window(spec, endpoint)
    if window is None or most_prompt_tokens(request) <= window * _SURELY:
        return
    estimate = estimate_prompt_tokens(request)
    if estimate > window * _SURELY:
        yield InvalidRequestError(
            f"the prompt is about {estimate} tokens long by our estimate, and {spec.name} has a window of {window}; "
            "shorten it, or choose a model with a larger window",
            category=ErrorCategory.CONTEXT_LENGTH,
        )


def _unsupported(message: str) -> AirframeError:
    return InvalidRequestError(message, category=ErrorCategory.UNSUPPORTED)
