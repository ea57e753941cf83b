"""Strategic merge patch: a merge patch that knows which list items are the same (sig-api-machinery, strategic-merge-patch.md)."""

from __future__ import annotations

from typing import Any

from controlplane.schema.types import ListOf, MapOf, Opaque, Struct, Type

DIRECTIVE = "$patch"
RETAIN = "$retainKeys"
DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"
ORDER = "$setElementOrder/"


class StrategicPatchError(Exception):
    """The patch cannot be applied."""


def apply_strategic_patch(schema: Type, target: Any, patch: Any) -> Any:
    """The target with the patch merged in. Neither argument is changed.

    Raises:
        StrategicPatchError
    """
    if not isinstance(patch, dict):
        raise StrategicPatchError("the patch must be an object")
    return _merge_object(schema, target if isinstance(target, dict) else {}, patch)


def _merge_object(schema: Type, target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    match patch.get(DIRECTIVE):
        case "replace":
            return {key: _without_directives(value) for key, value in patch.items() if not key.startswith("$")}
        case "delete":
            return {}
        case None | "merge":
            pass
        case other:
            raise StrategicPatchError(f"Unknown value {other!r} in directive {DIRECTIVE}")
    merged = dict(target)
    if isinstance(keep := patch.get(RETAIN), list):
        merged = {key: value for key, value in merged.items() if key in keep}
    for key, value in patch.items():
        if key.startswith(DELETE_PRIMITIVES):
            name = key.removeprefix(DELETE_PRIMITIVES)
            gone = value if isinstance(value, list) else []
            if isinstance(merged.get(name), list):
                merged[name] = [item for item in merged[name] if item not in gone]
        elif not key.startswith("$"):
            _merge_field(_field(schema, key), merged, key, value)
    for key, value in patch.items():
        if key.startswith(ORDER):
            name = key.removeprefix(ORDER)
            if isinstance(value, list) and isinstance(merged.get(name), list):
                merged[name] = _ordered(_field(schema, name), merged[name], value)
    return merged


def _merge_field(schema: Type, merged: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        merged.pop(key, None)
    elif isinstance(value, dict):
        old = merged.get(key)
        merged[key] = _merge_object(schema, old if isinstance(old, dict) else {}, value)
    elif isinstance(value, list):
        merged[key] = _merge_list(schema, merged.get(key), value)
    else:
        merged[key] = value


def _field(schema: Type, key: str) -> Type:
    match schema:
        case Struct():
            return schema.fields.get(key, Opaque())
        case MapOf():
            return schema.value
        case _:
            return Opaque()


def _merge_list(schema: Type, target: Any, patch: list[Any]) -> list[Any]:
    old = target if isinstance(target, list) else []
    if not isinstance(schema, ListOf):
        return patch
    if schema.is_set:
        return [*old, *(item for item in patch if item not in old)]
    if schema.patch_key is None:
        return [_without_directives(item) if isinstance(item, dict) else item for item in patch]
    return _merge_keyed(schema, schema.patch_key, old, patch)


def _merge_keyed(schema: ListOf, key: str, old: list[Any], patch: list[Any]) -> list[Any]:
    for item in patch:
        if not isinstance(item, dict):
            raise StrategicPatchError(f"expected objects in a list that is merged by {key!r}")
    if any(item.get(DIRECTIVE) == "replace" and len(item) == 1 for item in patch):
        return [_without_directives(item) for item in patch if item.keys() != {DIRECTIVE}]
    merged = list(old)
    for item in patch:
        if key not in item:
            raise StrategicPatchError(f"map: {item} does not contain declared merge key: {key}")
        places = [index for index, other in enumerate(merged) if isinstance(other, dict) and other.get(key) == item[key]]
        if item.get(DIRECTIVE) == "delete":
            merged = [other for index, other in enumerate(merged) if index not in places]
        elif places:
            merged[places[0]] = _merge_object(schema.item, merged[places[0]], item)
        else:
            merged.append(_merge_object(schema.item, {}, item))
    return merged


def _ordered(schema: Type, items: list[Any], order: list[Any]) -> list[Any]:
    """Items that the order names, in its order; each other one stays behind the one that it followed."""
    key = schema.patch_key if isinstance(schema, ListOf) else None

    def identity(item: Any) -> Any:
        return item.get(key) if key is not None and isinstance(item, dict) else item

    wanted = [identity(item) for item in order]
    ranks = [wanted.index(identity(item)) if identity(item) in wanted else None for item in items]
    rank, placed = -1, []
    for index, (item, own) in enumerate(zip(items, ranks, strict=True)):
        rank = own if own is not None else rank
        placed.append((rank, index, item))
    return [item for _, _, item in sorted(placed, key=lambda entry: entry[:2])]


def _without_directives(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_directives(item) for key, item in value.items() if not key.startswith("$") and item is not None}
    if isinstance(value, list):
        return [_without_directives(item) for item in value]
    return value
