"""CPU squeeze: every process of the target runs only a share of the time; its kernel forwards as before."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.contracts import PlanContext
from orchestrator.faults.arming import StruckInside, check_node, plan_inside
from orchestrator.model.plan import Role, StepPlan
from orchestrator.scenario.quantities import Ratio


class CpuSqueezeOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = Field(description="a node that is there at the instant, loadbalancer or controlplane")
    cpu: Ratio = Field(ge=0.01, le=0.99, description="share of the time left to its processes, 20% or 0.2")


class CpuSqueeze(StruckInside):
    """As under a CPU quota that is used up in each 100 ms. Evidence: processes stopped, read back."""

    kind: ClassVar[str] = "cpu-squeeze"
    options: ClassVar[type[BaseModel]] = CpuSqueezeOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, CpuSqueezeOptions)
        target = check_node(options.target, context, Role.LOADBALANCER, Role.CONTROLPLANE)
        parameters = {"share_ratio": options.cpu}
        return plan_inside(
            self.kind,
            step,
            at_s,
            for_s,
            target,
            context,
            fault="cpu-squeeze",
            parameters=parameters,
            strikes_control_path=target == Role.CONTROLPLANE,
        )
