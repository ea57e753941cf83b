"""What the plan needs of pods in the manifests that have ports of their nodes. The control plane validates the rest."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.contracts import HostPortFacts, WorkloadFacts
from orchestrator.errors import ScenarioError
from orchestrator.scenario.loading import Manifest
from orchestrator.scenario.wording import describe_problems

HOSTNAME = "kubernetes.io/hostname"


class _Part(BaseModel):
    """Part of a Kubernetes object: other fields are the control plane's to judge."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Metadata(_Part):
    name: str
    namespace: str = "default"


class _Port(_Part):
    name: str = ""
    container_port: int = Field(alias="containerPort")
    host_port: int = Field(default=0, alias="hostPort")
    host_ip: str = Field(default="", alias="hostIP")
    protocol: str = "TCP"


class _Container(_Part):
    ports: tuple[_Port, ...] = ()


class _PodSpec(_Part):
    containers: tuple[_Container, ...] = ()
    host_network: bool = Field(default=False, alias="hostNetwork")
    node_name: str | None = Field(default=None, alias="nodeName")
    node_selector: dict[str, str] = Field(default_factory=dict, alias="nodeSelector")


class _Template(_Part):
    spec: _PodSpec = _PodSpec()


class _Spec(_Part):
    replicas: int = 1
    template: _Template = _Template()


class _Workload(_Part):
    metadata: _Metadata
    spec: _Spec = _Spec()


class _Pod(_Part):
    metadata: _Metadata
    spec: _PodSpec = _PodSpec()


_Model = TypeVar("_Model", _Pod, _Workload)


def read_workloads(manifests: tuple[Manifest, ...]) -> tuple[WorkloadFacts, ...]:
    """Deployments, ReplicaSets and pods with ports of their nodes. Raises ScenarioError naming the manifest file."""
    found = (_read(manifest) for manifest in manifests if manifest.body["kind"] in ("Deployment", "ReplicaSet", "Pod"))
    return tuple(facts for facts in found if facts.host_ports)


def read_replicas(manifests: tuple[Manifest, ...]) -> dict[str, int | None]:
    """Deployments, by `namespace/name`, with the number of pods that each starts with. Raises ScenarioError."""
    return {
        f"{item.metadata.namespace}/{item.metadata.name}": item.spec.replicas
        for item in (_decode(manifest, _Workload) for manifest in manifests if manifest.body["kind"] == "Deployment")
    }


def _read(manifest: Manifest) -> WorkloadFacts:
    item = _decode(manifest, _Pod) if manifest.body["kind"] == "Pod" else _decode(manifest, _Workload)
    pod, replicas = (item.spec.template.spec, item.spec.replicas) if isinstance(item, _Workload) else (item.spec, 1)
    return WorkloadFacts(
        name=item.metadata.name,
        namespace=item.metadata.namespace,
        replicas=replicas,
        is_host_network=pod.host_network,
        host_ports=tuple(_host_ports(pod)),
        node=pod.node_name or pod.node_selector.get(HOSTNAME),
    )


def _decode(manifest: Manifest, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(manifest.body)
    except ValidationError as error:
        where = (f"document {manifest.index}",)
        raise ScenarioError(manifest.file, describe_problems(error, model, where)) from None


def _host_ports(pod: _PodSpec) -> Iterator[HostPortFacts]:
    for container in pod.containers:
        for port in container.ports:
            # In the node's own namespace a container port is a host port, and is everywhere where its program listens.
            number = port.container_port if pod.host_network else port.host_port
            address = None if pod.host_network else _address(port.host_ip)
            if number and port.protocol == "TCP":
                yield HostPortFacts(name=port.name, port=number, address=address)


def _address(text: str) -> IPv4Address | None:
    """None: any. Another family's address is for the control plane and the nodes to judge."""
    try:
        address = IPv4Address(text or "0.0.0.0")
    except ValueError:
        return None
    return None if address.is_unspecified else address
