"""What the API server decides itself at a write: allocations, tolerations, a Node's first taint, an Ingress' default class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Network

from controlplane.allocation.pod_cidrs import NoCidrError, pick_pod_cidr
from controlplane.allocation.services import ServiceAllocator
from controlplane.errors import forbidden
from controlplane.objects import Object, annotations_of, name_of, spec_of
from controlplane.store.store import Store

Admit = Callable[[Object, Object | None], None]
"""Completes an object in place; the second argument is its state before, None at creation. Raises StatusError."""


def keep_admitted(item: Object, before: Object | None) -> None:
    """Nothing is completed."""


NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
INGRESS_CLASS = "kubernetes.io/ingress.class"
DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"


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
        add_default_tolerations(pod["spec"], toleration_s)

    def admit_ingress(ingress: Object, before: Object | None) -> None:
        if before is not None or spec_of(ingress).get("ingressClassName") or INGRESS_CLASS in annotations_of(ingress):
            return
        if name := find_default_class(store.items("ingressclasses")):
            ingress["spec"]["ingressClassName"] = name

    return {"nodes": admit_node, "pods": admit_pod, "services": services.admit, "ingresses": admit_ingress}


def find_default_class(classes: Iterable[Object]) -> str | None:
    """Of several the newest, then the first by name (plugin DefaultIngressClass)."""
    marked = sorted((item for item in classes if annotations_of(item).get(DEFAULT_CLASS) == "true"), key=name_of)
    newest = max(marked, key=lambda item: str(item["metadata"].get("creationTimestamp") or ""), default=None)
    return None if newest is None else name_of(newest)


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
