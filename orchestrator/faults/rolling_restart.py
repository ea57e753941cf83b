"""Rolling restart: every node is drained, stopped in order, started and served again, one after the other."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from orchestrator.contracts import PlanContext, World
from orchestrator.faults.admission import admit, guard_admission, refuse_idle_period
from orchestrator.faults.arming import TTL_MARGIN_S, refuse_end
from orchestrator.faults.power import boot, stop_in_order
from orchestrator.faults.scaling import Rescale, await_served, present_nodes
from orchestrator.faults.scaling_down import empty_nodes
from orchestrator.model.plan import StepPlan
from orchestrator.runner.telling import tell
from orchestrator.runner.waiting import await_state
from orchestrator.scenario.quantities import DurationS

REJOIN_DEADLINE_S = 60.0
RESTART_S = 1.0
"""No node ends, boots, registers and is served again sooner."""


class RollingRestartOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    drain: StrictBool = Field(default=True, description="each node first out of the load balancer, its pods away")
    drain_period: DurationS = Field(default=2.0, validate_default=False, description="for what still flows when it is drained")


class RollingRestart:
    """Evidence: init's report of each orderly end, the engine's `die` with status 0, and Ready with all rules again."""

    kind: ClassVar[str] = "rolling-restart"
    options: ClassVar[type[BaseModel]] = RollingRestartOptions
    exclusive: ClassVar[bool] = True

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, RollingRestartOptions)
        refuse_end(for_s, "a rolling restart ends with the last node")
        refuse_idle_period(options, drain=options.drain)
        if options.drain and len(context.nodes) == 1:
            raise ValueError("drain: the only node's pods have nowhere to go; allowed: false")
        return StepPlan(
            step=step,
            kind=self.kind,
            at_s=at_s,
            for_s=None,
            targets=tuple(context.nodes),
            parameters={
                "drain": options.drain,
                "drain_period_s": options.drain_period,
                "ttl_s": context.duration_s - at_s + TTL_MARGIN_S,
            },
            returns_s=len(context.nodes) * (RESTART_S + options.drain_period * options.drain),
        )

    def arm(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        """Each node is armed when its turn comes."""

    def inject(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        first_ns: int | None = None
        took: list[str] = []
        for node in step.targets:
            began_ns = world.clock.now_mono_ns()
            struck_ns = _restart(node, step, world)
            first_ns = struck_ns if first_ns is None else first_ns
            took.append(f"{node} in {(world.clock.now_mono_ns() - began_ns) / 1e9:.1f} s")
        evidence = f"stopped in order, started and served again: {', '.join(took)}"
        tell(world, "step-effective", step, evidence=evidence, at_mono_ns=first_ns)

    def heal(self, step: StepPlan, world: World) -> None:
        """Where it was broken off, every node that there still is runs and takes pods and connections again."""
        for node in step.targets:
            if world.kube.get("nodes", node) is None:
                continue  # a later step has removed it
            if not world.is_running(node):
                boot(node, world)
            admit(node, step, world)


def _restart(node: str, step: StepPlan, world: World) -> int:
    """The instant of its stop."""
    period_s = step.parameters["drain_period_s"]
    assert isinstance(period_s, float)
    rescale = Rescale.exchanging(step, world, remove=(node,), drain_period_s=period_s)
    if step.parameters["drain"]:
        guard_admission(node, step, world, world.clock.now_mono_ns(), drain_period_s=period_s)
        empty_nodes(rescale, world)
    struck = stop_in_order(node, step, world)
    booted = boot(node, world)
    admit(node, step, world)
    # What the cluster said of this node before its new life does not count.
    await_rejoined(node, rescale, world, since_ns=booted.t_mono_ns)
    await_served(rescale, world, present_nodes(world))
    return struck.t_mono_ns


def await_rejoined(node: str, rescale: Rescale, world: World, *, since_ns: int) -> None:
    """Until its agent has committed rules in its new life, and it is Ready and up behind every frontend."""
    world.wait_event(
        lambda event: event.event == "rules-committed" and event.container == node,
        since_ns=since_ns,
        deadline_s=REJOIN_DEADLINE_S,
        what=f"rules of {node} in its new life",
    )
    await_state(
        world,
        lambda view: [*view.lacking_nodes([node]), *view.lacking_servers([node], rescale.backends)],
        deadline_s=REJOIN_DEADLINE_S,
        what=f"{node} Ready and served again",
    )
