"""Kube-proxy kill: a node's rule writer dies; its rules stay as they are, its kubelet and its pods go on."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PlanContext, World
from orchestrator.faults.arming import NodeFaultOptions, StruckInside
from orchestrator.faults.revival import RETURNS_S, RULES_COMMITTED, follow_node
from orchestrator.faults.rule_writer import plan_rule_writer
from orchestrator.model.history import Event
from orchestrator.model.plan import StepPlan


class KubeProxyKill(StruckInside):
    """Nobody answers for it any more, and rules go stale; healed, it starts with a full sync. Evidence: it is gone."""

    kind: ClassVar[str] = "kube-proxy-kill"
    options: ClassVar[type[BaseModel]] = NodeFaultOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        return plan_rule_writer(
            self.kind,
            step,
            at_s,
            for_s,
            options,
            context,
            state="ended",
            process_fault="process-kill",
            returns_s=RETURNS_S,
            awaits=(RULES_COMMITTED,),
        )

    def follow(self, step: StepPlan, world: World, struck: Event, healed: Event) -> str:
        return follow_node(step, world, struck, healed)
