"""What a field can hold. Lists say how patches merge them (API conventions, "Strategic Merge Patch")."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.schema.texts import (
    render_microseconds,
    render_seconds,
    why_no_base64,
    why_no_micro_time,
    why_no_quantity,
    why_no_time,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A JSON scalar; `go` is the type's name in messages."""

    go: str
    accepts: tuple[type, ...]
    limits: tuple[int, int] | None = None
    why_not: Callable[[Any], str | None] | None = None
    """Why a typed client could not decode the value; None where it can."""
    zero: Any = ""
    """Go's zero value in JSON."""
    render: Callable[[Any], Any] | None = None
    """How a right value is stored, where that is not as it was sent."""
    stays_empty: bool = False
    """A pointer to a text: an empty one is stored."""
    omits_zero: bool = False
    """A field that is no pointer and has `omitempty`: its zero is not stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """An object that is kept as it is: parts of Kubernetes that no part of the testbed reads."""

    go: str = "map[string]interface {}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf:
    """A map with free keys. An empty one is not stored: each has `omitempty`."""

    value: Type

    @property
    def go(self) -> str:
        return f"map[string]{self.value.go}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    """A list. `patch_key` merges items in a strategic merge patch, `apply_keys` in server-side apply; `is_set` merges scalars.

    `stays_empty`: without `omitempty` in Go, so that an empty one is stored.
    """

    item: Type
    patch_key: str | None = None
    apply_keys: tuple[str, ...] = ()
    is_set: bool = False
    stays_empty: bool = False

    @property
    def go(self) -> str:
        return f"[]{self.item.go}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Struct:
    """An object with named fields."""

    name: str
    fields: Mapping[str, Type] = field(repr=False)
    package: str = "v1"

    @property
    def go(self) -> str:
        return f"{self.package}.{self.name}"


Type = Scalar | Opaque | MapOf | ListOf | Struct

STRING = Scalar(go="string", accepts=(str,))
STRING_POINTER = Scalar(go="string", accepts=(str,), stays_empty=True)
BOOL = Scalar(go="bool", accepts=(bool,), zero=False)
INT32 = Scalar(go="int32", accepts=(int,), limits=(-(2**31), 2**31 - 1), zero=0)
SWITCH = Scalar(go="bool", accepts=(bool,), zero=False, omits_zero=True)
"""Off is the same as not there."""
COUNT = Scalar(go="int32", accepts=(int,), limits=(-(2**31), 2**31 - 1), zero=0, omits_zero=True)
"""Zero is the same as not there."""
INT64 = Scalar(go="int64", accepts=(int,), limits=(-(2**63), 2**63 - 1), zero=0)
INT_OR_STRING = Scalar(go="intstr.IntOrString", accepts=(int, str), limits=(-(2**31), 2**31 - 1), zero=0)
QUANTITY = Scalar(go="resource.Quantity", accepts=(str, int, float), why_not=why_no_quantity, zero="0")
TIME = Scalar(go="v1.Time", accepts=(str,), why_not=why_no_time, render=render_seconds, zero=None)
MICRO_TIME = Scalar(go="v1.MicroTime", accepts=(str,), why_not=why_no_micro_time, render=render_microseconds, zero=None)
OPAQUE = Opaque()
OPAQUES = ListOf(item=OPAQUE)
BYTES = Scalar(go="[]uint8", accepts=(str,), why_not=why_no_base64)
"""In base64."""
STRINGS = ListOf(item=STRING)
STRING_SET = ListOf(item=STRING, is_set=True)
STRING_MAP = MapOf(value=STRING)
BYTES_MAP = MapOf(value=BYTES)
QUANTITIES = MapOf(value=QUANTITY)


def struct(name: str, /, **fields: Type) -> Struct:
    """A Struct; a field whose name is a Python keyword gets a trailing underscore."""
    return Struct(name=name, fields={key.rstrip("_"): value for key, value in fields.items()})


def keyed(item: Type, key: str, *apply_keys: str) -> ListOf:
    """A list whose items a strategic merge patch finds by `key`, and server-side apply by `apply_keys` (default: the same)."""
    return ListOf(item=item, patch_key=key, apply_keys=apply_keys or (key,))


def applied(item: Type, *apply_keys: str) -> ListOf:
    """A list that a strategic merge patch replaces, and whose items server-side apply finds by `apply_keys`."""
    return ListOf(item=item, apply_keys=apply_keys)


def strings(names: str) -> dict[str, Type]:
    """Several text fields."""
    return dict.fromkeys(names.split(), STRING)


def opaques(names: str) -> dict[str, Type]:
    """Several objects that are kept as they are."""
    return dict.fromkeys(names.split(), OPAQUE)
