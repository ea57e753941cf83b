"""What a scenario can name: ingress paths, actions, objectives and report formats, each kind one file and one line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address
from typing import ClassVar, Protocol

from pydantic import BaseModel

from orchestrator.contracts.context import PlanContext
from orchestrator.contracts.world import World
from orchestrator.model.measurements import Measurements
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import PathPlan, Plan, SloPlan, StepPlan
from orchestrator.render.bird import Announcement
from orchestrator.render.keepalived import VirtualAddress


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
