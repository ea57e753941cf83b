"""Server-side apply (KEP-555): who owns which field, in the format FieldsV1, and what an applied configuration changes.

Kept: ownership per manager, removal of what a manager no longer applies, conflicts with other managers unless forced. Left out:
ownership of plain updates, which here belong to nobody, and conversion between versions, of which there is one.
"""

from __future__ import annotations

from typing import Any

from controlplane.patching.fields import (
    Path,
    find_leaves,
    follow,
    is_ignored,
    key_of_item,
    read_fields,
    show_path,
    value_at,
    write_fields,
)
from controlplane.schema.types import ListOf, MapOf, Opaque, Scalar, Struct, Type

Object = dict[str, Any]


class DuplicateEntryError(Exception):
    """A list that is merged by key or value names an item twice."""


class ApplyConflictError(Exception):
    """Other managers own fields with other values."""

    def __init__(self, conflicts: list[tuple[str, Path]]) -> None:
        self.causes = [
            {"reason": "FieldManagerConflict", "message": f'conflict with "{manager}"', "field": show_path(path)}
            for manager, path in conflicts
        ]
        super().__init__(_describe(conflicts))


def _describe(conflicts: list[tuple[str, Path]]) -> str:
    """One in one line, several by their managers (apimachinery, util/managedfields, getConflictMessage)."""
    if len(conflicts) == 1:
        manager, path = conflicts[0]
        return f'Apply failed with 1 conflict: conflict with "{manager}": {show_path(path)}'
    lines: list[str] = []
    for manager in sorted({manager for manager, _ in conflicts}):
        lines.append(f'conflicts with "{manager}":')
        lines += [f"- {show_path(path)}" for other, path in conflicts if other == manager]
    return f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)


def apply_configuration(
    schema: Struct,
    before: Object | None,
    wanted: Object,
    *,
    manager: str,
    is_forced: bool,
    now: str,
    api_version: str,
    subresource: str = "",
) -> Object:
    """The object after `manager` applied `wanted`, with its managed fields. Neither argument is changed.

    Raises:
        ApplyConflictError, DuplicateEntryError.
    """
    entries = list((before or {}).get("metadata", {}).get("managedFields") or ())
    owned = {_identity(entry): set(read_fields(entry.get("fieldsV1") or {})) for entry in entries}
    own = (manager, subresource)
    leaves = _owned_paths(schema, wanted)
    if before is not None:
        conflicts = [
            (other[0], path)
            for other, paths in owned.items()
            if other != own
            for path in sorted(paths & leaves)
            if value_at(schema, before, path) != value_at(schema, wanted, path)
        ]
        if conflicts and not is_forced:
            raise ApplyConflictError(conflicts)
        for other, path in conflicts:
            owned[(other, subresource)] = owned.get((other, subresource), set()) - {path}
    merged: Object = _merge(schema, before or {}, wanted)
    elsewhere = {path for other, paths in owned.items() if other != own for path in paths}
    # Items of lists before their fields: without its key fields an item could not be found.
    for path in sorted(owned.get(own, set()) - _with_parents(leaves | elsewhere), key=len):
        _remove(schema, merged, path)
    owned[own] = leaves
    merged["metadata"] = {
        **merged.get("metadata", {}),
        "managedFields": _render_entries(entries, owned, own, now=now, api_version=api_version),
    }
    return merged


def _owned_paths(schema: Struct, wanted: Object) -> set[Path]:
    owned: set[Path] = set()
    for path in find_leaves(schema, wanted, ()):
        if path in owned:
            *place, item = path
            raise DuplicateEntryError(f"{show_path(tuple(place))}: duplicate entries for key {show_path((item,))}")
        owned.add(path)
    return {path for path in owned if path and not is_ignored(path)}


def _with_parents(paths: set[Path]) -> set[Path]:
    return {path[:length] for path in paths for length in range(1, len(path) + 1)}


def _identity(entry: Object) -> tuple[str, str]:
    return str(entry.get("manager", "")), str(entry.get("subresource", ""))


def _render_entries(
    entries: list[Object], owned: dict[tuple[str, str], set[Path]], own: tuple[str, str], *, now: str, api_version: str
) -> list[Object]:
    rendered: list[Object] = []
    seen = set()
    for entry in entries:
        identity = _identity(entry)
        seen.add(identity)
        fields = write_fields(owned[identity])
        if not owned[identity]:
            continue
        is_same = fields == entry.get("fieldsV1")
        rendered.append(
            entry if is_same else {**entry, "fieldsV1": fields, "time": now if identity == own else entry.get("time", now)}
        )
    if own not in seen and owned[own]:
        entry = {"manager": own[0], "operation": "Apply", "apiVersion": api_version, "time": now, "fieldsType": "FieldsV1"}
        entry["fieldsV1"] = write_fields(owned[own])
        if own[1]:
            entry["subresource"] = own[1]
        rendered.append(entry)
    return rendered


def _merge(schema: Type, old: Any, new: Any) -> Any:
    match schema:
        case Struct() | MapOf() if isinstance(old, dict) and isinstance(new, dict):
            merged = dict(old)
            for key, value in new.items():
                inner = schema.fields.get(key, Opaque()) if isinstance(schema, Struct) else schema.value
                merged[key] = _merge(inner, old.get(key), value)
            return merged
        case ListOf() if isinstance(old, list) and isinstance(new, list) and schema.is_set:
            return [*old, *(item for item in new if item not in old)]
        case ListOf() if isinstance(old, list) and isinstance(new, list) and schema.apply_keys:
            by_key = {key_of_item(schema, item): item for item in old}
            for item in new:
                key = key_of_item(schema, item)
                by_key[key] = _merge(schema.item, by_key.get(key), item)
            return list(by_key.values())
        case Scalar() | _:
            return new


def _remove(schema: Type, root: Object, path: Path) -> None:
    """Take out what the manager gave up; the containers on the way are copied, as the tree may be shared."""
    parent: Any = root
    for step in path[:-1]:
        inner, value = follow(schema, parent, step)
        if not isinstance(value, dict | list):
            return
        copied = dict(value) if isinstance(value, dict) else list(value)
        if isinstance(parent, dict):
            parent[step.partition(":")[2]] = copied
        else:
            parent[parent.index(value)] = copied
        schema, parent = inner, copied
    _, value = follow(schema, parent, path[-1])
    if isinstance(parent, dict):
        parent.pop(path[-1].partition(":")[2], None)
    elif isinstance(parent, list) and value is not None:
        parent.remove(value)
