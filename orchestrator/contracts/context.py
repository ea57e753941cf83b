"""What is decided before paths and faults are planned: the facts that they plan with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """What a path needs of one Service of the manifests."""

    name: str
    namespace: str
    service_type: str
    cluster_ip: IPv4Address | None
    ports: tuple["ServicePortFacts", ...]
    external_ip: IPv4Address | None = None
    """Of a Service of type LoadBalancer that the testbed's own load balancer serves: the address that the plan asks for."""
    external_ips: tuple[IPv4Address, ...] = ()
    """spec.externalIPs of the manifest: every node's rules serve them, and who leads packets there is the user's concern."""
    is_local: bool = False
    """externalTrafficPolicy Local: a node forwards to its own pods only."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePortFacts:
    name: str
    port: int
    node_port: int | None
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressRuleFacts:
    """One path of one rule."""

    host: str
    """Empty: every host."""
    path: str
    is_exact: bool
    service: str | None
    """Namespace and name; None: a resource that is no Service."""
    port: int | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressFacts:
    """What a path needs of one Ingress of the manifests."""

    name: str
    namespace: str
    rules: tuple[IngressRuleFacts, ...]
    default: IngressRuleFacts | None
    tls_hosts: tuple[str, ...]
    """Hosts that it has a certificate for."""
    secrets: Mapping[str, tuple[str, ...]]
    """Name of a TLS Secret -> hosts of its certificate."""
    foreign_class: str | None = None
    """What gives it to another controller: file, key and class; None: the load balancer serves it."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPortFacts:
    """A TCP port of the node that leads to a pod: its `hostPort`, or with hostNetwork where its program listens."""

    name: str
    port: int
    address: IPv4Address | None
    """The only address of the node that leads there; None: every one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadFacts:
    """What a path needs of pods that the manifests make and that are reached at their nodes' own addresses."""

    name: str
    namespace: str
    replicas: int
    is_host_network: bool
    host_ports: tuple[HostPortFacts, ...]
    node: str | None
    """The only node that its pods may be on."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanContext:
    """What is decided before paths and faults are planned."""

    nodes: Mapping[str, IPv4Address]
    """Nodes at the start."""
    all_nodes: Mapping[str, IPv4Address]
    """And those that the timeline adds."""
    services: Mapping[str, ServiceFacts]
    """By `namespace/name` and, when unambiguous, by `name`."""
    service_network: IPv4Network
    pod_network: IPv4Network
    gateway_on_clients: IPv4Address
    gateway_on_nodes: IPv4Address
    loadbalancer: IPv4Address
    duration_s: float
    controlplane: IPv4Address
    client: IPv4Address
    virtual_addresses: tuple[IPv4Address, ...] = ()
    """Of the node network, for nodes to take over from each other."""
    further_external: tuple[IPv4Address, ...] = ()
    """Of the client network, for Services that several paths lead to with different settings of the load balancer."""
    frontends: tuple[Mapping[str, object], ...] = ()
    """Of the paths that are planned before."""
    networks: tuple[IPv4Network, ...] = ()
    """All in which the run has addresses of its own."""
    ingresses: tuple[IngressFacts, ...] = ()
    """Of the manifests, in their order."""
    workloads: tuple[WorkloadFacts, ...] = ()
    """Of the manifests, in their order: those with host ports."""
    replicas: Mapping[str, int | None] = field(default_factory=dict)
    """Deployments of the manifests (`namespace/name`) -> their pods at that instant; None: not known."""
    has_own_kube_proxy: bool = False
    """A program of the user's own writes the nodes' rules, as a process of its own."""
