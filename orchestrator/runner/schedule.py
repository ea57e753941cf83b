"""When each operation of a timeline is due: steps are armed ahead, injected at their instant and healed at their end. Pure."""

import math
from dataclasses import dataclass
from enum import IntEnum

from orchestrator.model.plan import ORDERS_S, Plan, StepPlan

ARM_AHEAD_S = 5.0
"""A fault is armed this long before its instant, far longer than it takes, but not before an earlier step on the same target has
ended: what is armed in a container is gone when that ends, and a program that is not back yet cannot be struck."""
MOMENT_S = 0.001
ISSUE_AHEAD_S = 0.01
"""A step is handed to its lane and told this long before its instant, for which its action then waits."""
START_AHEAD_S = 0.5
"""From the decision to the first request, at the least: time to arm what strikes early and to tell the load its instant."""


class Stage(IntEnum):
    """Operations that are due at the same instant go in this order."""

    HEAL = 0
    ARM = 1
    INJECT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One operation of a step and its instant from the start of the load."""

    at_s: float
    stage: Stage
    step: StepPlan


def start_ahead_s(plan: Plan) -> float:
    """From the decision to the first request: what takes long to arm is armed in time however early it strikes."""
    return max([START_AHEAD_S, *(step.arming_s - step.at_s for step in plan.timeline if step.after is None)])


def schedule(plan: Plan) -> list[Due]:
    """Every operation with an instant, in its order; steps without an end are healed when all is over."""
    steps = [step for step in plan.timeline if step.after is None]
    due = [operation for step in steps for operation in operations(step, not_before_s=_free_s(step, steps))]
    return sorted(due, key=lambda item: (item.at_s, item.stage))


def _free_s(step: StepPlan, steps: list[StepPlan]) -> float:
    """When the last earlier step on one of its targets has ended, healed or carried out, and what it has struck is back."""
    earlier = (other for other in steps if other.at_s < step.at_s and set(other.targets) & set(step.targets))
    # Operations of one instant go heal, arm, inject: a moment later is after all of them.
    back_s = (other.until_s + max(MOMENT_S, other.returns_s - ORDERS_S) for other in earlier)
    return max((min(step.at_s, at_s) for at_s in back_s), default=-math.inf)


def operations(step: StepPlan, *, not_before_s: float = -math.inf) -> tuple[Due, ...]:
    return (
        Due(at_s=max(step.at_s - max(ARM_AHEAD_S, step.arming_s), not_before_s), stage=Stage.ARM, step=step),
        Due(at_s=step.at_s, stage=Stage.INJECT, step=step),
        *([Due(at_s=step.until_s, stage=Stage.HEAL, step=step)] if step.for_s is not None else []),
    )
