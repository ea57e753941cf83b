"""What clients got: each path and class over the whole load, and how well it was sent."""

from collections.abc import Mapping
from dataclasses import dataclass


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
