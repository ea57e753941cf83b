"""Strict decoding of flat JSON objects into frozen dataclasses: unknown keys and wrong types are errors with their path."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from enum import StrEnum
from typing import Any, TypeVar

Decoded = TypeVar("Decoded")


class SettingsError(ValueError):
    """The settings are not what the contract says; the message names the key."""


def decode_flat(kind: type[Decoded], raw: object, where: str) -> Decoded:
    """Build the dataclass `kind` from a JSON object whose values are scalars of the annotated types.

    Raises:
        SettingsError: not an object, an unknown or missing key, a wrong type, or a value that `kind` itself refuses.
    """
    members = {member.name: member for member in fields(kind)}  # type: ignore[arg-type]
    given = expect_object(raw, where, set(members))
    hints = typing.get_type_hints(kind)
    required = {name for name, member in members.items() if member.default is MISSING and member.default_factory is MISSING}
    if missing := sorted(required - set(given)):
        raise SettingsError(f"{where}: missing {missing}")
    values = {key: _scalar(hints[key], value, f"{where}.{key}") for key, value in given.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from error


def expect_object(raw: object, where: str, allowed: set[str]) -> Mapping[str, object]:
    """`raw` as an object with no keys but the allowed ones."""
    if not isinstance(raw, dict):
        raise SettingsError(f"{where}: must be an object, got {raw!r}")
    if unknown := sorted(set(raw) - allowed):
        raise SettingsError(f"{where}: unknown keys {unknown}; allowed: {sorted(allowed)}")
    return raw


def expect_list(raw: object, where: str) -> list[object]:
    """`raw` as a list."""
    if not isinstance(raw, list):
        raise SettingsError(f"{where}: must be a list, got {raw!r}")
    return raw


def _scalar(hint: Any, value: object, where: str) -> object:
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for kind in allowed:
        if kind is type(None):
            if value is None:
                return None
        elif issubclass(kind, StrEnum):
            if value in set(kind):
                return kind(value)
        # bool is an int to Python, not to a reader of JSON.
        elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            return value
    raise SettingsError(f"{where}: must be {' or '.join(_describe(kind) for kind in allowed)}, got {value!r}")


def _describe(kind: Any) -> str:
    if kind is type(None):
        return "null"
    if issubclass(kind, StrEnum):
        return f"one of {[member.value for member in kind]}"
    return {bool: "true or false", int: "an integer", str: "a string", float: "a number"}[kind]
