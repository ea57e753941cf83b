"""Gateway reboot: the router between clients and nodes is off and on again."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PlanContext
from orchestrator.faults.arming import NoOptions
from orchestrator.faults.reboot import Reboot
from orchestrator.model.plan import Role, StepPlan


class GatewayReboot(Reboot):
    """Nothing passes between the networks until it is back; it keeps no state of connections."""

    kind: ClassVar[str] = "gateway-reboot"
    options: ClassVar[type[BaseModel]] = NoOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        return self.plan_reboot(step, at_s, for_s, Role.GATEWAY, context, strikes_control_path=True)
