"""Load balancer kill: HAProxy dies; connections are reset and new ones refused until it is started again."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PlanContext, World
from orchestrator.faults.arming import NoOptions, StruckInside, plan_inside
from orchestrator.faults.revival import RETURNS_S, follow_haproxy
from orchestrator.model.history import Event
from orchestrator.model.plan import Role, StepPlan


class LbKill(StruckInside):
    """SIGKILL; healed by its agent, which starts it again on SIGHUP. Evidence: the process is gone; healed, it answers."""

    kind: ClassVar[str] = "lb-kill"
    options: ClassVar[type[BaseModel]] = NoOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        return plan_inside(
            self.kind,
            step,
            at_s,
            for_s,
            Role.LOADBALANCER,
            context,
            fault="process-kill",
            parameters={"process": "haproxy", "reviver": "lb", "revive_signal": "HUP"},
            returns_s=RETURNS_S,
        )

    def follow(self, step: StepPlan, world: World, struck: Event, healed: Event) -> str:
        return follow_haproxy(world, struck, healed)
