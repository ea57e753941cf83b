"""The kinds of Kubernetes objects that the control plane serves, as manifests name them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceKind:
    plural: str
    api_versions: tuple[str, ...]
    """The first is the one that is read again."""
    is_namespaced: bool = True

    def place(self, api_version: str | None = None) -> str:
        """The path that the collections of a version are below."""
        version = api_version or self.api_versions[0]
        return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _kind(plural: str, *api_versions: str, is_namespaced: bool = True) -> ResourceKind:
    return ResourceKind(plural=plural, api_versions=api_versions, is_namespaced=is_namespaced)


KINDS: Mapping[str, ResourceKind] = {
    "ConfigMap": _kind("configmaps", "v1"),
    "Deployment": _kind("deployments", "apps/v1"),
    "EndpointSlice": _kind("endpointslices", "discovery.k8s.io/v1"),
    "Endpoints": _kind("endpoints", "v1"),
    "Event": _kind("events", "v1", "events.k8s.io/v1"),
    "Ingress": _kind("ingresses", "networking.k8s.io/v1", "extensions/v1beta1"),
    "IngressClass": _kind("ingressclasses", "networking.k8s.io/v1", is_namespaced=False),
    "Lease": _kind("leases", "coordination.k8s.io/v1"),
    "Namespace": _kind("namespaces", "v1", is_namespaced=False),
    "Node": _kind("nodes", "v1", is_namespaced=False),
    "Pod": _kind("pods", "v1"),
    "PodDisruptionBudget": _kind("poddisruptionbudgets", "policy/v1"),
    "ReplicaSet": _kind("replicasets", "apps/v1"),
    "Secret": _kind("secrets", "v1"),
    "Service": _kind("services", "v1"),
    "ServiceCIDR": _kind("servicecidrs", "networking.k8s.io/v1", is_namespaced=False),
}
BY_PLURAL: Mapping[str, ResourceKind] = {kind.plural: kind for kind in KINDS.values()}
