"""What a cluster has from its first moment: namespaces, its own Service, and what the plan wants there before the API answers."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from controlplane.cluster import PROTECTED_NAMESPACES, Cluster
from controlplane.errors import StatusError
from controlplane.kinds.configuration import NAMESPACES
from controlplane.kinds.endpoints import ENDPOINT_SLICES, ENDPOINTS, SERVICE_LABEL
from controlplane.kinds.ingress import SERVICE_CIDRS
from controlplane.kinds.registry import find_kind
from controlplane.kinds.resource import Resource
from controlplane.kinds.service import SERVICES
from controlplane.objects import Object
from controlplane.schema.decoding import MalformedError, decode
from controlplane.settings import SettingsError


def create_first_objects(cluster: Cluster, *, service_cidr: IPv4Network, api_ip: IPv4Address, api_port: int) -> None:
    """Create what is missing; after a restart that is nothing."""
    for name in sorted(PROTECTED_NAMESPACES):
        _ensure(cluster, NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    _ensure(
        cluster,
        SERVICE_CIDRS,
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "ServiceCIDR",
            "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": [str(service_cidr)]},
        },
    )
    metadata = {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}}
    _ensure(
        cluster,
        SERVICES,
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "clusterIP": str(service_cidr[1]),
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": api_port}],
            },
        },
    )
    if api_ip.is_loopback:
        return  # an API of this machine alone: loopback addresses are no endpoints
    port = {"name": "https", "port": api_port, "protocol": "TCP"}
    _ensure(
        cluster,
        ENDPOINT_SLICES,
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {SERVICE_LABEL: "kubernetes"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [str(api_ip)], "conditions": {"ready": True}}],
            "ports": [port],
        },
    )
    subset = {"addresses": [{"ip": str(api_ip)}], "ports": [port]}
    _ensure(
        cluster,
        ENDPOINTS,
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
            },
            "subsets": [subset],
        },
    )


def create_planned_objects(cluster: Cluster, objects: Iterable[Object]) -> None:
    """Create the objects of the configuration that do not exist yet.

    Raises:
        SettingsError: one cannot be created; the message names it.
    """
    for index, raw in enumerate(objects):
        where = f"objects[{index}]"
        resource = find_kind(str(raw.get("apiVersion")), str(raw.get("kind")))
        if resource is None:
            raise SettingsError(f"{where}: unknown kind {raw.get('apiVersion')}/{raw.get('kind')}")
        try:
            _ensure(cluster, resource, raw)
        except (MalformedError, StatusError) as error:
            raise SettingsError(f"{where}: {error}") from error


def _ensure(cluster: Cluster, resource: Resource, raw: Object) -> None:
    item, _ = decode(resource.schema, raw)
    metadata = item.setdefault("metadata", {})
    if resource.is_namespaced:
        metadata.setdefault("namespace", "default")
    if cluster.store.find(resource.stored, metadata.get("namespace", ""), metadata.get("name", "")) is None:
        cluster.create(resource, item)
