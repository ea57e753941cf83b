"""What the API server decides itself at a write, after validation: allocations, tolerations, the first taint of a Node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Network

from controlplane.allocation.pod_cidrs import NoCidrError, pick_pod_cidr
from controlplane.allocation.services import ServiceAllocator
from controlplane.errors import forbidden
from controlplane.objects import Object, name_of, spec_of
from controlplane.store.store import Store

Admit = Callable[[Object, Object | None], None]
"""Completes an object in place; the second argument is its state before, None at creation. Raises StatusError."""

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"


def make_admissions(
    *, store: Store, services: ServiceAllocator, cluster_cidr: IPv4Network, mask_size: int, toleration_s: float
) -> Mapping[str, Admit]:
    """By the plural of what they complete."""

    def admit_node(node: Object, before: Object | None) -> None:
        spec = node.setdefault("spec", {})
        if before is None:
            add_taint(spec, {"key": NOT_READY, "effect": "NoSchedule"})
        if not spec.get("podCIDR"):
            spec["podCIDR"] = str(_pod_cidr(node))
        spec["podCIDRs"] = [spec["podCIDR"]]

    def _pod_cidr(node: Object) -> IPv4Network:
        used = [IPv4Network(cidr) for other in store.items("nodes") if (cidr := spec_of(other).get("podCIDR"))]
        try:
            return pick_pod_cidr(name_of(node), cluster_cidr=cluster_cidr, mask_size=mask_size, used=used)
        except NoCidrError as error:
            raise forbidden("", "nodes", name_of(node), str(error)) from None

    def admit_pod(pod: Object, before: Object | None) -> None:
        if before is None:
            add_default_tolerations(pod["spec"], toleration_s)

    return {"nodes": admit_node, "pods": admit_pod, "services": services.admit}


def add_taint(spec: Object, taint: Object) -> None:
    """Raises nothing when the taint is there already."""
    taints = spec.setdefault("taints", [])
    if not any(entry.get("key") == taint["key"] and entry.get("effect") == taint["effect"] for entry in taints):
        taints.append(taint)


def add_default_tolerations(spec: Object, toleration_s: float) -> None:
    """Every pod outlives its node's absence for a while (plugin DefaultTolerationSeconds)."""
    tolerations = spec.setdefault("tolerations", [])
    for key in (NOT_READY, UNREACHABLE):
        if not any(
            entry.get("key") in (key, "", None) and entry.get("effect") in ("NoExecute", "", None) for entry in tolerations
        ):
            # tolerationSeconds is a whole number in the API.
            toleration = {
                "key": key,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": max(1, round(toleration_s)),
            }
            tolerations.append(toleration)
