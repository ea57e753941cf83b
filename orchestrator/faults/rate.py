"""Rate: a narrow link. What leaves the target waits its turn, up to 50 ms, and is dropped beyond."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.contracts import PlanContext
from orchestrator.faults.arming import StruckInside, check_node, plan_inside
from orchestrator.model.plan import Role, StepPlan


class RateOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = Field(description="a node that is there at the instant, or loadbalancer")
    mbit_per_s: float = Field(ge=0.01, le=10_000, description="megabits a second, Ethernet headers included")


class Rate(StruckInside):
    """A token bucket (tc-tbf(8)) that was there before, wide open. Evidence: its rate, read back."""

    kind: ClassVar[str] = "rate"
    options: ClassVar[type[BaseModel]] = RateOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, RateOptions)
        return plan_inside(
            self.kind,
            step,
            at_s,
            for_s,
            check_node(options.target, context, Role.LOADBALANCER),
            context,
            fault="rate",
            parameters={"mbit_per_s": options.mbit_per_s},
            ground=("rate",),
            features=("tbf",),
        )
