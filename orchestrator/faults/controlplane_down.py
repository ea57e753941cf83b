"""Control plane down: the data plane goes on with what it knows. The API dies or hangs."""

from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.contracts import PlanContext, World
from orchestrator.faults.arming import StruckInside, plan_inside
from orchestrator.faults.revival import RETURNS_S, follow_api
from orchestrator.model.history import Event
from orchestrator.model.plan import Role, StepPlan

API = "api"


class Mode(StrEnum):
    KILL = "kill"
    PAUSE = "pause"


class ControlplaneDownOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = Field(
        default=Mode.KILL, description="kill: connections are refused; pause: they are accepted and never answered"
    )


class ControlplaneDown(StruckInside):
    """The API's process alone: the control probe's responder in the same container answers on. Evidence: the process state.

    Healed, the API answers, and has its objects and versions back from its store.
    """

    kind: ClassVar[str] = "controlplane-down"
    options: ClassVar[type[BaseModel]] = ControlplaneDownOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, ControlplaneDownOptions)
        return plan_inside(
            self.kind,
            step,
            at_s,
            for_s,
            Role.CONTROLPLANE,
            context,
            fault=f"process-{options.mode.value}",
            parameters={"process": API},
            returns_s=RETURNS_S if options.mode is Mode.KILL else 0.0,
        )

    def follow(self, step: StepPlan, world: World, struck: Event, healed: Event) -> str:
        return follow_api(world, healed)
