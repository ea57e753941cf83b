"""Options of requests in their queries and bodies, refused as the API server refuses them.

Source: apimachinery, pkg/apis/meta/v1/validation (writes), pkg/apis/meta/internalversion/validation (lists and watches).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from multidict import MultiMapping

from controlplane.deletion import DeleteOptions
from controlplane.errors import StatusError, bad_request, invalid
from controlplane.field_errors import FieldError, forbidden_field, invalid_value, required, too_long, unsupported
from controlplane.schema.decoding import name_type

Query = MultiMapping[str]
FIELD_MANAGER_LIMIT_BYTES = 128
VALIDATIONS = ("", "Ignore", "Strict", "Warn")
PROPAGATIONS = ("Foreground", "Background", "Orphan")
MATCH = "resourceVersionMatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """CreateOptions, UpdateOptions or PatchOptions of `meta/v1`. `validation`: empty for the default of the request's kind."""

    is_dry_run: bool
    validation: str
    manager: str


def read_write_options(query: Query, kind: str, *, is_apply: bool = False) -> WriteOptions:
    """`kind`: `CreateOptions`, `UpdateOptions` or `PatchOptions`. Raises StatusError 422."""
    manager, dry_run = query.get("fieldManager", ""), query.getall("dryRun", [])
    validation = query.get("fieldValidation", "")
    errors: list[FieldError] = []
    if kind == "PatchOptions" and not is_apply and "force" in query:
        errors.append(forbidden_field("force", "may not be specified for non-apply patch"))
    if is_apply and not manager:
        errors.append(required("fieldManager", "is required for apply patch"))
    errors += _check_manager(manager)
    errors += _check_dry_run(dry_run)
    if validation not in VALIDATIONS:
        errors.append(unsupported("fieldValidation", validation, VALIDATIONS))
    if errors:
        raise _refuse(kind, errors)
    return WriteOptions(is_dry_run=bool(dry_run), validation=validation, manager=manager)


def _check_manager(manager: str) -> Iterator[FieldError]:
    if len(manager.encode()) > FIELD_MANAGER_LIMIT_BYTES:
        yield too_long("fieldManager", FIELD_MANAGER_LIMIT_BYTES)
    for index, char in enumerate(manager):
        if not char.isprintable():
            at = len(manager[:index].encode())
            yield invalid_value("fieldManager", manager, f"invalid character U+{ord(char):04X} (at position {at})")


def _check_dry_run(values: list[str]) -> Iterator[FieldError]:
    if any(value != "All" for value in values):
        yield unsupported("dryRun", values, ("All",))


def _refuse(kind: str, errors: list[FieldError]) -> StatusError:
    return invalid(kind, "meta.k8s.io", "", errors)


def check_list_options(query: Mapping[str, str]) -> None:
    """Raises StatusError 422."""
    if errors := list(_wrong_with_list(query)):
        raise _refuse("ListOptions", errors)


def _wrong_with_list(query: Mapping[str, str]) -> Iterator[FieldError]:
    match, version = query.get(MATCH, ""), query.get("resourceVersion", "")
    if match:
        if not version:
            yield forbidden_field(MATCH, f"{MATCH} is forbidden unless resourceVersion is provided")
        if query.get("continue"):
            yield forbidden_field(MATCH, f"{MATCH} is forbidden when continue is provided")
        if match not in ("Exact", "NotOlderThan"):
            yield unsupported(MATCH, match, ("Exact", "NotOlderThan", ""))
        if match == "Exact" and version == "0":
            yield forbidden_field(MATCH, f'{MATCH} "exact" is forbidden for resourceVersion "0"')
    if "sendInitialEvents" in query:
        yield forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list")


def check_watch_options(query: Mapping[str, str]) -> None:
    """Raises StatusError 422."""
    if errors := list(_wrong_with_watch(query)):
        raise _refuse("ListOptions", errors)


def _wrong_with_watch(query: Mapping[str, str]) -> Iterator[FieldError]:
    match = query.get(MATCH, "")
    if "sendInitialEvents" in query and match != "NotOlderThan":
        yield forbidden_field(MATCH, f"sendInitialEvents requires setting {MATCH} to NotOlderThan")
    if match:
        if "sendInitialEvents" not in query:
            yield forbidden_field(MATCH, f"{MATCH} is forbidden for watch unless sendInitialEvents is provided")
        if match != "NotOlderThan":
            yield unsupported(MATCH, match, ("NotOlderThan",))
        if query.get("continue"):
            yield forbidden_field(MATCH, f"{MATCH} is forbidden when continue is provided")


def decode_delete_options(raw: Any, query: Query, grace_s: int | None) -> DeleteOptions:
    """From a body, or from the query where there is none (None). Raises StatusError 400, 422 or 500.

    `grace_s`: the query's gracePeriodSeconds.
    """
    if raw is None:
        raw = {"gracePeriodSeconds": grace_s, "dryRun": query.getall("dryRun", [])}
        raw["propagationPolicy"] = query.get("propagationPolicy") or None
        if (orphan := query.get("orphanDependents")) is not None:
            raw["orphanDependents"] = orphan.lower() not in ("false", "0")
    _check_types(raw)
    policy, orphans = raw.get("propagationPolicy"), raw.get("orphanDependents")
    errors: list[FieldError] = []
    if orphans is not None and policy is not None:
        errors.append(invalid_value("propagationPolicy", policy, "orphanDependents and deletionPropagation cannot be both set"))
    if policy is not None and policy not in PROPAGATIONS:
        errors.append(unsupported("propagationPolicy", policy, (*PROPAGATIONS, "nil")))
    dry_run = raw.get("dryRun") or []
    errors += _check_dry_run(dry_run)
    if errors:
        raise _refuse("DeleteOptions", errors)
    preconditions = raw.get("preconditions") or {}
    return DeleteOptions(
        grace_period_s=raw.get("gracePeriodSeconds"),
        propagation=policy or ("Orphan" if orphans else "Background"),
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
        is_dry_run=bool(dry_run),
    )


_TYPES: Mapping[str, tuple[type, str]] = {
    "gracePeriodSeconds": (int, "int64"),
    "propagationPolicy": (str, "v1.DeletionPropagation"),
    "orphanDependents": (bool, "bool"),
    "preconditions": (dict, "v1.Preconditions"),
    "dryRun": (list, "[]string"),
}


def _check_types(raw: Any) -> None:
    if not isinstance(raw, dict):
        raise bad_request("DeleteOptions must be a JSON object")
    kind, version = raw.get("kind") or "DeleteOptions", str(raw.get("apiVersion") or "v1")
    if kind != "DeleteOptions":
        scheme = "pkg/apis/meta/internalversion/scheme/register.go:27"
        raise bad_request(f'no kind "{kind}" is registered for version "{version}" in scheme "{scheme}"')
    for name, (wanted, go) in _TYPES.items():
        value = raw.get(name)
        if value is not None and (not isinstance(value, wanted) or isinstance(value, bool) != (wanted is bool)):
            raise bad_request(f"json: cannot unmarshal {name_type(value)} into Go struct field DeleteOptions.{name} of type {go}")
    texts = [*(raw.get("preconditions") or {}).values(), *(raw.get("dryRun") or ())]
    for value in texts:
        if not isinstance(value, str | None):
            raise bad_request(f"json: cannot unmarshal {name_type(value)} into Go value of type string")
