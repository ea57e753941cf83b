"""What happened in the testbed: steps, rescales and what containers and servers did."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.model.measurements.requests import Latency


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A node that a step added: seconds from the step's issue until it served, None: never seen."""

    node: str
    ready_s: float | None
    in_load_balancer_s: float | None
    first_answer_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescale:
    """What one path and class lost to one rescale."""

    step: str
    direction: str
    """`up` or `down`."""
    drained: bool
    path: str
    connection_class: str
    issued_s: float
    done_s: float | None
    lost: int
    outcomes: Mapping[str, int]
    latency_before: Latency | None
    latency_during: Latency | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMeasurement:
    """One step of the timeline: planned against effective, with its evidence."""

    step: str
    kind: str
    targets: tuple[str, ...]
    planned_s: float
    effective_s: float | None
    deviation_ms: float | None
    healed_s: float | None
    done_s: float | None
    evidence: str
    failure: str | None
    group: str | None = None
    """Steps of one group struck together and are measured as one: as the first of them that was effective."""
    late_ms: float | None = None
    """After the instant that it was armed for; None: nothing of it was armed. Of several strikes the latest."""
    known_within_ms: float | None = None
    """It struck so long before its effective instant at most; None: not known. Of several strikes the least certain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerUse:
    """CPU of one container in cores, over the load."""

    container: str
    mean_cores: float
    max_cores: float
    max_conntrack_entries: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUse:
    """One server of a load balancer's backend over the load: connections that ended there, and what was tried again."""

    backend: str
    server: str
    connections: int
    retries: int
    redispatches: int
    connection_errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The stop condition that ended the run early."""

    at_s: float
    condition: str
    failed: int
    is_objective: bool
    """The path's availability objective was missed by then, whatever would have followed."""
