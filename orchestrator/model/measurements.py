"""What was measured in one trial. Frozen numbers with their units; None means that there was nothing to measure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

TOLERANCE_S = 0.25
"""Scheduling and reporting on a busy machine: what ended this much beside its bounds still fits them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Percentiles in ms, from the intended instant. Time-outs are censored: they count with the time that was waited."""

    count: int
    censored: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of an outage: its instant from the start of the load, and the event that tells it."""

    name: str
    at_s: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One cause of an outage's losses: how long it lasted, beside what the plan's timings let expect. Seconds from the fault."""

    cause: str
    lost: int
    sent: int
    """Requests of the class while the cause lasted, or in the whole window where it has no end."""
    took_s: float | None
    """None: it has no instant of ending, or it did not end inside the window."""
    earliest_s: float | None
    latest_s: float | None
    """None: the plan's timings set no such limit."""
    why: str

    @property
    def is_expected(self) -> bool | None:
        """Whether it ended when the plan's timings let expect it; None where they say nothing, or it has no end."""
        if self.took_s is None or (self.earliest_s is None and self.latest_s is None):
            return None
        latest_s = float("inf") if self.latest_s is None else self.latest_s
        return (self.earliest_s or 0.0) - TOLERANCE_S <= self.took_s <= latest_s + TOLERANCE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How an outage ended, as `Outage` says it of all its losses."""

    convergence_s: float | None
    last_loss_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What one path and class lost to one fault. Instants in seconds from the start of the load; durations in seconds."""

    step: str
    kind: str
    path: str
    connection_class: str
    effective_s: float
    window_end_s: float
    """Up to the next step's effective instant, or the end of the load."""
    resolution_s: float
    failed: int
    outcomes: Mapping[str, int]
    first_loss_s: float | None
    """None: nothing was lost. A request that was on its way when the fault struck counts from that instant."""
    first_recovery_s: float | None
    converged: bool
    """Whether a span of `convergence_validation_s` without a failure followed, inside the window."""
    convergence_s: float | None
    """From the effective instant to the start of that span; 0 when nothing was lost; None: not converged."""
    outage_s: float | None
    """Loss of connectivity: from the first failed request to the start of that span; None: not converged."""
    total_outage_s: float
    """Time in bins without any success (RFC 6201: total loss)."""
    brownout_s: float
    """Time in bins with some success and some failure."""
    loss_derived_s: float
    """Failed requests / rate (RFC 6412 section 3.5.2), a cross-check that assumes total loss."""
    stages: tuple[Stage, ...] = ()
    attribution: Mapping[str, int] = field(default_factory=dict)
    """Failed requests by what explains them: entry, endpoint, established, next hop, unexplained."""
    explanations: tuple[Explanation, ...] = ()
    """One for each cause."""
    bound_s: float | None = None
    """Until when, from the effective instant, the plan's settings let a loss happen; None: they set no limit."""
    bound_why: str = ""
    last_loss_s: float | None = None
    """Later than the sustained instant where a later stage of the same fault cost single requests."""
    of_the_fault: Recovery | None = None
    """Without the losses to stale entries, which an earlier loss left in a node's connection table; None: there were none."""

    @property
    def is_within_bound(self) -> bool | None:
        """Whether it converged, and lost nothing more, when the plan lets expect it, to its resolution; None where the plan says
        nothing. What is lost after it was sustained counts as well: the bound is one of the last loss. What an earlier loss has
        left is not this fault's (`of_the_fault`)."""
        if self.bound_s is None:
            return None
        ended = self.of_the_fault or Recovery(convergence_s=self.convergence_s, last_loss_s=self.last_loss_s)
        last_s = 0.0 if ended.last_loss_s is None else ended.last_loss_s - self.effective_s
        latest_s = self.bound_s + self.resolution_s + TOLERANCE_S
        return ended.convergence_s is not None and max(ended.convergence_s, last_s) <= latest_s


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
class ClassMeasurement:
    """One path and connection class over the whole load."""

    path: str
    connection_class: str
    rate_rps: float
    resolution_s: float
    sent: int
    ok: int
    refused: int
    outcomes: Mapping[str, int]
    retried: int
    """Requests that were sent again on a fresh connection, as RFC 9110 section 9.2.2 allows."""
    availability_ratio: float | None
    time_availability_ratio: float | None
    latency: Latency | None
    latency_before: Latency | None
    latency_during: Latency | None
    latency_after: Latency | None
    share_by_pod: Mapping[str, float]
    share_by_node: Mapping[str, float]
    lost_outside: int = 0
    """Failed requests that belong to no fault and no rescale."""
    balance_ratio: float | None = None
    """Jain's fairness index of the ok requests per pod before the first step: 1 when each answered as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderQuality:
    """How well one class was sent: lateness is sent minus intended."""

    path: str
    connection_class: str
    sent: int
    recorded: int
    lateness_p50_ms: float
    lateness_p99_ms: float
    lateness_max_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadQuality:
    classes: tuple[SenderQuality, ...]
    bound_reached: bool
    complete: bool
    """The sender reported its totals: it was not killed."""
    control_sent: int
    control_failed: int
    control_p99_ms: float | None


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
class SourceSeen:
    """Whose address the pods saw behind one path, in the requests that a pod answered."""

    path: str
    requests: int
    share_by_owner: Mapping[str, float]
    """`client`, `node`, `load balancer`, `gateway`, `other`: most first."""
    addresses: tuple[str, ...]
    source_kept: bool | None
    """Whether every pod saw the client's own address; None: no pod told one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One bin of the series that the report draws."""

    at_s: float
    sent: int
    ok: int
    p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    path: str
    connection_class: str
    bin_s: float
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The stop condition that ended the run early."""

    at_s: float
    condition: str
    failed: int
    is_objective: bool
    """The path's availability objective was missed by then, whatever would have followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    classes: tuple[ClassMeasurement, ...]
    steps: tuple[StepMeasurement, ...]
    outages: tuple[Outage, ...]
    rescales: tuple[Rescale, ...]
    served: tuple[Served, ...]
    load: LoadQuality
    containers: tuple[ContainerUse, ...]
    series: tuple[Series, ...]
    servers: tuple[ServerUse, ...] = ()
    sources: tuple[SourceSeen, ...] = ()
    stopped: Stopped | None = None

    def of(self, path: str, connection_class: str | None = None) -> tuple[ClassMeasurement, ...]:
        return tuple(item for item in self.classes if item.path == path and connection_class in (None, item.connection_class))


NOTHING_MEASURED = Measurements(
    classes=(),
    steps=(),
    outages=(),
    rescales=(),
    served=(),
    load=LoadQuality(classes=(), bound_reached=False, complete=False, control_sent=0, control_failed=0, control_p99_ms=None),
    containers=(),
    series=(),
)
"""Of a run that broke off before there was anything to measure."""
