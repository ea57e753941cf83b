"""Options of requests, refused where the API server refuses them.

Source: kubernetes, apimachinery, pkg/apis/meta/v1/validation and pkg/apis/meta/internalversion/validation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from controlplane.api.queries import read_number
from controlplane.deletion import DeleteOptions
from controlplane.errors import FieldError, bad_request, forbidden_field, invalid, invalid_value, unsupported

Query = Mapping[str, str]

VALIDATIONS = ("", "Ignore", "Strict", "Warn")
PROPAGATIONS = ("Foreground", "Background", "Orphan")
MATCH = "resourceVersionMatch"


def _refuse(kind: str, errors: list[FieldError]) -> None:
    if errors:
        raise invalid(kind, "meta.k8s.io", "", errors)


def check_list_options(query: Query) -> None:
    """Raises StatusError 422."""
    _refuse("ListOptions", list(_wrong_with_list(query)))


def _wrong_with_list(query: Query) -> Iterator[FieldError]:
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
    if query.get("sendInitialEvents"):
        yield forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list")


def check_watch_options(query: Query) -> None:
    """Raises StatusError 422."""
    _refuse("ListOptions", list(_wrong_with_watch(query)))


def _wrong_with_watch(query: Query) -> Iterator[FieldError]:
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


def read_dry_run(values: list[str], kind: str) -> bool:
    """`kind`: CreateOptions, UpdateOptions, PatchOptions or DeleteOptions. Raises StatusError 422."""
    if any(value != "All" for value in values):
        _refuse(kind, [unsupported("dryRun", values, ("All",))])
    return bool(values)


def read_validation(query: Query, kind: str, otherwise: str = "Warn") -> str:
    """What becomes of fields that are not known: Ignore, Warn or Strict (KEP-2885). Raises StatusError 422."""
    text = query.get("fieldValidation", "")
    if text not in VALIDATIONS:
        _refuse(kind, [unsupported("fieldValidation", text, VALIDATIONS)])
    return text or otherwise


def decode_delete_options(raw: Any, request: web.BaseRequest) -> DeleteOptions:
    """From a body, with the query's values where the body has none. Raises StatusError 400 or 422."""
    if not isinstance(raw, dict):
        raise bad_request("DeleteOptions must be a JSON object")
    preconditions = raw.get("preconditions") or {}
    grace_s = raw.get("gracePeriodSeconds", read_number(request.query, "gracePeriodSeconds"))
    propagation = raw.get("propagationPolicy") or request.query.get("propagationPolicy")
    orphans = raw.get("orphanDependents")
    dry_run: Any = raw.get("dryRun") or request.query.getall("dryRun", [])
    for name, value, is_right in (
        ("gracePeriodSeconds", grace_s, grace_s is None or type(grace_s) is int),
        ("preconditions", preconditions, isinstance(preconditions, dict)),
        ("dryRun", dry_run, isinstance(dry_run, list)),
    ):
        if not is_right:
            _refuse("DeleteOptions", [invalid_value(name, value, "not a valid value of DeleteOptions")])
    errors = []
    if orphans is not None and propagation is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        errors.append(invalid_value("propagationPolicy", propagation, why))
    if propagation is not None and propagation not in PROPAGATIONS:
        errors.append(unsupported("propagationPolicy", propagation, (*PROPAGATIONS, "nil")))
    _refuse("DeleteOptions", errors)
    return DeleteOptions(
        grace_period_s=grace_s,
        propagation="Orphan" if orphans else propagation or "Background",
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
        is_dry_run=read_dry_run(list(dry_run), "DeleteOptions"),
    )
