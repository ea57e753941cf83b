"""The JSON Schema (2020-12) of scenario files, with the options of every registered kind: editors complete and check them."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from orchestrator.contracts import Kinds
from orchestrator.scenario.entries import Entry, TargetSelector
from orchestrator.scenario.schema import Scenario

Schema = dict[str, Any]
SCALE = "scale"
_WHEN = ("at", "after", "for", "every", "times", "phase")


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
    definitions["TargetSelector"] = TargetSelector.model_json_schema()
    group = _group(definitions, sorted(kind for kind in kinds.actions if kind != SCALE))
    properties["timeline"] = {"type": "array", "items": {"anyOf": [*entries, group]}, "default": []}
    for name in ("Entry", "Member"):
        definitions.pop(name, None)
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
    when = {key: common[key] for key in _WHEN}
    if kind == SCALE:
        for key in ("for", "every", "times"):
            when.pop(key)
        return _closed({**when, "scale": {"type": "object"}, **own.get("properties", {})}, required=["scale"])
    return _closed({**when, **_fault(kind, own)}, required=["fault", *own.get("required", [])])


def _group(definitions: Mapping[str, Any], faults: Iterable[str]) -> Schema:
    """Faults that strike together."""
    common = Entry.model_json_schema(by_alias=True)["properties"]
    members = [
        _closed({"for": common["for"], **_fault(kind, own)}, required=["fault", *own.get("required", [])])
        for kind in faults
        for own in [definitions[f"timeline-{kind}"]]
    ]
    together = {"type": "array", "minItems": 2, "items": {"anyOf": members}}
    return _closed({**{key: common[key] for key in _WHEN}, "together": together}, required=["together"])


def _fault(kind: str, own: Schema) -> Schema:
    options = dict(own.get("properties", {}))
    if "target" in options:
        chosen = [options["target"], {"type": "array", "items": {"type": "string"}}, {"$ref": "#/$defs/TargetSelector"}]
        options["target"] = {"description": "a node, a list, any, next-hop, not next-hop, or a choice", "anyOf": chosen}
    return {"fault": {"const": kind}, **options}


def _closed(properties: Schema, *, required: list[str]) -> Schema:
    closed: Schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {**closed, "anyOf": [{"required": ["at"]}, {"required": ["after"]}]} if "at" in properties else closed
