"""The JSON Schema (2020-12) of scenario files, with the options of every registered kind: editors complete and check them."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from orchestrator.contracts import Kinds
from orchestrator.scenario.schema import Entry, Scenario

Schema = dict[str, Any]


def scenario_json_schema(kinds: Kinds) -> Schema:
    """The published schema; loadtests/scenarios/scenario.schema.json holds it."""
    schema = Scenario.model_json_schema(by_alias=True)
    definitions: Schema = schema.setdefault("$defs", {})
    properties: Schema = schema["properties"]

    paths = {kind: _define(definitions, "path", kind, path.options) for kind, path in sorted(kinds.paths.items())}
    properties["paths"] = {
        **{key: value for key, value in properties["paths"].items() if key in ("description", "minProperties", "type")},
        "properties": paths,
        "additionalProperties": {"anyOf": [_with_kind(definitions, kind) for kind in paths]},
    }
    entries = [
        _entry(definitions, kind, _define(definitions, "timeline", kind, action.options))
        for kind, action in sorted(kinds.actions.items())
    ]
    properties["timeline"] = {"type": "array", "items": {"anyOf": entries}, "default": []}
    definitions.pop("Entry", None)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Ingress Testbed scenario"
    return schema


def _define(definitions: Schema, prefix: str, kind: str, model: type[BaseModel]) -> Schema:
    name = f"{prefix}-{kind}"
    own = model.model_json_schema(by_alias=True)
    definitions.update(own.pop("$defs", {}))
    definitions[name] = own
    return {"$ref": f"#/$defs/{name}"}


def _with_kind(definitions: Mapping[str, Any], kind: str) -> Schema:
    """The same options under a name of the user's own, told apart by `kind`."""
    own = definitions[f"path-{kind}"]
    return {
        **own,
        "properties": {"kind": {"const": kind}, **own.get("properties", {})},
        "required": ["kind", *own.get("required", [])],
    }


def _entry(definitions: Mapping[str, Any], kind: str, reference: Schema) -> Schema:
    common = Entry.model_json_schema(by_alias=True)["properties"]
    own = definitions[reference["$ref"].rpartition("/")[2]]
    options = own.get("properties", {})
    if kind != "scale":
        properties = {"at": common["at"], "for": common["for"], "fault": {"const": kind}, **options}
        return {
            "type": "object",
            "properties": properties,
            "required": ["at", "fault", *own.get("required", [])],
            "additionalProperties": False,
        }
    return {
        "type": "object",
        "properties": {"at": common["at"], "scale": {"type": "object"}, **options},
        "required": ["at", "scale"],
        "additionalProperties": False,
    }
