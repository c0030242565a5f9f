"""What all sections of the settings share: strictness, silence about values, and the types of their fields."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from airframe.endpoints import EndpointSpec

__all__ = ["Count", "Key", "Name", "Seconds", "Section", "Url"]


class Section(BaseModel, frozen=True):
    """A part of the settings. Immutable; a key that it does not know is an error; its texts are those of its fields."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        str_strip_whitespace=True,
    )


def _checked_url(value: str) -> str:
    EndpointSpec(base_url=value)  # its errors never repeat the URL
    return value


def _checked_key(value: SecretStr) -> SecretStr:
    EndpointSpec(base_url="http://localhost", api_key=value.get_secret_value())
    return value


Url: TypeAlias = Annotated[str, AfterValidator(_checked_url), Field(examples=["http://127.0.0.1:8080"])]
"""`http` or `https`, without key, query or fragment."""

Key: TypeAlias = Annotated[SecretStr, AfterValidator(_checked_key)]
"""A key that fits into a header."""

Name: TypeAlias = Annotated[str, Field(min_length=1)]
"""The name of a provider, model or agent."""

Seconds: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A positive number of seconds."""

Count: TypeAlias = Annotated[int, Field(ge=1)]
"""A positive whole number."""
