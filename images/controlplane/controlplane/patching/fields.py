"""Fields of an object as server-side apply names them, in the format FieldsV1: paths, and what is at their ends. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from controlplane.schema.types import ListOf, MapOf, Opaque, Struct, Type

Path = tuple[str, ...]
"""Steps in the notation of FieldsV1: `f:name`, `k:{"name":"web"}`, `v:"value"`."""

Object = dict[str, Any]
IGNORED = frozenset({"f:apiVersion", "f:kind"})
IGNORED_METADATA = frozenset(
    f"f:{name}"
    for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink")
)


def show_path(path: Path) -> str:
    """As kubectl prints it: `.spec.ports[port=80].name`."""
    shown = ""
    for step in path:
        kind, _, rest = step.partition(":")
        if kind == "f":
            shown += f".{rest}"
        elif kind == "k":
            pairs = ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(rest).items())
            shown += f"[{pairs}]"
        else:
            shown += f"[={rest}]"
    return shown


def is_ignored(path: Path) -> bool:
    """Whether nobody can own the field."""
    return path[0] in IGNORED or (path[0] == "f:metadata" and len(path) > 1 and path[1] in IGNORED_METADATA)


def find_leaves(schema: Type, value: Any, path: Path) -> Iterator[Path]:
    """Every field that an applied value sets: scalars, atomic parts, and the items of keyed lists themselves."""
    match schema:
        case Struct() if isinstance(value, dict) and value:
            for key, item in value.items():
                yield from find_leaves(schema.fields.get(key, Opaque()), item, (*path, f"f:{key}"))
        case MapOf() if isinstance(value, dict) and value:
            for key, item in value.items():
                yield from find_leaves(schema.value, item, (*path, f"f:{key}"))
        case ListOf() if isinstance(value, list) and value and schema.is_set:
            for item in value:
                yield (*path, f"v:{json.dumps(item)}")
        case ListOf() if isinstance(value, list) and value and schema.apply_keys:
            for item in value:
                step = (*path, f"k:{key_of_item(schema, item)}")
                yield step
                yield from find_leaves(schema.item, item, step)
        case _:
            yield path


def key_of_item(schema: ListOf, item: Any) -> str:
    """What tells an item of a list from the others: its key fields in JSON."""
    if not isinstance(item, dict):
        return json.dumps({"value": item})
    values = {key: item.get(key, "TCP" if key == "protocol" else None) for key in sorted(schema.apply_keys)}
    return json.dumps(values, separators=(",", ":"), sort_keys=True)


def follow(schema: Type, value: Any, step: str) -> tuple[Type, Any]:
    """One step down: the type and the value that are there, None where nothing is."""
    kind, _, rest = step.partition(":")
    if kind == "f" and isinstance(value, dict):
        inner = (
            schema.fields.get(rest, Opaque())
            if isinstance(schema, Struct)
            else schema.value
            if isinstance(schema, MapOf)
            else Opaque()
        )
        return inner, value.get(rest)
    if kind == "k" and isinstance(schema, ListOf) and isinstance(value, list):
        return schema.item, next((item for item in value if key_of_item(schema, item) == rest), None)
    if kind == "v" and isinstance(schema, ListOf) and isinstance(value, list):
        return schema.item, next((item for item in value if json.dumps(item) == rest), None)
    return Opaque(), None


def value_at(schema: Type, value: Any, path: Path) -> Any:
    """What is at the end of a path; of an item only whether it is there."""
    for step in path:
        schema, value = follow(schema, value, step)
    # That an item is there is owned apart from what is in it.
    return value is not None if path[-1].startswith("k:") else value


def read_fields(fields: Any, path: Path = ()) -> Iterator[Path]:
    """The paths that a FieldsV1 names."""
    if not isinstance(fields, dict):
        return
    if path and (not fields or "." in fields):
        yield path
    for step, inner in fields.items():
        if step != ".":
            yield from read_fields(inner, (*path, step))


def write_fields(paths: set[Path]) -> Object:
    """The FieldsV1 of these paths."""
    root: Object = {}
    for path in sorted(paths):
        place = root
        for step in path:
            place = place.setdefault(step, {})
    for path in paths:
        place = root
        for step in path:
            place = place[step]
        if place:
            place["."] = {}
    return root
