"""What a cluster has from its first moment: namespaces, its own Service, and what the plan wants there before the API answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv4Network

from controlplane.cluster import PROTECTED_NAMESPACES, Cluster
from controlplane.errors import StatusError
from controlplane.kinds.configuration import NAMESPACES
from controlplane.kinds.endpoints import ENDPOINT_SLICES, ENDPOINTS, SERVICE_LABEL
from controlplane.kinds.registry import find_kind
from controlplane.kinds.resource import Resource
from controlplane.kinds.service import SERVICES
from controlplane.kinds.service_cidr import SERVICE_CIDRS
from controlplane.objects import Key, Object, is_terminating, key_of, name_of
from controlplane.schema.decoding import MalformedError, decode
from controlplane.settings import SettingsError
from controlplane.store.history import Change

NAME = "kubernetes"
SERVICE_KEY: Key = ("default", NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiService:
    """Where the API is, and what stands for it in the cluster."""

    service_cidr: IPv4Network
    ip: IPv4Address
    port: int

    def objects(self) -> Iterator[tuple[Resource, Object]]:
        """The ServiceCIDR, the Service and its endpoints."""
        cidr = {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": NAME}}
        yield SERVICE_CIDRS, {**cidr, "spec": {"cidrs": [str(self.service_cidr)]}}
        metadata = {"name": NAME, "namespace": "default"}
        labels = {"component": "apiserver", "provider": "kubernetes"}
        service_port = {"name": "https", "port": 443, "protocol": "TCP", "targetPort": self.port}
        spec = {"clusterIP": str(self.service_cidr[1]), "ports": [service_port]}
        yield SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": {**metadata, "labels": labels}, "spec": spec}
        if self.ip.is_loopback:
            return  # an API of this machine alone: loopback addresses are no endpoints
        port = {"name": "https", "port": self.port, "protocol": "TCP"}
        yield (
            ENDPOINT_SLICES,
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {**metadata, "labels": {SERVICE_LABEL: NAME}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [str(self.ip)], "conditions": {"ready": True}}],
                "ports": [port],
            },
        )
        yield (
            ENDPOINTS,
            {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": {**metadata, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
                "subsets": [{"addresses": [{"ip": str(self.ip)}], "ports": [port]}],
            },
        )


def create_first_objects(cluster: Cluster, api_service: ApiService) -> None:
    """Create what is missing; after a restart that is nothing."""
    for name in sorted(PROTECTED_NAMESPACES):
        _ensure(cluster, NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for resource, raw in api_service.objects():
        _ensure(cluster, resource, raw)


class ApiServiceKeeper:
    """Makes the Service `kubernetes` and its endpoints again when somebody has deleted them, and sets the endpoints right.

    Source: kubernetes, pkg/controlplane/controller/kubernetesservice and pkg/controlplane/reconcilers: there every 10 s.
    """

    def __init__(self, *, cluster: Cluster, api_service: ApiService) -> None:
        self._cluster = cluster
        self._api_service = api_service

    def affected(self, change: Change) -> Iterable[Key]:
        if change.plural in ("services", "endpoints", "endpointslices", "servicecidrs") and name_of(change.item) == NAME:
            yield SERVICE_KEY

    def reconcile(self, key: Key) -> None:
        del key  # there is one
        for resource, raw in self._api_service.objects():
            wanted = decode(resource.schema, raw)[0]
            found = self._cluster.store.find(resource.stored, *key_of(wanted))
            if found is None:
                _ensure(self._cluster, resource, raw)
            elif resource in (ENDPOINT_SLICES, ENDPOINTS) and not is_terminating(found):
                resource.default(wanted)
                # The ports of the Service itself are set right at the start only, by neither.
                content: Object = {name: wanted[name] for name in ("endpoints", "ports", "subsets") if name in wanted}
                self._cluster.update(resource, key_of(wanted), partial(_merge, content))


def _merge(content: Object, before: Object) -> Object:
    return {**before, **content}


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
