"""Answers as objects: what the model is asked to keep to, and what is made of what it says. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from airframe.types import InferenceResult, JSONSchemaFormat, Message
from avionics.errors import OutputValidationError

__all__ = ["output_format", "parse_output", "repair_messages"]

ModelT = TypeVar("ModelT", bound=BaseModel)

_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*", re.DOTALL)
_MOST_PROBLEMS = 10


def output_format(output_type: type[BaseModel]) -> JSONSchemaFormat:
    """What a backend is told of `output_type`."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", output_type.__name__)[:64]  # as OpenAI wants it
    return JSONSchemaFormat(schema=output_type.model_json_schema(), name=name)


def parse_output(result: InferenceResult, output_type: type[ModelT]) -> ModelT:
    """The answer as an object. A fence of Markdown around it is taken off: small models put one there.

    Raises `OutputValidationError` that lists what does not fit, without the values.
    """
    text = result.text
    if fenced := _FENCED.fullmatch(text):
        text = fenced[1]
    try:
        return output_type.model_validate_json(text)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, detail['loc'])) or 'the answer'}: {detail['msg']}"
            for detail in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        failure = OutputValidationError(
            f"the answer is no {output_type.__name__} (it finished with {result.finish_reason}): "
            + "; ".join(problems[:_MOST_PROBLEMS])
        )
        failure.partial = result
        raise failure from error


def repair_messages(
    messages: Sequence[Message], result: InferenceResult, failure: OutputValidationError
) -> Sequence[Message]:
    """The conversation with which the model is asked once more, and told what was wrong."""
    return [
        *messages,
        result.message,
        Message("user", f"{failure}. Answer again, with nothing but a JSON document that keeps to the schema."),
    ]
