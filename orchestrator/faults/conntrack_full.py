"""Connection tracking full: a node goes on with the connections that it knows and drops every new one."""

from typing import ClassVar

from pydantic import BaseModel

from orchestrator.contracts import PlanContext
from orchestrator.faults.arming import NodeFaultOptions, StruckInside, check_node, plan_inside
from orchestrator.model.plan import StepPlan

FILLING_S = 5.0
"""A table of the kernel's usual size, 262,144 entries, is filled within 1 s, one four times as large, the largest, within 4 s."""


class ConntrackFull(StruckInside):
    """The table filled with entries of nobody's. Evidence: as many entries as the limit, and the kernel refuses the next."""

    kind: ClassVar[str] = "conntrack-full"
    options: ClassVar[type[BaseModel]] = NodeFaultOptions

    def plan(self, step: str, at_s: float, for_s: float | None, options: BaseModel, context: PlanContext) -> StepPlan:
        assert isinstance(options, NodeFaultOptions)
        target = check_node(options.target, context)
        return plan_inside(
            self.kind,
            step,
            at_s,
            for_s,
            target,
            context,
            fault="conntrack-full",
            features=("conntrack limit",),
            arming_s=FILLING_S,
        )
