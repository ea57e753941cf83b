"""Kube-proxy pause: a node's rule writer hangs; its rules stay as they are, its kubelet and its pods go on."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PlanContext
from orchestrator.faults.arming import NodeFaultOptions, StruckInside, check_node, plan_inside
from orchestrator.model.plan import StepPlan
from orchestrator.planner.kube_proxy import KUBE_PROXY


class KubeProxyPause(StruckInside):
    """Rules go stale, and its health checks are never answered; healed, it catches up. Evidence: its state, read back."""

    kind: ClassVar[str] = "kube-proxy-pause"
    options: ClassVar[type[BaseModel]] = NodeFaultOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, NodeFaultOptions)
        target = check_node(options.target, context)
        # The testbed's own rule writer is a part of the agent's process; the user's is a process.
        fault, parameters = "rule-writer", {"state": "paused"}
        if context.has_own_kube_proxy:
            fault, parameters = "process-pause", {"process": KUBE_PROXY}
        return plan_inside(self.kind, step, at_s, for_s, target, context, fault=fault, parameters=parameters)
