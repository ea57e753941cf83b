"""Whether the proxy keeps up and the node should get traffic (kube-proxy's pkg/proxy/healthcheck, proxy_health)."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from testbed_init.events import Clock

Object = Mapping[str, Any]
TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"
FAMILY = "IPv4"
NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time, as it is encoded."""


class ProxyHealth:
    """Healthy while no update has been waiting for `timeout_s`, and while starting up; eligible while the node is to stay."""

    def __init__(self, *, node: str, timeout_s: float, clock: Clock, now: Callable[[], datetime.datetime]) -> None:
        self._node = node
        self._timeout_ns = round(timeout_s * 1e9)
        self._clock = clock
        self._now = now
        self._queued_ns: int | None = None
        self._updated_at: datetime.datetime | None = None
        self.eligible = True

    def queued(self) -> None:
        """A change came that may need other rules."""
        if self._queued_ns is None:
            self._queued_ns = self._clock()

    def updated(self) -> None:
        """The rules are what the cluster wants."""
        self._queued_ns = None
        self._updated_at = self._now()

    def on_nodes(self, nodes: Collection[Object]) -> None:
        node = next((item for item in nodes if item["metadata"]["name"] == self._node), None)
        self.eligible = node is not None and _is_staying(node)

    @property
    def healthy(self) -> bool:
        if self._updated_at is None or self._queued_ns is None:
            return True
        return self._clock() - self._queued_ns < self._timeout_ns

    def healthz(self) -> tuple[int, str]:
        """Status and body: whether new connections should come to this node."""
        return self._answer(self.healthy and self.eligible, {"nodeEligible": self.eligible})

    def livez(self) -> tuple[int, str]:
        """Status and body: whether the proxy works, whatever becomes of the node."""
        return self._answer(self.healthy, {})

    def _answer(self, good: bool, eligibility: Mapping[str, bool]) -> tuple[int, str]:
        current, updated = render_time(self._now()), NEVER if self._updated_at is None else render_time(self._updated_at)
        body = {
            # Of a good one it is always recent: what asks for it looks for that.
            "lastUpdated": current if good else updated,
            "currentTime": current,
            **eligibility,
            "healthy": self.healthy,
        }
        if self._updated_at is not None:
            body["status"] = {FAMILY: {"lastUpdated": updated, "healthy": self.healthy}}
        return 200 if good else 503, json.dumps(body, separators=(",", ":"))


def _is_staying(node: Object) -> bool:
    taints = (node.get("spec") or {}).get("taints") or ()
    return not node["metadata"].get("deletionTimestamp") and all(taint["key"] != TO_BE_DELETED for taint in taints)


def render_time(instant: datetime.datetime) -> str:
    """RFC 3339 without trailing zeros, as Go writes it."""
    text = instant.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text.rstrip("0").rstrip(".") + "Z"
