"""No-op: the control of every experiment. It goes all the way of a fault and changes nothing."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PlanContext, World
from orchestrator.faults.arming import NodeFaultOptions, arm, heal_and_tell, inject_and_tell, plan_node_fault
from orchestrator.model.plan import StepPlan


class NoOp:
    """Whatever is measured around it is the testbed's own noise."""

    kind: ClassVar[str] = "no-op"
    options: ClassVar[type[BaseModel]] = NodeFaultOptions
    exclusive: ClassVar[bool] = False

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, NodeFaultOptions)
        return plan_node_fault(self.kind, step, at_s, for_s, options.target, context)

    def arm(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        arm(step, world, at_mono_ns, "no-op")

    def inject(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        inject_and_tell(step, world)

    def heal(self, step: StepPlan, world: World) -> None:
        heal_and_tell(step, world)
