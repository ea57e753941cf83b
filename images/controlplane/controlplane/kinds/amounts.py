"""Amounts of compute resources: what they are worth, and the rules for those that containers ask for and nodes have.

Source: kubernetes, pkg/apis/core/validation (validateResourceRequirements, ValidateResourceQuantityValue), pkg/apis/core/helper.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from controlplane.field_errors import FieldError, invalid_value, required
from controlplane.kinds.names import check_qualified_key
from controlplane.objects import Object, containers_of

_PARTS = re.compile(r"([+-]?[0-9.]+)(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?[0-9]+))?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
STANDARD = frozenset({"cpu", "memory", "ephemeral-storage"})
"""What a container can ask for without naming whose resource it is; huge pages beside."""
COUNTED = frozenset(
    {
        *("pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims"),
        *("services.nodeports", "services.loadbalancers"),
    }
)
MEASURED_FOR_QUALITY = ("cpu", "memory")


def read_amount(amount: Any) -> Fraction:
    """The value of a quantity that is one (schema/texts.py)."""
    match = _PARTS.fullmatch(str(amount).strip())
    if match is None:
        raise ValueError(f"{amount!r} is no quantity")
    number, binary, decimal, exponent = match.groups()
    value = Fraction(number.rstrip(".") if number.endswith(".") else number)
    if binary:
        return value * Fraction(1024) ** (_BINARY.index(binary) + 1)
    return value * Fraction(10) ** (_DECIMAL[decimal] if decimal else int(exponent or 0))


def is_extended(name: str) -> bool:
    """A resource that devices offer: counted, and never overcommitted."""
    return "/" in name and "kubernetes.io/" not in name and not name.startswith("requests.")


def check_amount(name: str, amount: Any, field: str) -> Iterator[FieldError]:
    value = read_amount(amount)
    if value < 0:
        yield invalid_value(field, str(amount), "must be greater than or equal to 0")
    if (name in COUNTED or is_extended(name)) and value.denominator != 1:
        yield invalid_value(field, str(amount), "must be an integer")


def check_amounts(amounts: Mapping[str, Any] | None, field: str) -> Iterator[FieldError]:
    """Of a node: what it has."""
    for name, amount in (amounts or {}).items():
        yield from check_amount(name, amount, f"{field}.{name}")


def check_container_resources(resources: Object, field: str) -> Iterator[FieldError]:
    limits = resources.get("limits") or {}
    for name, amount in limits.items():
        yield from _check_name(name, f"{field}.limits[{name}]")
        yield from check_amount(name, amount, f"{field}.limits[{name}]")
    for name, amount in (resources.get("requests") or {}).items():
        yield from _check_name(name, f"{field}.requests[{name}]")
        yield from check_amount(name, amount, f"{field}.requests[{name}]")
        may_differ = not is_extended(name) and not name.startswith("hugepages-")
        if name not in limits:
            if not may_differ:
                yield required(f"{field}.limits", "Limit must be set for non overcommitable resources")
            continue
        value, limit = read_amount(amount), read_amount(limits[name])
        if value != limit and not may_differ:
            yield invalid_value(f"{field}.requests", str(amount), f"must be equal to {name} limit of {limits[name]}")
        elif value > limit:
            yield invalid_value(f"{field}.requests", str(amount), f"must be less than or equal to {name} limit of {limits[name]}")


def _check_name(name: str, field: str) -> Iterator[FieldError]:
    errors = list(check_qualified_key(name, field))
    yield from errors
    if errors or "/" in name or name in STANDARD or name.startswith("hugepages-"):
        return
    if name not in COUNTED:
        yield invalid_value(field, name, "must be a standard resource type or fully qualified")
    yield invalid_value(field, name, "must be a standard resource for containers")


def default_requests(pod_spec: Object) -> None:
    """A pod's container asks for what it is limited to, unless it says what (core/v1/defaults.go, SetDefaults_Pod)."""
    for container in [*(pod_spec.get("initContainers") or ()), *containers_of(pod_spec)]:
        resources = container.get("resources") or {}
        for name, amount in (resources.get("limits") or {}).items():
            resources.setdefault("requests", {}).setdefault(name, amount)


def quality_of(pod_spec: Object) -> str:
    """The pod's quality of service (pkg/apis/core/v1/helper/qos, ComputePodQOS)."""
    containers = [*(pod_spec.get("initContainers") or ()), *containers_of(pod_spec)]
    asked = [container.get("resources") or {} for container in containers]
    shares = [(_measured(resources.get("limits")), _measured(resources.get("requests"))) for resources in asked]
    if not any(limits or requests for limits, requests in shares):
        return "BestEffort"
    if all(len(limits) == len(MEASURED_FOR_QUALITY) and limits == requests for limits, requests in shares):
        return "Guaranteed"
    return "Burstable"


def _measured(amounts: Mapping[str, Any] | None) -> dict[str, Fraction]:
    found = {name: read_amount(amount) for name, amount in (amounts or {}).items() if name in MEASURED_FOR_QUALITY}
    return {name: value for name, value in found.items() if value > 0}
