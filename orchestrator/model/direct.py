"""What a path at one node's own address depends on, as its plan says (`settings.direct`): what metrics and probes read."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.model.plan import PathPlan

KEY = "direct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """The client calls this node, and nobody else answers for it."""

    node: str
    is_local: bool
    """Only pods on that node answer: by hostPort, hostNetwork, or externalTrafficPolicy Local."""

    def to_settings(self) -> dict[str, object]:
        return {"node": self.node, "is_local": self.is_local}


def direct_of(path: PathPlan) -> Direct | None:
    """None where the path does not lead to one node's own address."""
    settings = path.settings.get(KEY)
    if not isinstance(settings, Mapping):
        return None
    return Direct(node=str(settings["node"]), is_local=bool(settings["is_local"]))
