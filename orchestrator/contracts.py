"""All seams of the orchestrator, as Protocols. No behaviour here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import ClassVar, Protocol

from pydantic import BaseModel

from orchestrator.model.history import Event
from orchestrator.model.plan import PathPlan, Plan, SloPlan, StepPlan


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PathParts:
    """A planned path and what it needs of the gateway and the load balancer."""

    path: PathPlan
    gateway_routes: tuple[Mapping[str, str], ...] = ()
    """`{"to": CIDR, "via": address}`."""
    frontends: tuple[Mapping[str, object], ...] = ()
    """docs/contracts.md section 3, loadbalancer."""


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


class World(Protocol):
    """A running testbed, as faults and rescales see it."""

    plan: Plan
    clock: Clock
    kube: Kube

    def control(self, container: str, request: Mapping[str, object]) -> Mapping[str, object]:
        """One request to the container's init (docs/contracts.md section 3). Raises EngineError or CommandError."""
        ...

    def start(self, container: str) -> None:
        """Start a stopped container of the run again, with its addresses and files."""
        ...

    def create(self, container: str) -> None:
        """Create and start a planned container that was not there at bring-up."""
        ...

    def remove(self, container: str, *, grace_s: float) -> None:
        """Stop (SIGTERM, then SIGKILL after `grace_s`) and remove a container of the run; its log is kept."""
        ...

    def emit(self, event: str, **fields: object) -> None:
        """Write to the history as `orchestrator`, at this instant."""
        ...

    def wait_event(self, condition: Callable[[Event], bool], *, since_ns: int, deadline_s: float, what: str) -> Event:
        """The first event from `since_ns` on that meets the condition. Raises DeadlineError with the last events."""
        ...


class Action(Protocol):
    """One kind of timeline entry: a fault, or a rescale. One file in orchestrator/faults, one line in the registry.

    The runner calls `arm` well before the step's instant, then `inject` at `lead_s` before it, then `heal` at its end and on
    every way out; `heal` is idempotent. Each reports `step-effective` / `step-healed` with evidence through the world, or
    raises: a step without evidence makes the trial INVALID.
    """

    kind: ClassVar[str]
    options: ClassVar[type[BaseModel]]

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
