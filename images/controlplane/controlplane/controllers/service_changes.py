"""What the service controller says of a Service that has changed in what a load balancer looks at. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.kinds.service_type import type_of
from controlplane.objects import Object, spec_of


def describe_changes(old: Object, new: Object) -> Iterator[tuple[str, str]]:
    """Reason and message of each Event (cloud-provider, controllers/service/controller.go, needsUpdate)."""
    kinds = type_of(old), type_of(new)
    if "LoadBalancer" not in kinds:
        return
    if kinds[0] != kinds[1]:
        yield "Type", f"{kinds[0]} -> {kinds[1]}"
        return  # there they are told of one after the other, and this one is the first
    before, after = spec_of(old), spec_of(new)
    compared: tuple[tuple[str, str, Any], ...] = (
        ("LoadBalancerSourceRanges", "loadBalancerSourceRanges", []),
        ("LoadbalancerIP", "loadBalancerIP", ""),
        ("ExternalTrafficPolicy", "externalTrafficPolicy", ""),
        ("HealthCheckNodePort", "healthCheckNodePort", 0),
    )
    for reason, field, empty in compared:
        was, now = before.get(field) or empty, after.get(field) or empty
        if was != now:
            yield reason, f"{_show(was)} -> {_show(now)}"
    counts = [len(spec.get("externalIPs") or ()) for spec in (before, after)]
    if counts[0] != counts[1]:
        yield "ExternalIP", f"Count: {counts[0]} -> {counts[1]}"


def _show(value: object) -> str:
    """As Go prints it."""
    return f"[{' '.join(value)}]" if isinstance(value, list) else str(value)
