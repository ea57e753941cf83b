"""Pydantic's errors in the words of a user's file: the key as it is written there, what was found and what is allowed.

What is allowed is read off the model's JSON Schema, so that a message and the published schema cannot differ.
"""

import difflib
import reprlib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from orchestrator.errors import Problem
from orchestrator.scenario.quantities import write_like

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

Node = Mapping[str, Any]
Location = tuple[int | str, ...]

_REPR = reprlib.Repr()
_REPR.maxlevel = _REPR.maxdict = _REPR.maxlist = 12
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = 160
_MESSAGES = {
    "literal_error": "is not known",
    "enum": "is not known",
    "string_pattern_mismatch": "has the wrong form",
    "string_too_short": "is too short",
    "string_too_long": "is too long",
    "too_short": "has too few",
    "too_long": "has too many",
    "ip_v4_network": "is not a network",
    "ip_v4_address": "is not an address",
    "finite_number": "is not finite",
    "missing": "is required",
}
_BOUNDS = {
    "greater_than": ("is too small", "more than {}"),
    "greater_than_equal": ("is too small", "{} or more"),
    "less_than": ("is too large", "less than {}"),
    "less_than_equal": ("is too large", "{} or less"),
}
_LIMITS = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}


def key_path(location: Location) -> str:
    """`("timeline", 0, "at")` as `timeline[0].at`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def describe_problems(error: "ValidationError", model: type[BaseModel], prefix: Location = ()) -> tuple[Problem, ...]:
    """One for each key. Of a value that may have several forms, only what is wrong in the form that it comes nearest to."""
    schema, found = _schema_of(model), dict[str, Problem]()
    for details in error.errors(include_url=False):
        problem = _describe(details, schema, prefix)
        found.setdefault(problem.key, problem)
    deeper = [key for key in found if not any(other.startswith((f"{key}.", f"{key}[")) for other in found if key)]
    return tuple(found[key] for key in deeper)


@cache
def _schema_of(model: type[BaseModel]) -> Node:
    return model.model_json_schema()


def _describe(details: "ErrorDetails", schema: Node, prefix: Location) -> Problem:
    location, nodes = _locate(schema, details["loc"])
    kind, context, value = details["type"], details.get("ctx", {}), details["input"]
    key, allowed = key_path((*prefix, *location)), _words(nodes, schema)
    if kind == "extra_forbidden":
        _, parents = _locate(schema, details["loc"][:-1])
        keys = sorted({name for node in parents for name in node.get("properties", ())})
        close = difflib.get_close_matches(str(location[-1]), keys, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return Problem(key=key, message=f"unknown key{hint}", allowed=", ".join(keys) or "none")
    if kind == "value_error":
        message, _, allowed = str(context["error"]).partition("; allowed: ")
        return Problem(key=key, message=message, found=shorten(value), allowed=allowed or None)
    if details["loc"] and details["loc"][-1] == "[key]":
        return Problem(key=key, message="has the wrong form for a key", found=shorten(value), allowed=_form(context))
    if kind in _BOUNDS:
        message, words = _BOUNDS[kind]
        like = next((node["examples"][0] for node in nodes if node.get("examples")), None)
        limit = write_like(context[_LIMITS[kind]], like)
        if like is not None or not allowed:
            allowed = words.format(limit)
        return Problem(key=key, message=message, found=write_like(value, like), allowed=allowed)
    message = _MESSAGES.get(kind) or (
        "has the wrong type" if kind.endswith(("_type", "_parsing", "_from_float")) else details["msg"]
    )
    return Problem(key=key, message=message, found=None if kind == "missing" else shorten(value), allowed=allowed or None)


def shorten(value: object) -> str:
    """A value as it is quoted in a message."""
    text = _REPR.repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _locate(schema: Node, location: Location) -> tuple[Location, list[Node]]:
    """The location without pydantic's own names for the forms of a value, and the schema of what may stand there."""
    nodes, kept = list(_forms(schema, schema)), list[int | str]()
    for index, part in enumerate(location):
        if part == "[key]":
            break
        if len(nodes) > 1 and not any(isinstance(part, str) and part in node.get("properties", ()) for node in nodes):
            if index + 1 < len(location):  # the name of one of several forms: the one that has something inside it
                nodes = [node for node in nodes if node.get("type") in ("object", "array")] or nodes
            continue
        kept.append(part)
        nodes = [form for node in nodes for child in _child(node, part) for form in _forms(child, schema)]
    return tuple(kept), nodes


def _child(node: Node, part: int | str) -> Iterable[Node]:
    if isinstance(part, int):
        items = node.get("items")
        return [items] if isinstance(items, Mapping) else []
    if part in node.get("properties", {}):
        return [node["properties"][part]]
    rest = [*node.get("patternProperties", {}).values(), node.get("additionalProperties")]
    return [item for item in rest if isinstance(item, Mapping)]


def _forms(node: Node, schema: Node) -> Iterable[Node]:
    """References followed, alternatives one by one, `null` left out: a key that may be left out need not be written as null."""
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    alternatives = node.get("anyOf")
    if alternatives is None:
        return [] if node.get("type") == "null" else [node]
    outer = {key: value for key, value in node.items() if key == "examples"}
    return [{**outer, **form} for item in alternatives for form in _forms(item, schema)]


def _words(nodes: Iterable[Node], schema: Node) -> str:
    return " or ".join(dict.fromkeys(text for node in nodes if (text := _words_of(node))))


def _words_of(node: Node) -> str:
    if "enum" in node or "const" in node:
        return ", ".join(str(item) for item in node.get("enum", [node.get("const")]))
    if node.get("examples"):
        kind = "text" if all(isinstance(item, str) for item in node["examples"]) else "a value"
        return f"{kind} such as {', '.join(map(str, node['examples']))}"
    match node.get("type"):
        case "boolean":
            return "true or false"
        case "integer":
            return f"a whole number{_range(node)}"
        case "number":
            return f"a number{_range(node)}"
        case "string" if node.get("format") == "ipv4network":
            return "text such as 10.0.0.0/16"
        case "string" if node.get("format") == "ipv4":
            return "an IPv4 address"
        case "string" if "pattern" in node:
            return _form(node)
        case "string":
            return "text that is not empty" if node.get("minLength") else "text"
        case "array":
            return f"a list of at least {node['minItems']}" if node.get("minItems") else "a list"
        case "object" if node.get("properties"):
            return f"a mapping of {', '.join(sorted(node['properties']))}"
        case "object" if node.get("minProperties"):
            return f"a mapping with {node['minProperties']} key or more"
        case "object":
            return "a mapping"
        case _:
            return ""


def _range(node: Node) -> str:
    lowest, highest = node.get("minimum"), node.get("maximum")
    if highest is None and node.get("type") == "integer" and "exclusiveMaximum" in node:
        highest = node["exclusiveMaximum"] - 1
    if lowest is not None and highest is not None:
        return f" from {lowest} to {highest}"
    if lowest is not None:
        return f", {lowest} or more"
    return "" if highest is None else f", {highest} or less"


def _form(node: Mapping[str, Any]) -> str:
    return f"text of the form {node['pattern']}" if "pattern" in node else "text"
