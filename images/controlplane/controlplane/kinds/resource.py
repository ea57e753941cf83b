"""What the API needs to know about a resource: one value each, nothing else in the API depends on the kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from controlplane.field_errors import FieldError
from controlplane.objects import Object
from controlplane.schema.types import Struct

Cell = Callable[[Object, datetime], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column that `kubectl get` prints; priority 1 only with `-o wide`."""

    name: str
    cell: Cell
    type: str = "string"
    format: str = ""
    priority: int = 0


def no_defaults(item: Object) -> None:
    """Nothing is filled in."""


def no_rules(item: Object, before: Object | None) -> Iterable[FieldError]:
    """Everything is valid."""
    return ()


def keep_created(item: Object) -> None:
    """The object is stored as the client sent it."""


def keep_updated(item: Object, before: Object) -> None:
    """The change is stored as the client sent it."""


ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One line of the registry.

    `default` fills in what the client left out, in place; `validate` yields what is wrong with an object and with the change from
    the one before; `prepare_create` resets what only the cluster may set, `prepare_update` carries over what the client left out.
    """

    kind: str
    plural: str
    schema: Struct
    columns: tuple[Column, ...]
    group: str = ""
    version: str = "v1"
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    is_namespaced: bool = True
    verbs: tuple[str, ...] = ALL_VERBS
    has_status: bool = False
    keeps_status_on_create: bool = False
    has_generation: bool = False
    creates_on_update: bool = False
    needs_version: bool = False
    """Whether a replacement must say which version it replaces (strategies, AllowUnconditionalUpdate)."""
    selectable: Mapping[str, str] = field(default_factory=dict)
    """Field selectors beyond metadata.name and metadata.namespace, with their default value."""
    default: Callable[[Object], None] = no_defaults
    validate: Callable[[Object, Object | None], Iterable[FieldError]] = no_rules
    prepare_create: Callable[[Object], None] = keep_created
    prepare_update: Callable[[Object, Object], None] = keep_updated
    name_rule: str = "subdomain"
    to_stored: Callable[[Object], Object] | None = None
    from_stored: Callable[[Object], Object] | None = None
    """Where two groups show the same objects: how this one's differ from the stored ones."""

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def group_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def stored(self) -> str:
        """The name of the collection in the store."""
        return self.plural
