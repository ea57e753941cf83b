"""Node kill: power off. Nothing leaves the node any more, not even a FIN; it returns as the same node, empty."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PlanContext, World
from orchestrator.faults.arming import NodeFaultOptions, arm, await_effective, plan_node_fault
from orchestrator.model.history import Event
from orchestrator.model.plan import StepPlan
from orchestrator.runner.telling import tell

DIE_DEADLINE_S = 10.0
BOOT_DEADLINE_S = 20.0


class NodeKill:
    """Evidence: init read every link back as down before it ended, and the engine saw the container die. Healed by a start."""

    kind: ClassVar[str] = "node-kill"
    options: ClassVar[type[BaseModel]] = NodeFaultOptions
    exclusive: ClassVar[bool] = False

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, NodeFaultOptions)
        return plan_node_fault(self.kind, step, at_s, for_s, options.target, context)

    def arm(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        arm(step, world, at_mono_ns, "power-off")

    def inject(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        node = step.targets[0]
        struck = await_effective(step, world)
        died = world.wait_event(
            lambda event: _is_death(event, node),
            # The engine's wall clock is mapped, not measured: it may place the death a moment before its cause.
            since_ns=at_mono_ns - 1_000_000_000,
            deadline_s=DIE_DEADLINE_S,
            what=f"the death of {node}",
        )
        evidence = f"{struck.fields.get('evidence')}; the engine saw it die with status {died.fields.get('exit_code')}"
        tell(world, "step-effective", step, evidence=evidence, at_mono_ns=struck.t_mono_ns)

    def heal(self, step: StepPlan, world: World) -> None:
        node = step.targets[0]
        if world.is_running(node):
            world.control(node, {"op": "heal", "id": step.step})
            tell(world, "step-healed", step, evidence="running; disarmed")
            return
        since_ns = world.clock.now_mono_ns()
        world.start(node)
        booted = world.wait_event(
            lambda event: event.event == "booted" and event.container == node,
            since_ns=since_ns,
            deadline_s=BOOT_DEADLINE_S,
            what=f"the boot of {node}",
        )
        tell(world, "step-healed", step, evidence="booted, routes set", at_mono_ns=booted.t_mono_ns)


def _is_death(event: Event, node: str) -> bool:
    return event.event == "engine" and event.fields.get("action") == "die" and event.fields.get("container") == node
