"""The plan: everything that a run will do, decided before the first container starts. Must not hold secrets or run ids."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network


class Role(StrEnum):
    """What a container is there for. The only one of its role has its name."""

    CONTROLPLANE = "controlplane"
    GATEWAY = "gateway"
    LOADBALANCER = "loadbalancer"
    CLIENT = "client"
    NODE = "node"
    WARDEN = "warden"


class NetworkName(StrEnum):
    CLIENTS = "clients"
    NODES = "nodes"
    MGMT = "mgmt"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """One bridge network. `router` is the address that Docker's IPAM takes for itself; no container uses it as next hop."""

    name: NetworkName
    subnet: IPv4Network
    router: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    network: NetworkName
    address: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramPlan:
    """A program of the user's own that is put into a container. The plan holds its fingerprint, the file its content."""

    path: str
    """In the container."""
    source: str
    """On the user's machine."""
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPlan:
    """One container. `config` is its /etc/testbed/config.json less run id, token and expiry, which the run adds."""

    name: str
    role: Role
    attachments: tuple[Attachment, ...]
    config: Mapping[str, object]
    at_bring_up: bool = True
    """False: created later, by a step that adds nodes."""
    programs: tuple[ProgramPlan, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Absolute path -> text, put into the container beside its configuration."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    """Over those of compose/testbed.yaml."""

    @property
    def address(self) -> IPv4Address:
        """The address in the first network of its role."""
        return self.attachments[0].address


class Expectation(StrEnum):
    """What a path must answer while nothing is wrong."""

    OK = "ok"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSecretPlan:
    """A Secret of type kubernetes.io/tls that an Ingress names and no manifest holds: the run makes it, by its own authority."""

    namespace: str
    name: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPlan:
    """One ingress path of the run: `name` is the scenario's, `kind` the file in orchestrator/ingress."""

    name: str
    kind: str
    url: str
    expect: Expectation
    service: str
    """Namespace/name of the Service that the path reaches; where none is in the way, of the Deployment or pod."""
    entry_nodes: tuple[str, ...]
    """Nodes through which the path enters the cluster; empty: all of them, chosen by the load balancer."""
    frontend: str | None = None
    """HAProxy backend that serves the path, None without a load balancer."""
    settings: Mapping[str, object] = field(default_factory=dict)
    connect_to: str | None = None
    """The address that is called in place of the URL's host, which stays what is asked for."""
    ca_file: str | None = None
    """In the client: who may sign the certificate of an https URL."""

    @property
    def probe_options(self) -> tuple[str, ...]:
        """Words for `loadtests.probe` besides the URL (docs/contracts.md section 5)."""
        given = (("--connect-to", self.connect_to), ("--ca-file", self.ca_file))
        return tuple(word for option, value in given if value is not None for word in (option, value))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadClassPlan:
    """One Locust user class: an open arrival process of one connection class on one path."""

    path: str
    connection_class: str
    url: str
    rate_rps: float
    connections: int
    arrivals: str = "uniform"
    expect: str = "pod"
    connect_to: str | None = None
    ca_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    duration_s: float
    timeout_s: float
    in_flight_limit: int
    seed: int
    classes: tuple[LoadClassPlan, ...]
    lateness_limit_s: float = 0.010
    """p99 of sent minus intended of every class; beyond it nothing is judged."""
    control_latency_limit_s: float = 0.100
    """p99 of the control probe; beyond it the machine was disturbed and nothing is judged."""

    def classes_of(self, path: str) -> tuple[LoadClassPlan, ...]:
        return tuple(item for item in self.classes if item.path == path)


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerPlan:
    """The event that a step waits for. `of`: a value that one of its fields must have, None: any."""

    event: str
    of: str | None
    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StopPlan:
    """A limit of failed requests of one class of a path, beyond which the run ends early."""

    path: str
    connection_class: str | None
    """None: any class of the path."""
    failed: int
    text: str
    """What the user set as the limit."""
    is_objective: bool
    """Beyond it the path's availability objective cannot be met any more, whatever follows."""


MOMENTARY = frozenset({"gateway-reboot", "lb-reload", "node-reboot", "node-replace", "pod-kill", "rolling-restart", "scale"})
"""Kinds of steps that take no `for`."""
ENDING = frozenset({"node-replace", "rolling-restart"})
"""Kinds of steps, beside those that take their targets down, that end containers on their way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """One strike of the timeline: a fault, or a rescale. Times are seconds from the start of the load."""

    step: str
    kind: str
    at_s: float
    """With `after`: the earliest instant."""
    for_s: float | None
    targets: tuple[str, ...]
    """Container names that the step strikes, adds or removes."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    group: str | None = None
    """Steps of one group strike together: their losses cannot be told apart and are measured as one."""
    after: TriggerPlan | None = None
    kernel_features: tuple[str, ...] = ()
    """What the engine's kernel must have for it, beyond what every testbed needs."""
    fault_ground: tuple[str, ...] = ()
    """What its targets put in place before the baseline (docs/contracts.md section 3)."""
    strikes_control_path: bool = False
    """It also strikes the way of the control probe, which then tells nothing of the machine."""
    takes_down: bool = False
    """Its targets end and are started again: what was armed in them is gone, and they boot."""
    arming_s: float = 0.0
    """Its targets need so long, once it is armed, before it can strike on time; where nothing is said, a moment."""
    returns_s: float = 0.0
    """A program that it has killed is given so long after its end to serve again, before its container is struck anew."""

    @property
    def until_s(self) -> float:
        return self.at_s + (self.for_s or 0.0)

    @property
    def ends_containers(self) -> bool:
        """While it lasts, a container of its targets may not run: somebody has to start it."""
        return self.takes_down or self.kind in ENDING

    @property
    def is_momentary(self) -> bool:
        """What it strikes comes back, or is gone for good, by itself: nothing of it is in place afterwards."""
        return self.kind in MOMENTARY


@dataclass(frozen=True, slots=True, kw_only=True)
class SloPlan:
    """One objective: `<kind> <operator> <threshold>` for a path, or for one connection class of it."""

    path: str
    connection_class: str | None
    kind: str
    text: str
    """As the user wrote it, for example `>= 97%`."""
    operator: str
    threshold: float

    @property
    def subject(self) -> str:
        return self.path if self.connection_class is None else f"{self.path}/{self.connection_class}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingsPlan:
    """The profile's name and every interval in it, in seconds."""

    profile: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Same scenario, seed and address slot: the same plan, byte for byte."""

    scenario: str
    question: str
    seed: int
    slot: int
    trial: int
    timings: TimingsPlan
    cluster: Mapping[str, object]
    """kube-proxy mode and the like, as reported."""
    networks: tuple[NetworkPlan, ...]
    containers: tuple[ContainerPlan, ...]
    objects: tuple[Mapping[str, object], ...]
    """Kubernetes objects of the manifests, applied when the nodes are ready."""
    paths: tuple[PathPlan, ...]
    control_path: str
    load: LoadPlan
    timeline: tuple[StepPlan, ...]
    slos: tuple[SloPlan, ...]
    stops: tuple[StopPlan, ...] = ()
    convergence_validation_s: float = 1.0
    """Every request must be ok for this long before a path counts as converged (RFC 6412 section 3.5.4)."""
    kernel_features: tuple[str, ...] = ()
    """Features of the engine's kernel that the plan needs, beyond those of every testbed."""
    tls_secrets: tuple[TlsSecretPlan, ...] = ()
    """Names only: certificates and keys are the run's."""

    def container(self, name: str) -> ContainerPlan:
        return next(item for item in self.containers if item.name == name)

    def of_role(self, role: Role) -> tuple[ContainerPlan, ...]:
        return tuple(item for item in self.containers if item.role is role)

    def path(self, name: str) -> PathPlan:
        return next(item for item in self.paths if item.name == name)

    def network(self, name: NetworkName) -> NetworkPlan:
        return next(item for item in self.networks if item.name is name)
