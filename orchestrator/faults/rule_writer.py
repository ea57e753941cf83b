"""What strikes a node's rule writer: a part of the agent's process, or a kube-proxy of the user's own, a process of its name."""

from pydantic import BaseModel

from orchestrator.contracts import PlanContext
from orchestrator.faults.arming import NodeFaultOptions, check_node, plan_inside
from orchestrator.model.plan import StepPlan
from orchestrator.planner.kube_proxy import KUBE_PROXY


def plan_rule_writer(
    kind: str,
    step: str,
    at_s: float,
    for_s: float | None,
    options: BaseModel,
    context: PlanContext,
    *,
    state: str,
    process_fault: str,
    returns_s: float = 0.0,
    awaits: tuple[str, ...] = (),
) -> StepPlan:
    """`state`: what becomes of the agent's part (paused, ended); `process_fault`: what does the same to a process; `awaits`: what
    the agent's part tells when it is back.

    Raises ValueError.
    """
    assert isinstance(options, NodeFaultOptions)
    target = check_node(options.target, context)
    fault, parameters = "rule-writer", {"state": state}
    if context.has_own_kube_proxy:
        # It tells nothing of a first sync that changes nothing: healed, it is only started.
        fault, parameters, awaits = process_fault, {"process": KUBE_PROXY}, ()
    return plan_inside(
        kind, step, at_s, for_s, target, context, fault=fault, parameters=parameters, returns_s=returns_s, awaits=awaits
    )
