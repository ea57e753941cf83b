"""Load balancer reload: a new HAProxy takes the listening sockets over, the old one ends with its connections."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PlanContext, World
from orchestrator.faults.arming import NoOptions, StruckInside, await_effective, plan_inside, refuse_end
from orchestrator.model.plan import Role, StepPlan
from orchestrator.runner.telling import tell

RELOAD_DEADLINE_S = 10.0


class LbReload(StruckInside):
    """SIGHUP to HAProxy's agent. Evidence: its report that the successor answers; the order itself is the planned instant."""

    kind: ClassVar[str] = "lb-reload"
    options: ClassVar[type[BaseModel]] = NoOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        refuse_end(for_s, "a reload has no end")
        parameters = {"process": "lb", "signal": "HUP"}
        return plan_inside(
            self.kind, step, at_s, for_s, Role.LOADBALANCER, context, fault="process-signal", parameters=parameters
        )

    def inject(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        ordered = await_effective(step, world)
        reloaded = world.wait_event(
            lambda event: event.event == "haproxy-reloaded",
            since_ns=ordered.t_mono_ns,
            deadline_s=RELOAD_DEADLINE_S,
            what="the successor of HAProxy",
        )
        after_ms = (reloaded.t_mono_ns - ordered.t_mono_ns) / 1e6
        evidence = f"{ordered.fields.get('evidence')}; pid {reloaded.fields.get('pid')} answers {after_ms:.0f} ms later"
        tell(world, "step-effective", step, evidence=evidence, at_mono_ns=ordered.t_mono_ns)
