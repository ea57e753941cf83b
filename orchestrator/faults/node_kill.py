"""Node kill: power off. Nothing leaves the node any more, not even a FIN; it returns as the same node, empty."""

from dataclasses import replace
from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PlanContext, World
from orchestrator.faults.arming import NodeFaultOptions, arm, await_effective, plan_node_fault
from orchestrator.faults.power import await_death, heal_by_start
from orchestrator.model.plan import StepPlan
from orchestrator.runner.telling import tell


class NodeKill:
    """Evidence: init read every link back as down before it ended, and the engine saw the container die. Healed by a start."""

    kind: ClassVar[str] = "node-kill"
    options: ClassVar[type[BaseModel]] = NodeFaultOptions
    exclusive: ClassVar[bool] = False

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, NodeFaultOptions)
        return replace(plan_node_fault(self.kind, step, at_s, for_s, options.target, context), takes_down=True)

    def arm(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        arm(step, world, at_mono_ns, "power-off")

    def inject(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        struck = await_effective(step, world)
        died = await_death(step.targets[0], world, since_ns=at_mono_ns)
        evidence = f"{struck.fields.get('evidence')}; the engine saw it die with status {died.fields.get('exit_code')}"
        tell(world, "step-effective", step, evidence=evidence, at_mono_ns=struck.t_mono_ns)

    def heal(self, step: StepPlan, world: World) -> None:
        heal_by_start(step, world)
