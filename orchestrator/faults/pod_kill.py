"""Pod kill: the program of some pods of a node dies. The node's kubelet starts it again by itself."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from orchestrator.contracts import PlanContext
from orchestrator.faults.arming import StruckInside, check_node, plan_inside, refuse_end
from orchestrator.model.plan import StepPlan

RETURNS_S = 1.5
"""The kubelet starts a program within 0.5 s, and nginx listens at once; busy, more. What is not back cannot be struck again."""


class PodOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = Field(description="a node that is there at the instant")
    pods: Annotated[StrictInt, Field(ge=1)] | Literal["all"] = Field(
        default=1, description="how many, lowest addresses first; or all"
    )

    @property
    def count(self) -> int | None:
        return None if self.pods == "all" else self.pods


class PodKill(StruckInside):
    """SIGKILL to nginx, master and workers. Evidence: the processes are gone."""

    kind: ClassVar[str] = "pod-kill"
    options: ClassVar[type[BaseModel]] = PodOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, PodOptions)
        refuse_end(for_s, "the kubelet starts a pod's program again by itself")
        target = check_node(options.target, context)
        parameters = {"count": options.count}
        return plan_inside(
            self.kind, step, at_s, for_s, target, context, fault="pod-kill", parameters=parameters, returns_s=RETURNS_S
        )
