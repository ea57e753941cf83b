"""Loss: a share of the frames on a link, each drawn on its own."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.contracts import PlanContext
from orchestrator.faults.arming import Direction, StruckInside, check_node, plan_inside
from orchestrator.model.plan import Role, StepPlan
from orchestrator.scenario.quantities import Ratio

SMALLEST_RATIO = 1e-6
"""Frames are drawn by a number below a million (`numgen random mod`, nft(8))."""


class LossOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = Field(description="a node that is there at the instant, or loadbalancer")
    ratio: Ratio = Field(ge=SMALLEST_RATIO, description="share of the frames, 10% or 0.1")
    direction: Direction = Field(default=Direction.BOTH, description="both: each way loses that share")


class Loss(StruckInside):
    """Drawn by nftables at the uplink. Evidence: the rules, read back; when healed, how many of how many were lost."""

    kind: ClassVar[str] = "loss"
    options: ClassVar[type[BaseModel]] = LossOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, LossOptions)
        return plan_inside(
            self.kind,
            step,
            at_s,
            for_s,
            check_node(options.target, context, Role.LOADBALANCER),
            context,
            fault="loss",
            parameters={"ratio": options.ratio, "direction": options.direction.value},
            ground=("frames",),
            features=("nf_tables egress",),
        )
