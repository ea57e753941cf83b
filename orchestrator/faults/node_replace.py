"""Node replace: a machine is lost for good, and a new one with a new name and address takes its place."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PlanContext, World
from orchestrator.faults.arming import TTL_MARGIN_S, NodeFaultOptions, arm, await_effective, check_node, refuse_end
from orchestrator.faults.power import await_death
from orchestrator.faults.scale import choose_nodes, number_of
from orchestrator.faults.scaling import Rescale
from orchestrator.faults.scaling_down import delete_nodes, report_gone
from orchestrator.faults.scaling_up import add_nodes
from orchestrator.model.plan import StepPlan
from orchestrator.runner.telling import tell


class NodeReplace:
    """Power off on the clock; then the Node and its pods are deleted, as a platform does it that knows, and the new one joins.

    Evidence: every link read back as down, and the engine saw it die. The new node is followed as in a rescale.
    """

    kind: ClassVar[str] = "node-replace"
    options: ClassVar[type[BaseModel]] = NodeFaultOptions
    exclusive: ClassVar[bool] = True

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, NodeFaultOptions)
        refuse_end(for_s, "a replaced node does not come back")
        target = check_node(options.target, context)
        new = _choose_new(target, context)
        return StepPlan(
            step=step,
            kind=self.kind,
            at_s=at_s,
            for_s=None,
            targets=(target, new),
            parameters={"add": [new], "remove": [target], "ttl_s": context.duration_s - at_s + TTL_MARGIN_S},
        )

    def arm(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        arm(step, world, at_mono_ns, "power-off")

    def inject(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        old, new = step.targets
        struck = await_effective(step, world)
        died = await_death(old, world, since_ns=at_mono_ns)
        off = f"{struck.fields.get('evidence')}; the engine saw it die with status {died.fields.get('exit_code')}"
        tell(world, "step-effective", step, evidence=f"{off}; {new} takes its place", at_mono_ns=struck.t_mono_ns)
        world.remove(old, grace_s=0.0)
        delete_nodes((old,), world)
        report_gone(Rescale.exchanging(step, world, remove=(old,)), world)
        add_nodes(Rescale.exchanging(step, world, add=(new,)), world)

    def heal(self, step: StepPlan, world: World) -> None:
        """Disarmed while it lives; gone for good otherwise."""
        if world.is_running(step.targets[0]):
            world.control(step.targets[0], {"op": "heal", "id": step.step})


def _choose_new(target: str, context: PlanContext) -> str:
    """A name that none of the others has had: the lowest number above them all. Where numbers end, the lowest that is free."""
    (lowest,), _ = choose_nodes(len(context.nodes) + 1, context)
    highest = max(number_of(name) for name in (target, *context.nodes))
    above = [name for name in context.all_nodes if number_of(name) > highest]
    return min(above, key=number_of, default=lowest)
