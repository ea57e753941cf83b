"""From JSON to a typed tree: wrong types are refused in Go's words, nulls and unknown fields left out, nothing shared."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from controlplane.schema.json_errors import describe_json_error
from controlplane.schema.types import ListOf, MapOf, Opaque, Scalar, Struct, Type

DEPTH_LIMIT = 64


class MalformedError(Exception):
    """The value does not fit the type."""


def decode(schema: Struct, value: Any) -> tuple[dict[str, Any], list[str]]:
    """A fresh tree of `value`, and the paths of the fields that the type does not know.

    Raises:
        MalformedError: a field has the wrong type.
    """
    unknown: list[str] = []
    decoded = _decode(schema, value, "", None, unknown)
    return decoded or {}, unknown


def _decode(schema: Type, value: Any, path: str, owner: Struct | None, unknown: list[str]) -> Any:
    if value is None:
        return None
    match schema:
        case Scalar():
            return _decode_scalar(schema, value, path, owner)
        case Opaque():
            if not isinstance(value, dict):
                raise _mismatch(schema, value, path, owner)
            return _copy(value, DEPTH_LIMIT)
        case MapOf():
            if not isinstance(value, dict):
                raise _mismatch(schema, value, path, owner)
            # A null in a map is Go's zero value.
            return {
                key: zero_of(schema.value) if item is None else _decode(schema.value, item, _join(path, key), owner, unknown)
                for key, item in value.items()
            }
        case ListOf():
            if not isinstance(value, list):
                raise _mismatch(schema, value, path, owner)
            return [
                zero_of(schema.item) if item is None else _decode(schema.item, item, f"{path}[{index}]", owner, unknown)
                for index, item in enumerate(value)
            ]
        case Struct():
            if not isinstance(value, dict):
                raise _mismatch(schema, value, path, owner)
            return _decode_struct(schema, value, path, unknown)


def _decode_struct(schema: Struct, value: dict[str, Any], path: str, unknown: list[str]) -> dict[str, Any]:
    decoded: dict[str, Any] = {}
    for key, item in value.items():
        field = schema.fields.get(key)
        place = _join(path, key)
        if field is None:
            unknown.append(place)
            continue
        result = _decode(field, item, place, schema, unknown)
        if result is not None and not _is_omitted(field, result):
            decoded[key] = result
    return decoded


def _is_omitted(field: Type, value: Any) -> bool:
    """Whether Go's encoder leaves the value out: it is what a typed client has where nothing was said (`omitempty`)."""
    match field:
        case ListOf():
            return not value and not field.stays_empty
        case MapOf():
            return not value
        case Scalar():
            return (value == "" and not field.stays_empty) or (field.omits_zero and value == field.zero)
        case _:
            return False


def _decode_scalar(schema: Scalar, value: Any, path: str, owner: Struct | None) -> Any:
    # To Python a bool is an int; to JSON it is not.
    is_accepted = isinstance(value, schema.accepts) and (not isinstance(value, bool) or bool in schema.accepts)
    if not is_accepted:
        raise _mismatch(schema, value, path, owner)
    if isinstance(value, int) and schema.limits is not None and not schema.limits[0] <= value <= schema.limits[1]:
        raise _mismatch(schema, value, path, owner)
    if schema.why_not is not None and (why := schema.why_not(value)) is not None:
        raise MalformedError(why)
    return value if schema.render is None else schema.render(value)


def _copy(value: Any, depth: int) -> Any:
    if depth == 0:
        raise MalformedError("exceeded max depth")
    if isinstance(value, dict):
        return {key: _copy(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item, depth - 1) for item in value]
    return value


def zero_of(schema: Type) -> Any:
    """Go's zero value in JSON."""
    match schema:
        case Scalar():
            return schema.zero
        case ListOf():
            return []
        case _:
            return {}


_JSON_NAMES: tuple[tuple[type, str], ...] = ((bool, "bool"), (str, "string"), (list, "array"), (dict, "object"))


def name_type(value: Any) -> str:
    """A decoded value's type as encoding/json calls it."""
    return "null" if value is None else next((name for kind, name in _JSON_NAMES if isinstance(value, kind)), "number")


def _mismatch(schema: Type, value: Any, path: str, owner: Struct | None) -> MalformedError:
    shown = name_type(value)
    if shown == "number" and isinstance(schema, Scalar) and int in schema.accepts:
        shown = f"number {json.dumps(value)}"
    if owner is None:
        return MalformedError(f"json: cannot unmarshal {shown} into Go value of type {schema.go}")
    field = ".".join(part.partition("[")[0] for part in path.split("."))
    return MalformedError(f"json: cannot unmarshal {shown} into Go struct field {owner.name}.{field} of type {schema.go}")


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def read_json(text: bytes, complain: Callable[[str], Exception]) -> Any:
    """JSON as RFC 8259 has it: no NaN, no lone surrogates, no nesting beyond what any object needs.

    Raises:
        what `complain` makes of the reason.
    """
    try:
        # Whatever is not UTF-8 becomes U+FFFD, as in encoding/json.
        value = json.loads(text.decode(errors="replace"), parse_constant=_refuse_constant)
        # What cannot be written again must not be let in: lone surrogates (RFC 8259 section 8.2).
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise complain("exceeded max depth") from None
    except json.JSONDecodeError as error:
        raise complain(describe_json_error(error)) from error
    except ValueError as error:
        raise complain(str(error)) from error
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"invalid character '{name[0]}' looking for beginning of value")
