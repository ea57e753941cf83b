"""HostPort: a port of the node leads to the pod on that node, and to no other."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PathParts, PlanContext
from orchestrator.ingress.host_pods import HostPodOptions, plan_host_pod


class HostPort:
    """Client -> gateway -> the node's address and host port -> the portmap plugin's rules -> the pod on that node."""

    kind: ClassVar[str] = "hostport"
    options: ClassVar[type[BaseModel]] = HostPodOptions

    def plan(self, name: str, options: BaseModel, context: PlanContext, index: int) -> PathParts:
        assert isinstance(options, HostPodOptions)
        workloads = [item for item in context.workloads if not item.is_host_network]
        return plan_host_pod(name, self.kind, options, context, workloads, "a hostPort")
