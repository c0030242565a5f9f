"""The JSON Schema of a settings file, for editors that complete and check while one types."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema
from typing_extensions import override

from airframe.types import JSONObject, JSONValue
from avionics.config_file import KeyPath
from avionics.settings.field_texts import field_texts
from avionics.settings.flat_names import FLAT_NAMES
from avionics.settings.providers import KINDS, WELL_KNOWN
from avionics.settings.settings import Settings

__all__ = ["settings_schema"]

_NOT_TEXT = frozenset({"boolean", "integer", "number"})
_ABOUT = ("title", "description", "default")
_VARIABLE: dict[str, JSONValue] = {"type": "string", "pattern": r"\$\{[^}]+\}"}

_NOT_IN_A_FILE = ("config", "dotenv", "secrets_dir")


class _SchemaWithTexts(GenerateJsonSchema):
    """Says what each field means."""

    @override
    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        section: type[BaseModel] = schema["cls"]
        for name, text in field_texts(section).items():
            if field := made["properties"].get(name):
                field["description"] = text
        return made


def settings_schema() -> JSONObject:
    """The schema, of the 2020-12 draft. Where a number or a choice is expected, `${VAR}` will do."""
    made = Settings.model_json_schema(schema_generator=_SchemaWithTexts)
    schema: dict[str, JSONValue] = {name: _or_variable(part) for name, part in made.items()}
    properties = schema["properties"]
    assert isinstance(properties, dict)
    sections = {name: value for name, value in properties.items() if name not in _NOT_IN_A_FILE}
    kinds: dict[str, JSONValue] = {kind: {"$ref": f"#/$defs/{section.__name__}"} for kind, section in KINDS.items()}
    sections["providers"] = {
        "description": "Who can be asked, by name.",
        "type": "object",
        "propertyNames": {"pattern": "^[a-z0-9_]+$"},
        "properties": {name: kinds[kind] for name, kind in WELL_KNOWN.items()},
        "additionalProperties": {
            "anyOf": [
                {**reference, "required": ["kind"]} for reference in kinds.values() if isinstance(reference, dict)
            ]
            + [{"$ref": "#/$defs/RegisteredSettings"}]
        },
    }
    short: dict[str, JSONValue] = {
        name: {**_at(path, sections, schema["$defs"]), "description": f"Short for {'.'.join(path)}."}
        for name, path in FLAT_NAMES.items()
    }
    return {
        **schema,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of avionics",
        "properties": {**sections, **short},
    }


def _at(path: KeyPath, sections: Mapping[str, JSONValue], definitions: JSONValue) -> JSONObject:
    """What may stand at `path`."""
    found: JSONValue = {"properties": dict(sections)}
    for name in path:
        assert isinstance(found, dict)
        properties = found.get("properties", {})
        assert isinstance(properties, dict)
        found = properties.get(str(name)) or found["additionalProperties"]
        assert isinstance(found, dict)
        if isinstance(reference := found.get("$ref"), str):
            assert isinstance(definitions, dict)
            found = definitions[reference.rpartition("/")[2]]
    assert isinstance(found, dict)
    return found


def _or_variable(schema: JSONValue) -> JSONValue:
    """The same, with a variable in place of each value that is no free text."""
    if isinstance(schema, list):
        return [_or_variable(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner: dict[str, JSONValue] = {name: _or_variable(part) for name, part in schema.items()}
    type_ = schema.get("type")
    if not (isinstance(type_, str) and type_ in _NOT_TEXT) and not isinstance(schema.get("enum"), list):
        return inner
    about = {name: inner.pop(name) for name in _ABOUT if name in inner}
    return {**about, "anyOf": [inner, _VARIABLE]}
