"""The conditions that a kubelet reports of its node, with its reasons and messages (pkg/kubelet/nodestatus/setters.go). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

READY = "Ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    type: str
    status: str
    reason: str
    message: str
    event: str
    """The reason of the Event that tells of its beginning."""

    def render(self, held: Mapping[str, Any] | None, now: str) -> dict[str, str]:
        """`held` is the condition as the API has it: only a change of its status is a transition."""
        same = held is not None and held.get("status") == self.status
        return {
            "type": self.type,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "lastHeartbeatTime": now,
            "lastTransitionTime": str(held.get("lastTransitionTime") or now) if held is not None and same else now,
        }


PRESSURES = (
    Condition(
        type="MemoryPressure",
        status="False",
        reason="KubeletHasSufficientMemory",
        message="kubelet has sufficient memory available",
        event="NodeHasSufficientMemory",
    ),
    Condition(
        type="DiskPressure",
        status="False",
        reason="KubeletHasNoDiskPressure",
        message="kubelet has no disk pressure",
        event="NodeHasNoDiskPressure",
    ),
    Condition(
        type="PIDPressure",
        status="False",
        reason="KubeletHasSufficientPID",
        message="kubelet has sufficient PID available",
        event="NodeHasSufficientPID",
    ),
)
"""Nothing here evicts: a node's memory, disk and process numbers are the machine's."""


def describe_ready(*, is_ready: bool) -> Condition:
    if is_ready:
        return Condition(
            type=READY, status="True", reason="KubeletReady", message="kubelet is posting ready status", event="NodeReady"
        )
    message = "service rules are not committed yet"
    return Condition(type=READY, status="False", reason="KubeletNotReady", message=message, event="NodeNotReady")
