"""Uplink down: the node lives and works, and nobody can reach it."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PlanContext, World
from orchestrator.faults.arming import NodeFaultOptions, arm, heal_and_tell, inject_and_tell, plan_node_fault
from orchestrator.model.plan import StepPlan


class LinkDown:
    """The uplinks set down by netlink; evidence: the link states read back. Healed, the routes are back as well."""

    kind: ClassVar[str] = "link-down"
    options: ClassVar[type[BaseModel]] = NodeFaultOptions
    exclusive: ClassVar[bool] = False

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, NodeFaultOptions)
        return plan_node_fault(self.kind, step, at_s, for_s, options.target, context)

    def arm(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        arm(step, world, at_mono_ns, "link-down")

    def inject(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        inject_and_tell(step, world)

    def heal(self, step: StepPlan, world: World) -> None:
        heal_and_tell(step, world)
