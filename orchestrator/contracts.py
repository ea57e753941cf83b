"""All seams of the orchestrator, as Protocols. No behaviour here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import ClassVar, Protocol

from pydantic import BaseModel

from orchestrator.model.history import Event
from orchestrator.model.measurements import Measurements
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import PathPlan, Plan, SloPlan, StepPlan
from orchestrator.render.bird import Announcement
from orchestrator.render.keepalived import VirtualAddress


class Clock(Protocol):
    """The engine's CLOCK_MONOTONIC and waiting on it."""

    def now_mono_ns(self) -> int: ...

    def sleep_until_mono_ns(self, t_mono_ns: int) -> None:
        """Return at the instant, or at once when the run is being interrupted (raises InterruptedRunError)."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PathParts:
    """A planned path and what it needs of the gateway, the load balancer, the nodes and its Service."""

    path: PathPlan
    gateway_routes: tuple[Mapping[str, object], ...] = ()
    """`{"to": CIDR, "via": address}` or `{"to": CIDR, "nexthops": [address, ...]}`."""
    gateway_sysctls: Mapping[str, str] = field(default_factory=dict)
    """Of the gateway's network namespace: two paths of a run must want the same."""
    frontends: tuple[Mapping[str, object], ...] = ()
    """docs/contracts.md section 3, loadbalancer."""
    announcements: tuple[Announcement, ...] = ()
    """What every node tells the gateway by BGP."""
    virtual_addresses: tuple[VirtualAddress, ...] = ()
    """What the nodes take over from each other by VRRP."""
    external_ips: Mapping[str, tuple[IPv4Address, ...]] = field(default_factory=dict)
    """Service -> addresses that the plan adds to its spec.externalIPs."""


class IngressPath(Protocol):
    """One way in. Pure: plans, never touches the world. One file in orchestrator/ingress, one line in the registry."""

    kind: ClassVar[str]
    options: ClassVar[type[BaseModel]]

    def plan(self, name: str, options: BaseModel, context: PlanContext, index: int) -> PathParts:
        """`index` counts the paths of this kind. Raises ValueError with a message for the user's file."""
        ...


class Kube(Protocol):
    """The Kubernetes API as the orchestrator uses it; objects are decoded JSON. Raises ClusterError (an InternalError)."""

    def get(self, resource: str, name: str, *, namespace: str | None = None) -> Mapping[str, object] | None: ...

    def list(
        self, resource: str, *, namespace: str | None = None, label_selector: str | None = None
    ) -> tuple[Mapping[str, object], ...]: ...

    def apply(self, manifest: Mapping[str, object]) -> Mapping[str, object]:
        """Create, or merge-patch when it exists."""
        ...

    def patch(
        self,
        resource: str,
        name: str,
        body: Mapping[str, object],
        *,
        namespace: str | None = None,
        subresource: str | None = None,
    ) -> Mapping[str, object]: ...

    def delete(self, resource: str, name: str, *, namespace: str | None = None, grace_period_s: int | None = None) -> None: ...

    def evict(self, pod: str, *, namespace: str) -> None: ...


class Stop(Protocol):
    """Tells every wait to end; `threading.Event` is one."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float) -> bool: ...


class Spawned(Protocol):
    """A process that the orchestrator started in a container; its output goes to the history and the logs as it comes."""

    @property
    def has_ended(self) -> bool: ...

    def wait(self, deadline_s: float) -> None:
        """Until it ends. Raises CommandError for a status other than 0, DeadlineError, InterruptedRunError."""
        ...


class World(Protocol):
    """A running testbed, as faults, rescales and the load see it. Every wait ends with the world's stop."""

    @property
    def plan(self) -> Plan: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def kube(self) -> Kube: ...

    def under(self, stop: Stop) -> "World":
        """The same world, whose waits end when `stop` is set instead."""
        ...

    def control(self, container: str, request: Mapping[str, object]) -> Mapping[str, object]:
        """One request to the container's init (docs/contracts.md section 3). Raises EngineError or CommandError."""
        ...

    def execute(self, container: str, argv: Sequence[str], *, deadline_s: float) -> str:
        """Run a command in a container and return its standard output. Raises CommandError, DeadlineError."""
        ...

    def spawn(self, container: str, argv: Sequence[str]) -> Spawned:
        """Start a command in a container and follow its output."""
        ...

    def put(self, container: str, files: Mapping[str, bytes]) -> None:
        """Write files (absolute path -> content) into a container."""
        ...

    def fetch(self, container: str, path: str, into: Path) -> None:
        """Copy a file or directory out of a container, running or stopped, to `into`. Raises EngineError when it is not there."""
        ...

    def is_running(self, container: str) -> bool: ...

    def start(self, container: str) -> None:
        """Start a stopped container of the run again, with its addresses and files."""
        ...

    def revive_later(self, containers: Sequence[str], after_s: float) -> None:
        """Of a run that outlives this process: those that have ended by then, and that nobody has started since, start again."""
        ...

    def create(self, *containers: str) -> None:
        """Create and start planned containers that were not there at bring-up, all at once."""
        ...

    def remove(self, *containers: str, grace_s: float) -> None:
        """Stop (SIGTERM, then SIGKILL after `grace_s`) and remove containers of the run; their logs are kept."""
        ...

    def emit(self, event: str, *, at_mono_ns: int | None = None, **fields: object) -> Event:
        """Write to the history as `orchestrator`, at that instant or now."""
        ...

    def wait_event(
        self,
        condition: Callable[[Event], bool],
        *,
        since_ns: int,
        deadline_s: float,
        what: str,
        state: Callable[[], str] | None = None,
    ) -> Event:
        """The first event from `since_ns` on that meets the condition, which is asked once for each, in order of arrival.

        Raises DeadlineError with `state()`, or with the last events; InterruptedRunError.
        """
        ...

    def wait_state(
        self, fold: Callable[[Event], object], lacking: Callable[[], Sequence[str]], *, deadline_s: float, what: str
    ) -> None:
        """Fold every event so far and then each new one, until nothing lacks; states of the past are not asked for.

        Raises DeadlineError with what lacks; InterruptedRunError.
        """
        ...


class Load(Protocol):
    """The load of a run: already started and waiting for its instant."""

    def begin(self, start_mono_ns: int) -> None:
        """Give the instant at which the first request is due."""
        ...

    def wait_finished(self, world: World) -> None:
        """Until every request is recorded. Raises DeadlineError, CommandError, InterruptedRunError."""
        ...

    def stop(self) -> None:
        """End early and keep what was recorded; does nothing when it has ended."""
        ...


class Action(Protocol):
    """One kind of timeline entry: a fault, or a rescale. One file in orchestrator/faults, one line in the registry.

    The runner calls `arm` some seconds before the step's instant, `inject` at the instant, and `heal` at its end and on every way
    out; `heal` is idempotent. `inject` reports `step-effective` and `heal` reports `step-healed`, with evidence, through the
    world, or they raise: a step without evidence makes the trial INVALID.
    """

    kind: ClassVar[str]
    options: ClassVar[type[BaseModel]]
    exclusive: ClassVar[bool]
    """Steps of this kind never overlap: the later one waits, and the history shows its delay."""

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        """Pure. Raises ValueError with a message for the user's file."""
        ...

    def arm(self, step: StepPlan, world: World, at_mono_ns: int) -> None: ...

    def inject(self, step: StepPlan, world: World, at_mono_ns: int) -> None: ...

    def heal(self, step: StepPlan, world: World) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """Every kind that a scenario can name; made in orchestrator/registry.py and handed down."""

    paths: Mapping[str, IngressPath]
    actions: Mapping[str, Action]
    parse_objective: Callable[[str, object, str], SloPlan]
    """(kind, value as written, path or path/class) -> objective. Raises ValueError with words for the user's file."""
    slos: Mapping[str, "Slo"]


class About(StrEnum):
    """What an objective is measured on: a timeline without it leaves nothing to measure."""

    LOAD = "load"
    FAULT = "fault"
    RESCALE = "rescale"


class Slo(Protocol):
    """One kind of objective. One file in orchestrator/slo, one line in its table."""

    kind: ClassVar[str]
    about: ClassVar[About]
    unit: ClassVar[str]
    """`ratio`, `s`, `ms`, `count` or `bool`: how its text is read."""
    unbounded: ClassVar[str]
    """What is said of an infinite measurement."""
    meaning: ClassVar[str]

    def measure(self, slo: SloPlan, measurements: Measurements) -> float | None:
        """The number that the threshold is held against; None when it was not measured. Worst class, worst step."""
        ...


class ReportFormat(Protocol):
    """One rendering of a run's outcome. Pure. One file in orchestrator/report, one line in the registry."""

    name: ClassVar[str]
    file: ClassVar[str]
    """Its file in the run directory."""

    def render(self, outcome: Outcome, plan: Plan) -> str: ...
