"""The catalog's own rows: data files beside this one, each row with its source and the day on which that was read."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from importlib.resources import files

from pydantic import Field

from avionics.llm.catalog.model_spec import ModelSpec
from avionics.settings.model_specs import ParameterRule, SpecSettings
from avionics.settings.section import Section

__all__ = ["built_in_specs", "open_models"]


class _Row(SpecSettings, frozen=True):
    """What holds for each of `ids`.

    Attributes:
        rules: names of rules of the file, in the order in which they are applied.
        retirements: the last days, by id.
        priced: whether genai-prices lists them under their ids.
        everywhere: whether the weights are open, so that the name means the same model wherever it runs.
    """

    ids: tuple[str, ...]
    source: str
    checked: date
    rules: tuple[str, ...] = ()
    retirements: Mapping[str, date] = Field(default_factory=dict[str, date])
    priced: bool = True
    everywhere: bool = False


class _File(Section, frozen=True):
    provider: str
    rules: Mapping[str, tuple[ParameterRule, ...]] = Field(default_factory=dict[str, tuple[ParameterRule, ...]])
    rows: tuple[_Row, ...]


@cache
def built_in_specs() -> tuple[ModelSpec, ...]:
    """Every model of the data files."""
    return tuple(spec for file in _files() for row in file.rows for spec in _specs(file, row))


@cache
def open_models() -> tuple[ModelSpec, ...]:
    """Those with open weights: whoever serves one, its name says which it is."""
    return tuple(spec for file in _files() for row in file.rows if row.everywhere for spec in _specs(file, row))


@cache
def _files() -> tuple[_File, ...]:
    folder = files("avionics.llm.catalog") / "data"
    paths = sorted((path for path in folder.iterdir() if path.name.endswith(".toml")), key=lambda path: path.name)
    return tuple(_File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))) for path in paths)


def _specs(file: _File, row: _Row) -> Iterator[ModelSpec]:
    stated = {name: getattr(row, name) for name in row.model_fields_set & SpecSettings.model_fields.keys()}
    stated["parameters"] = tuple(rule for name in row.rules for rule in file.rules[name])
    for name in row.ids:
        id = f"{file.provider}:{name}"
        spec = ModelSpec(
            id=id, name=name, provider=file.provider, canonical_name=name, source=row.source, checked=row.checked
        )
        own = {"retires": row.retirements.get(name), "priced_as": id if row.priced else None}
        yield spec.model_copy(update={**stated, **own})
