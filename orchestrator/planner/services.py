"""What the plan needs to know of the Services and Deployments in the manifests. The control plane validates the rest."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.contracts import ServiceFacts, ServicePortFacts
from orchestrator.errors import Problem, ScenarioError
from orchestrator.planner.external_ips import PoolFullError, assign_external_ips
from orchestrator.scenario.loading import Manifest
from orchestrator.scenario.wording import describe_problems

NODE_PORTS = (30000, 32767)  # kube-apiserver --service-node-port-range, default


class _Part(BaseModel):
    """Part of a Kubernetes object: other fields are the control plane's to judge."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Metadata(_Part):
    name: str
    namespace: str = "default"


class _Port(_Part):
    name: str = ""
    port: int = Field(ge=1, le=65535)
    protocol: str = "TCP"
    node_port: int | None = Field(default=None, alias="nodePort", ge=NODE_PORTS[0], le=NODE_PORTS[1])


class _ServiceSpec(_Part):
    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    cluster_ip: IPv4Address | Literal["None", ""] | None = Field(default=None, alias="clusterIP")
    ports: tuple[_Port, ...] = ()
    external_traffic_policy: str | None = Field(default=None, alias="externalTrafficPolicy")
    load_balancer_class: str | None = Field(default=None, alias="loadBalancerClass")
    load_balancer_ip: IPv4Address | None = Field(default=None, alias="loadBalancerIP")
    external_ips: tuple[IPv4Address, ...] = Field(default=(), alias="externalIPs")

    @property
    def is_ours(self) -> bool:
        """Whether the testbed's load balancer serves it."""
        return self.type == "LoadBalancer" and not self.load_balancer_class


class _Service(_Part):
    metadata: _Metadata
    spec: _ServiceSpec


def read_services(
    manifests: tuple[Manifest, ...], service_network: IPv4Network, external_pool: IPv4Network
) -> dict[str, ServiceFacts]:
    """Services by `namespace/name`, and by `name` where only one has it. Raises ScenarioError naming the manifest file."""
    facts: dict[str, ServiceFacts] = {}
    owners: dict[object, str] = {}
    wanted: dict[str, IPv4Address | None] = {}
    for manifest in manifests:
        if manifest.body["kind"] != "Service":
            continue
        service = _decode(manifest)
        key = f"{service.metadata.namespace}/{service.metadata.name}"
        cluster_ip = service.spec.cluster_ip if isinstance(service.spec.cluster_ip, IPv4Address) else None
        if key in facts:
            _refuse(manifest, "metadata.name", "a second Service of this name", key)
        if cluster_ip is not None:
            if cluster_ip not in service_network:
                _refuse(manifest, "spec.clusterIP", "outside the service network", str(cluster_ip), str(service_network))
            _claim(owners, cluster_ip, key, manifest, "spec.clusterIP")
        for place, port in enumerate(service.spec.ports):
            if port.node_port is not None:
                _claim(owners, port.node_port, key, manifest, f"spec.ports[{place}].nodePort")
        if service.spec.is_ours:
            wanted[key] = address = service.spec.load_balancer_ip
            if address is not None:
                if address not in external_pool:
                    _refuse(manifest, "spec.loadBalancerIP", "outside the external pool", str(address), str(external_pool))
                _claim(owners, address, key, manifest, "spec.loadBalancerIP")
            try:
                assign_external_ips(wanted, external_pool)
            except PoolFullError as error:
                _refuse(manifest, "spec.type", f"no external address is left: {error}", service.spec.type)
        facts[key] = ServiceFacts(
            name=service.metadata.name,
            namespace=service.metadata.namespace,
            service_type=service.spec.type,
            cluster_ip=cluster_ip,
            ports=tuple(
                ServicePortFacts(name=port.name, port=port.port, node_port=port.node_port, protocol=port.protocol)
                for port in service.spec.ports
            ),
            external_ips=service.spec.external_ips,
            is_local=service.spec.external_traffic_policy == "Local",
        )
    for key, address in assign_external_ips(wanted, external_pool).items():
        facts[key] = replace(facts[key], external_ip=address)
    return {**facts, **_by_short_name(facts)}


def _by_short_name(facts: Mapping[str, ServiceFacts]) -> dict[str, ServiceFacts]:
    names = [item.name for item in facts.values()]
    return {item.name: item for item in facts.values() if names.count(item.name) == 1}


def _decode(manifest: Manifest) -> _Service:
    try:
        return _Service.model_validate(manifest.body)
    except ValidationError as error:
        raise ScenarioError(manifest.file, describe_problems(error, _Service, (f"document {manifest.index}",))) from None


def _refuse(manifest: Manifest, key: str, message: str, found: str, allowed: str | None = None) -> NoReturn:
    problem = Problem(key=f"document {manifest.index}.{key}", message=message, found=found, allowed=allowed)
    raise ScenarioError(manifest.file, [problem])


def _claim(owners: dict[object, str], thing: object, owner: str, manifest: Manifest, key: str) -> None:
    previous = owners.setdefault(thing, owner)
    if previous != owner:
        _refuse(manifest, key, f"already taken by Service {previous}", str(thing))
