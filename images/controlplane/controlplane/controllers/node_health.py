"""What is known of each node's heartbeats, and what follows for the cluster: who is overdue, how fast to evict. No writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from controlplane.objects import Object, condition, condition_status, labels_of, name_of, spec_of
from controlplane.settings import Timings
from controlplane.store.history import Change, ChangeType

LEASE_NAMESPACE = "kube-node-lease"
ZONE_LABEL = "topology.kubernetes.io/zone"
UNHEALTHY_RATIO = 0.55
UNHEALTHY_MINIMUM = 3


@dataclass(slots=True, kw_only=True)
class _Heartbeat:
    lease: str | None
    status: str | None
    seen_ns: int


class Heartbeats:
    """When each node was last heard of, by our own clock: clocks of nodes are not trusted (node_lifecycle_controller.go)."""

    def __init__(self) -> None:
        self._known: dict[str, _Heartbeat] = {}

    def observe(self, change: Change, now_ns: int) -> None:
        """Take notice of a Lease's or a Node's commit."""
        if change.plural == "leases" and change.item["metadata"].get("namespace") == LEASE_NAMESPACE:
            known = self._of(name_of(change.item), now_ns)
            renewed = spec_of(change.item).get("renewTime")
            if change.type is not ChangeType.DELETED and renewed != known.lease:
                known.lease, known.seen_ns = renewed, now_ns
        elif change.plural == "nodes":
            if change.type is ChangeType.DELETED:
                self._known.pop(name_of(change.item), None)
                return
            known = self._of(name_of(change.item), now_ns)
            reported = (condition(change.item, "Ready") or {}).get("lastHeartbeatTime")
            if reported != known.status:
                known.status, known.seen_ns = reported, now_ns

    def age_s(self, node: str, now_ns: int) -> float:
        """Seconds since the node was last heard of; one never heard of counts from now."""
        return (now_ns - self._of(node, now_ns).seen_ns) / 1e9

    def _of(self, node: str, now_ns: int) -> _Heartbeat:
        return self._known.setdefault(node, _Heartbeat(lease=None, status=None, seen_ns=now_ns))


def is_overdue(node: Object, age_s: float, timings: Timings) -> bool:
    """Whether the node's silence is longer than its grace; a node that never reported has a longer one."""
    reported = condition(node, "Ready") is not None
    return age_s > (timings.node_monitor_grace_period_s if reported else timings.node_startup_grace_period_s)


class ZoneState(StrEnum):
    NORMAL = "Normal"
    PARTIAL = "PartialDisruption"
    FULL = "FullDisruption"


def zone_of(node: Object) -> str:
    return labels_of(node).get(ZONE_LABEL, "")


def judge_zones(nodes: Iterable[Object]) -> Mapping[str, ZoneState]:
    """The state of each zone (node_lifecycle_controller.go, ComputeZoneState)."""
    counts: dict[str, list[int]] = {}
    for node in nodes:
        counts.setdefault(zone_of(node), [0, 0])[condition_status(node, "Ready") != "True"] += 1
    states = {}
    for zone, (ready, broken) in counts.items():
        if ready == 0 and broken > 0:
            states[zone] = ZoneState.FULL
        elif broken >= UNHEALTHY_MINIMUM and broken / (ready + broken) >= UNHEALTHY_RATIO:
            states[zone] = ZoneState.PARTIAL
        else:
            states[zone] = ZoneState.NORMAL
    return states


@dataclass(slots=True, kw_only=True)
class TokenBucket:
    """One eviction at once, then `rate_per_s` (client-go, flowcontrol.NewTokenBucketRateLimiter with burst 1)."""

    rate_per_s: float
    next_ns: int = 0

    def take(self, now_ns: int) -> bool:
        if now_ns < self.next_ns:
            return False
        self.next_ns = now_ns + round(1e9 / self.rate_per_s)
        return True
