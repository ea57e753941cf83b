"""JSON patch (RFC 6902) over JSON pointers (RFC 6901)."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

OPERATIONS_LIMIT = 10_000
"""As the API server: no patch needs more (apiserver, endpoints/handlers/patch.go)."""


class PatchError(Exception):
    """The patch cannot be applied; the message says at which operation."""


class MalformedPatchError(Exception):
    """It is no JSON patch; the message is that of the decoder."""


class TooManyOperationsError(Exception):
    """More than OPERATIONS_LIMIT."""


def decode_json_patch(body: Any, *, is_lax: bool = False) -> list[dict[str, Any]]:
    """The operations of a body. `is_lax`: of fieldValidation=Ignore, which looks at their fields only when they are applied.

    Raises:
        MalformedPatchError, TooManyOperationsError
    """
    whole, one = ("jsonpatch.Patch", "jsonpatch.Operation") if is_lax else ("[]handlers.jsonPatchOp", "handlers.jsonPatchOp")
    complaint = "" if is_lax else "error decoding patch: "
    operations = [] if body is None else body
    if not isinstance(operations, list):
        raise MalformedPatchError(f"{complaint}json: cannot unmarshal {_name_type(body)} into Go value of type {whole}")
    for operation in operations:
        if operation is None:
            continue
        if not isinstance(operation, dict):
            why = f"json: cannot unmarshal {_name_type(operation)} into Go value of type {one}"
            raise MalformedPatchError(complaint + why)
        for name in () if is_lax else ("op", "path", "from"):
            if not isinstance(value := operation.get(name), str | None):
                why = f"json: cannot unmarshal {_name_type(value)} into Go struct field jsonPatchOp.{name} of type string"
                raise MalformedPatchError(complaint + why)
    if len(operations) > OPERATIONS_LIMIT:
        raise TooManyOperationsError(
            f"The allowed maximum operations in a JSON patch is {OPERATIONS_LIMIT}, got {len(operations)}"
        )
    return [operation or {} for operation in operations]


def _name_type(value: Any) -> str:
    """As encoding/json calls it."""
    for kind, name in ((bool, "bool"), (str, "string"), (list, "array"), (dict, "object")):
        if isinstance(value, kind):
            return name
    return "number"


def apply_json_patch(document: Any, operations: Sequence[dict[str, Any]]) -> Any:
    """The document after all operations, or an error and nothing changed.

    Raises:
        PatchError
    """
    document = copy.deepcopy(document)
    for index, operation in enumerate(operations):
        document = _apply(document, operation, index)
    return document


def _apply(document: Any, operation: dict[str, Any], index: int) -> Any:
    kind, path = operation.get("op"), _pointer(operation.get("path"), index)
    match kind:
        case "add" | "replace" | "test":
            # As the API server's library has it: what is not there is null.
            value = copy.deepcopy(operation.get("value"))
            if kind == "add":
                return _add(document, path, value, index)
            if kind == "test":
                if not _same(_find(document, path, index), value):
                    raise PatchError(f"testing value {operation['path']} failed")
                return document
            if not path:
                return value
            # The library sets a member that is not there; an item of a list must be.
            is_new = _find(document, path, index) is None
            return _add(document if is_new else _remove(document, path, index), path, value, index)
        case "remove":
            return _remove(document, path, index)
        case "move" | "copy":
            source = _pointer(operation.get("from"), index)
            value = copy.deepcopy(_get(document, source, index))
            if kind == "move":
                if source == path[: len(source)] and source != path:
                    raise PatchError(f"operation {index}: cannot move a value into itself")
                document = _remove(document, source, index)
            return _add(document, path, value, index)
    raise PatchError(f"operation {index}: Unexpected kind: {kind}")


def _pointer(text: Any, index: int) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchError(f"operation {index}: {text!r} is not a JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _missing(path: list[str], index: int) -> PatchError:
    return PatchError(f"operation {index}: doc is missing path: /{'/'.join(path)}: missing value")


def _get(document: Any, path: list[str], index: int) -> Any:
    for part in path:
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list):
            document = document[_place(part, len(document) - 1, path, index)]
        else:
            raise _missing(path, index)
    return document


def _find(document: Any, path: list[str], index: int) -> Any:
    """As `_get`, with null for a member that its object does not have."""
    parent = _get(document, path[:-1], index)
    return parent.get(path[-1]) if path and isinstance(parent, dict) else _get(document, path, index)


_INDEX = re.compile("[+-]?[0-9]{1,9}")


def _place(part: str, last: int, path: list[str], index: int) -> int:
    """Beyond RFC 6901, as the API server's library has it: leading zeros, and negative numbers that count from the end."""
    place = int(part) if _INDEX.fullmatch(part) else last + 1
    if not -last - 1 <= place <= last:
        raise _missing(path, index)
    return place if place >= 0 else last + 1 + place


def _add(document: Any, path: list[str], value: Any, index: int) -> Any:
    if not path:
        return value
    parent = _get(document, path[:-1], index)
    if isinstance(parent, dict):
        parent[path[-1]] = value
    elif isinstance(parent, list):
        place = len(parent) if path[-1] == "-" else _place(path[-1], len(parent), path, index)
        parent.insert(place, value)
    else:
        raise _missing(path, index)
    return document


def _remove(document: Any, path: list[str], index: int) -> Any:
    if not path:
        return None
    _get(document, path, index)
    parent = _get(document, path[:-1], index)
    if isinstance(parent, list):
        del parent[_place(path[-1], len(parent) - 1, path, index)]
    else:
        del parent[path[-1]]
    return document


def _same(left: Any, right: Any) -> bool:
    # To Python true equals 1; to RFC 6902 section 4.6 it does not.
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)
