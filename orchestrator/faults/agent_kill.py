"""Agent kill: kubelet and kube-proxy of a node die together, its pods and its rules stay."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PlanContext, World
from orchestrator.faults.arming import NodeFaultOptions, StruckInside, check_node, plan_inside
from orchestrator.faults.revival import REGISTERED, RETURNS_S, RULES_COMMITTED, follow_node
from orchestrator.model.history import Event
from orchestrator.model.plan import StepPlan


class AgentKill(StruckInside):
    """SIGKILL, and no restart before the heal. Evidence: the process is gone; healed, it has registered and written its rules."""

    kind: ClassVar[str] = "agent-kill"
    options: ClassVar[type[BaseModel]] = NodeFaultOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, NodeFaultOptions)
        target = check_node(options.target, context)
        return plan_inside(
            self.kind,
            step,
            at_s,
            for_s,
            target,
            context,
            fault="process-kill",
            parameters={"process": "agent"},
            returns_s=RETURNS_S,
            # The rules of a kube-proxy of the user's own are not the agent's.
            awaits=(REGISTERED,) if context.has_own_kube_proxy else (REGISTERED, RULES_COMMITTED),
        )

    def follow(self, step: StepPlan, world: World, struck: Event, healed: Event) -> str:
        return follow_node(step, world, struck, healed)
