"""What may be wrong with one field of an object, in Kubernetes' words (apimachinery, `field.Error`). Data: raises nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """What is wrong with one field (apimachinery, `field.Error`)."""

    reason: str
    field: str
    message: str


def invalid_value(field: str, value: Any, detail: str) -> FieldError:
    return FieldError(reason="FieldValueInvalid", field=field, message=f"Invalid value: {_quote(value)}: {detail}")


def required(field: str, detail: str = "") -> FieldError:
    return FieldError(reason="FieldValueRequired", field=field, message="Required value" + (f": {detail}" if detail else ""))


def forbidden_field(field: str, detail: str) -> FieldError:
    return FieldError(reason="FieldValueForbidden", field=field, message=f"Forbidden: {detail}")


def unsupported(field: str, value: Any, allowed: Iterable[str]) -> FieldError:
    choices = ", ".join(f'"{choice}"' for choice in allowed)
    return FieldError(
        reason="FieldValueNotSupported",
        field=field,
        message=f"Unsupported value: {_quote(value)}: supported values: {choices}",
    )


def duplicate(field: str, value: Any) -> FieldError:
    return FieldError(reason="FieldValueDuplicate", field=field, message=f"Duplicate value: {_quote(value)}")


def not_found_value(field: str, value: Any) -> FieldError:
    return FieldError(reason="FieldValueNotFound", field=field, message=f"Not found: {_quote(value)}")


def too_long(field: str, limit: int) -> FieldError:
    return FieldError(reason="FieldValueTooLong", field=field, message=f"Too long: may not be more than {limit} bytes")


class Rendered(str):
    """What stands for a value in a message, as it is to be shown."""

    __slots__ = ()


NIL = Rendered("null")
"""A list or a map that is not there."""


def as_go(**fields: Any) -> Rendered:
    """A value of an internal type of Kubernetes: those have no names of their own in JSON, and leave nothing out."""
    return Rendered(json.dumps(fields, separators=(",", ":"), ensure_ascii=False))


def _quote(value: Any) -> str:
    if isinstance(value, Rendered):
        return str(value)
    # Go's API server shows scalars as Go literals and everything else as JSON; a pointer to nothing is the text "null".
    if value is None:
        return '"null"'
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
