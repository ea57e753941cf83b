"""Delay: a longer way. Every packet of the target's uplink waits the same time."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.contracts import PlanContext
from orchestrator.faults.arming import Direction, StruckInside, check_node, plan_inside
from orchestrator.model.plan import Role, StepPlan
from orchestrator.scenario.quantities import PositiveDurationS


class DelayOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = Field(description="a node that is there at the instant, or loadbalancer")
    delay: PositiveDurationS = Field(le=10, description="each way that is delayed, up to 10s")
    direction: Direction = Field(default=Direction.BOTH, description="both: a round trip takes twice the delay longer")


class Delay(StruckInside):
    """Packets wait in a netfilter queue. Evidence: the queues bound, read back; when healed, how many packets waited."""

    kind: ClassVar[str] = "delay"
    options: ClassVar[type[BaseModel]] = DelayOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, DelayOptions)
        return plan_inside(
            self.kind,
            step,
            at_s,
            for_s,
            check_node(options.target, context, Role.LOADBALANCER),
            context,
            fault="delay",
            parameters={"delay_s": options.delay, "direction": options.direction.value},
            ground=("delay",),
            features=("nfqueue",),
        )
