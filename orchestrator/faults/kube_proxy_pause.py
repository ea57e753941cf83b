"""Kube-proxy pause: a node's rule writer hangs; its rules stay as they are, its kubelet and its pods go on."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PlanContext
from orchestrator.faults.arming import NodeFaultOptions, StruckInside
from orchestrator.faults.rule_writer import plan_rule_writer
from orchestrator.model.plan import StepPlan


class KubeProxyPause(StruckInside):
    """Rules go stale, and its health checks are never answered; healed, it catches up. Evidence: its state, read back."""

    kind: ClassVar[str] = "kube-proxy-pause"
    options: ClassVar[type[BaseModel]] = NodeFaultOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        return plan_rule_writer(self.kind, step, at_s, for_s, options, context, state="paused", process_fault="process-pause")
