"""What faults cost: outages, their stages and their causes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

TOLERANCE_S = 0.25
"""Scheduling and reporting on a busy machine: what ended this much beside its bounds still fits them."""


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
