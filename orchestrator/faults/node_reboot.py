"""Node reboot: power off and on again; the same node returns, empty."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PlanContext
from orchestrator.faults.arming import NodeFaultOptions, check_node
from orchestrator.faults.reboot import Reboot
from orchestrator.model.plan import StepPlan


class NodeReboot(Reboot):
    """The control plane may not even notice: its pods and rules have to be made anew."""

    kind: ClassVar[str] = "node-reboot"
    options: ClassVar[type[BaseModel]] = NodeFaultOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, NodeFaultOptions)
        return self.plan_reboot(step, at_s, for_s, check_node(options.target, context), context)
