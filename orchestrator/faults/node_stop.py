"""Node stop: a shutdown in order, as an administrator does it; drained first, or not. Healed by a start."""

from typing import ClassVar

from pydantic import BaseModel, Field, StrictBool

from orchestrator.contracts import PlanContext, World
from orchestrator.faults.admission import admit, check_drain_period, guard_admission, refuse_idle_period
from orchestrator.faults.arming import NodeFaultOptions, arm, check_node, plan_inside
from orchestrator.faults.power import await_orderly_end, heal_by_start, stop_in_order
from orchestrator.faults.scaling import Rescale
from orchestrator.faults.scaling_down import empty_nodes
from orchestrator.model.plan import StepPlan
from orchestrator.runner.telling import tell
from orchestrator.scenario.quantities import DurationS


class NodeStopOptions(NodeFaultOptions):
    drain: StrictBool = Field(default=False, description="first out of the load balancer, pods away; then it stops")
    drain_period: DurationS = Field(default=2.0, validate_default=False, description="for what still flows when it is drained")


class NodeStop:
    """SIGTERM to init on the clock; with `drain` as soon as the node is empty. Evidence: init's report, and the engine's `die`
    with status 0."""

    kind: ClassVar[str] = "node-stop"
    options: ClassVar[type[BaseModel]] = NodeStopOptions
    exclusive: ClassVar[bool] = False

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, NodeStopOptions)
        target = check_node(options.target, context)
        if options.drain and len(context.nodes) == 1:
            raise ValueError("drain: the only node's pods have nowhere to go; allowed: false")
        refuse_idle_period(options, drain=options.drain)
        if options.drain:
            check_drain_period(options.drain_period, for_s)
        parameters = {"drain": options.drain, "drain_period_s": options.drain_period}
        return plan_inside(
            self.kind, step, at_s, for_s, target, context, fault="shutdown", parameters=parameters, takes_down=True
        )

    def arm(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        drain_period_s = _drain_period_s(step)
        if drain_period_s is None:
            arm(step, world, at_mono_ns, "shutdown")
        else:
            guard_admission(step.targets[0], step, world, at_mono_ns, drain_period_s=drain_period_s)

    def inject(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        node, drain_period_s = step.targets[0], _drain_period_s(step)
        if drain_period_s is None:
            told = await_orderly_end(node, step, world, at_mono_ns=at_mono_ns)
        else:
            empty_nodes(Rescale.exchanging(step, world, remove=(node,), drain_period_s=drain_period_s), world)
            told = stop_in_order(node, step, world)
        drained = "" if drain_period_s is None else "drained; "
        evidence = f"{drained}{told.fields.get('evidence')}; the engine saw it end with status 0"
        tell(world, "step-effective", step, evidence=evidence, at_mono_ns=told.t_mono_ns)

    def heal(self, step: StepPlan, world: World) -> None:
        if _drain_period_s(step) is not None:
            admit(step.targets[0], step, world)
        heal_by_start(step, world)


def _drain_period_s(step: StepPlan) -> float | None:
    """None: not drained."""
    parameters = step.parameters["parameters"]
    assert isinstance(parameters, dict)
    return float(parameters["drain_period_s"]) if parameters["drain"] else None
