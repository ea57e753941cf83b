"""Strategic merge patch: a merge patch that knows which list items are the same (sig-api-machinery, strategic-merge-patch.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.schema.decoding import name_type
from controlplane.schema.texts import show_go
from controlplane.schema.types import ListOf, MapOf, Opaque, Struct, Type

DIRECTIVE = "$patch"
RETAIN = "$retainKeys"
DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"
ORDER = "$setElementOrder/"


class StrategicPatchError(Exception):
    """The patch cannot be applied; the message is the API server's."""


class MalformedDirectiveError(StrategicPatchError):
    """A directive that is no directive: the client's mistake, in the API server's view."""


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
        case None:
            pass
        case other:
            raise StrategicPatchError(f"unknown patch type: {show_go(other)} in map: {show_go(patch)}")
    merged = dict(target)
    if RETAIN in patch:
        merged = _retain(merged, patch)
    for key, value in patch.items():
        if key.startswith(ORDER):
            _check_order(_field(schema, key.removeprefix(ORDER)), patch.get(key.removeprefix(ORDER)), value)
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
                old = target.get(name)
                merged[name] = _ordered(_field(schema, name), merged[name], value, old if isinstance(old, list) else [])
    return merged


def _retain(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """What a union keeps besides what the patch sets, all of which must be named."""
    keep = patch[RETAIN]
    set_now = [key for key, value in patch.items() if not key.startswith("$") and value is not None]
    if not isinstance(keep, list) or not all(key in keep for key in set_now):
        raise MalformedDirectiveError("invalid patch format of retainKeys")
    return {key: value for key, value in target.items() if key in keep}


def _check_order(schema: Type, patch: Any, order: Any) -> None:
    """The items of the patch must stand in the order that it gives, all of them."""
    if not isinstance(order, list):
        raise StrategicPatchError(f"expected a []interface {{}}, but received a {name_type(order)}")
    key = schema.patch_key if isinstance(schema, ListOf) else None
    wanted = [item.get(key) if isinstance(item, dict) else item for item in order]
    items = [item for item in patch if not (isinstance(item, dict) and DIRECTIVE in item)] if isinstance(patch, list) else []
    places = iter(wanted)
    if not all((item.get(key) if isinstance(item, dict) else item) in places for item in items):
        shown = f"The order in patch list:\n{show_go(items)}\n doesn't match {ORDER[:-1]} list:\n{show_go(order)}\n"
        raise StrategicPatchError(shown)


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
        return _interleave([*old, *(item for item in patch if item not in old)], patch, old, lambda item: item)
    if schema.patch_key is None:
        return [_without_directives(item) if isinstance(item, dict) else item for item in patch]
    return _merge_keyed(schema, schema.patch_key, old, patch)


def _merge_keyed(schema: ListOf, key: str, old: list[Any], patch: list[Any]) -> list[Any]:
    for item in patch:
        if not isinstance(item, dict):
            raise StrategicPatchError(f"expected objects in a list that is merged by {key!r}")
    if any(item.get(DIRECTIVE) == "replace" for item in patch):
        return [_without_directives(item) for item in patch if DIRECTIVE not in item]
    merged = list(old)
    for item in (item for item in patch if DIRECTIVE in item):
        _check_directive(item, key)
        merged = [other for other in merged if not (isinstance(other, dict) and other.get(key) == item[key])]
    wanted = [item for item in patch if DIRECTIVE not in item]
    for item in wanted:
        if key not in item:
            raise StrategicPatchError(f"map: {show_go(item)} does not contain declared merge key: {key}")
        places = [index for index, other in enumerate(merged) if isinstance(other, dict) and other.get(key) == item[key]]
        if places:
            merged[places[0]] = _merge_object(schema.item, merged[places[0]], item)
        else:
            merged.append(_merge_object(schema.item, {}, item))
    return _interleave(merged, wanted, old, lambda item: item.get(key) if isinstance(item, dict) else item)


def _check_directive(item: dict[str, Any], key: str) -> None:
    """Of an item of a list."""
    match item[DIRECTIVE]:
        case "delete":
            if key not in item:
                raise StrategicPatchError(f"map: {show_go(item)} does not contain declared merge key: {key}")
        case "merge":
            raise StrategicPatchError("merging lists cannot yet be specified in the patch")
        case other:
            raise StrategicPatchError(f"unknown patch type: {show_go(other)} in map: {show_go(item)}")


def _ordered(schema: Type, items: list[Any], order: list[Any], old: list[Any]) -> list[Any]:
    key = schema.patch_key if isinstance(schema, ListOf) else None
    # The order names the items of a keyed list by objects that hold their key only.
    return _interleave(items, order, old, lambda item: item.get(key) if key is not None and isinstance(item, dict) else item)


def _interleave(items: list[Any], order: list[Any], old: list[Any], identity: Callable[[Any], Any]) -> list[Any]:
    """Items that `order` names, in its order, among the others in theirs.

    One of the others comes first only where it stood before the next named one: so a new item goes in front of all that it was
    not told to follow (apimachinery, pkg/util/strategicpatch, normalizeElementOrder and mergeSortedSlice).
    """
    wanted, places = [identity(item) for item in order], [identity(item) for item in old]
    named = [item for item in items if identity(item) in wanted]
    named.sort(key=lambda item: wanted.index(identity(item)))
    # What `old` does not have comes last, as it was added.
    others = [item for item in items if identity(item) not in wanted]
    others.sort(key=lambda item: places.index(identity(item)) if identity(item) in places else len(places))
    merged: list[Any] = []
    while named and others:
        left, right = identity(others[0]), identity(named[0])
        stood_before = left in places and right in places and places.index(left) < places.index(right)
        merged.append((others if stood_before else named).pop(0))
    return [*merged, *named, *others]


def _without_directives(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_directives(item) for key, item in value.items() if not key.startswith("$") and item is not None}
    if isinstance(value, list):
        return [_without_directives(item) for item in value]
    return value
