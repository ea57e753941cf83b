"""Pod not ready: some pods of a node fail their readiness probes and go on serving whoever still reaches them."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PlanContext, World
from orchestrator.errors import DeadlineError
from orchestrator.faults.arming import EvidenceError, StruckInside, await_effective, check_node, plan_inside
from orchestrator.faults.pod_kill import PodOptions
from orchestrator.model.plan import StepPlan
from orchestrator.runner.telling import tell

PROBE_DEADLINE_S = 60.0
"""Kubernetes' defaults, three failures 10 s apart, twice over."""


class PodNotReady(StruckInside):
    """The node's connections to the pods are refused. Evidence: the rule, read back, and the kubelet's own `pod-not-ready`."""

    kind: ClassVar[str] = "pod-not-ready"
    options: ClassVar[type[BaseModel]] = PodOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, PodOptions)
        return plan_inside(
            self.kind,
            step,
            at_s,
            for_s,
            check_node(options.target, context),
            context,
            fault="pod-not-ready",
            parameters={"count": options.count},
            ground=("output",),
        )

    def inject(self, step: StepPlan, world: World, at_mono_ns: int) -> None:
        node = step.targets[0]
        struck = await_effective(step, world)
        deadline_s = min(PROBE_DEADLINE_S, step.for_s or PROBE_DEADLINE_S)
        try:
            noticed = world.wait_event(
                lambda event: event.event == "pod-not-ready" and event.fields.get("node") == node,
                since_ns=struck.t_mono_ns,
                deadline_s=deadline_s,
                what=f"a pod of {node} not ready",
            )
        except DeadlineError as error:
            raise EvidenceError(
                f"{self.kind} in {node}: no pod became not ready within {deadline_s:g} s",
                hint="the pod template needs a readinessProbe, and the fault longer than failureThreshold * periodSeconds",
            ) from error
        after_ms = (noticed.t_mono_ns - struck.t_mono_ns) / 1e6
        evidence = f"{struck.fields.get('evidence')}; {noticed.fields.get('pod')} not ready {after_ms:.0f} ms later"
        tell(world, "step-effective", step, evidence=evidence, at_mono_ns=struck.t_mono_ns)
