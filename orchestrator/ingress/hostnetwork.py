"""hostNetwork: the pod is in the node's own namespace, and listens at the node's address."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PathParts, PlanContext
from orchestrator.ingress.host_pods import HostPodOptions, plan_host_pod


class HostNetwork:
    """Client -> gateway -> the node's address -> the pod's program. No rule, no translation."""

    kind: ClassVar[str] = "hostnetwork"
    options: ClassVar[type[BaseModel]] = HostPodOptions

    def plan(self, name: str, options: BaseModel, context: PlanContext, index: int) -> PathParts:
        assert isinstance(options, HostPodOptions)
        workloads = [item for item in context.workloads if item.is_host_network]
        return plan_host_pod(name, self.kind, options, context, workloads, "hostNetwork and a containerPort")
