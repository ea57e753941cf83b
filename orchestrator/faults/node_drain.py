"""Node drain: `kubectl drain` and, healed, `kubectl uncordon`. The node itself lives on."""

from typing import ClassVar

from pydantic import BaseModel, Field

from orchestrator.contracts import PlanContext, World
from orchestrator.faults.admission import admit, check_drain_period, guard_admission
from orchestrator.faults.arming import NodeFaultOptions, plan_node_fault
from orchestrator.faults.scaling import Rescale
from orchestrator.faults.scaling_down import empty_nodes
from orchestrator.model.plan import StepPlan
from orchestrator.runner.telling import tell
from orchestrator.scenario.quantities import DurationS


class NodeDrainOptions(NodeFaultOptions):
    drain_period: DurationS = Field(default=2.0, validate_default=False, description="for what still flows when it is drained")


class NodeDrain:
    """Cordoned, out of the load balancer, pods evicted. Evidence: no endpoint on it, and none of its in any node's rules."""

    kind: ClassVar[str] = "node-drain"
    options: ClassVar[type[BaseModel]] = NodeDrainOptions
    exclusive: ClassVar[bool] = True

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, NodeDrainOptions)
        if len(context.nodes) == 1:
            raise ValueError("target: the only node's pods have nowhere to go; allowed: with two nodes or more")
        period_s = options.drain_period
        check_drain_period(period_s, for_s)
        return plan_node_fault(self.kind, step, at_s, for_s, options.target, context, drain_period_s=period_s)

    def arm(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        """Only its end: it is drained when its turn comes."""
        guard_admission(step.targets[0], step, world, at_mono_ns, drain_period_s=_drain_period_s(step))

    def inject(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        began_ns = world.clock.now_mono_ns()
        empty_nodes(Rescale.exchanging(step, world, remove=step.targets, drain_period_s=_drain_period_s(step)), world)
        took_s = (world.clock.now_mono_ns() - began_ns) / 1e9
        evidence = f"{step.targets[0]} without endpoints after {took_s:.1f} s, none of its in the rules of any node"
        tell(world, "step-effective", step, evidence=evidence, at_mono_ns=began_ns)

    def heal(self, step: StepPlan, world: World) -> None:
        """Pods do not move back by themselves, as in Kubernetes."""
        admit(step.targets[0], step, world)
        tell(world, "step-healed", step, evidence="schedulable, and back in the load balancer")


def _drain_period_s(step: StepPlan) -> float:
    period_s = step.parameters["drain_period_s"]
    assert isinstance(period_s, float)
    return period_s
