"""Load balancer pause: HAProxy hangs; the kernel goes on accepting connections that nobody serves."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PlanContext
from orchestrator.faults.arming import NoOptions, StruckInside, plan_inside
from orchestrator.model.plan import Role, StepPlan


class LbPause(StruckInside):
    """SIGSTOP; evidence: the process state, read back."""

    kind: ClassVar[str] = "lb-pause"
    options: ClassVar[type[BaseModel]] = NoOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        return plan_inside(
            self.kind,
            step,
            at_s,
            for_s,
            Role.LOADBALANCER,
            context,
            fault="process-pause",
            parameters={"process": "haproxy"},
        )
