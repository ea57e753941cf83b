"""The paths of a run beside each other, one line each: what an operator chooses by. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.model.measurements import Measurements, Outage, StepMeasurement
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Expectation, PathPlan, Plan, Role
from orchestrator.report.numbers import NOTHING, format_bound, format_convergence

USED_RATIO = 0.01
"""A node that answered less than this is not counted as used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFacts:
    """One path through the first fault of the run; None where it was not measured."""

    path: str
    kind: str
    is_control: bool
    """A negative control: what it must be is refused."""
    is_reachable: bool | None
    """Whether any request got what the path must answer."""
    source_kept: bool | None
    survives: bool | None
    """Whether it served again before what was struck came back."""
    outage: Outage | None
    """Of the worst connection class."""
    nodes_used: int
    nodes: int


def compare_paths(outcome: Outcome, plan: Plan) -> tuple[PathFacts, ...]:
    measured = outcome.measurements
    faults = [step for step in measured.steps if step.kind != "scale" and step.effective_s is not None]
    fault = faults[0] if faults else None
    return tuple(_facts(path, plan, measured, fault) for path in plan.paths)


def _facts(path: PathPlan, plan: Plan, measured: Measurements, fault: StepMeasurement | None) -> PathFacts:
    classes = measured.of(path.name)
    outages = [item for item in measured.outages if item.path == path.name and fault is not None and item.step == fault.step]
    worst = max(outages, key=lambda item: (item.convergence_s is None, item.convergence_s or 0.0), default=None)
    source = next((item for item in measured.sources if item.path == path.name), None)
    answered = {node for item in classes for node, ratio in item.share_by_node.items() if ratio >= USED_RATIO}
    initial = {item.name for item in plan.of_role(Role.NODE) if item.at_bring_up}
    return PathFacts(
        path=path.name,
        kind=path.kind,
        is_control=path.expect is Expectation.REFUSED,
        is_reachable=any(item.ok for item in classes) if any(item.sent for item in classes) else None,
        source_kept=source.source_kept if source is not None and path.expect is Expectation.OK else None,
        survives=None if worst is None or fault is None else _survives(worst, fault),
        outage=worst,
        nodes_used=len(answered & initial),
        nodes=len(initial),
    )


def _survives(outage: Outage, fault: StepMeasurement) -> bool:
    if not outage.failed:
        return True
    if outage.convergence_s is None:
        return False
    return fault.healed_s is None or outage.effective_s + outage.convergence_s < fault.healed_s


def comparison_rows(facts: Sequence[PathFacts]) -> list[tuple[str, ...]]:
    """As text: path, reachable, source kept, survives, outage, bound, nodes used."""
    return [
        (
            item.path,
            ("refused, as it must be" if item.is_reachable else "no") if item.is_control else _word(item.is_reachable),
            _word(item.source_kept),
            NOTHING if item.is_control else _word(item.survives),
            NOTHING if item.outage is None else format_convergence(item.outage),
            NOTHING if item.outage is None else _bound(item.outage),
            f"{item.nodes_used} of {item.nodes}" if item.nodes_used else NOTHING,
        )
        for item in facts
    ]


TITLES = ("path", "reachable", "client's address kept", "survives the fault", "converged after", "bound", "nodes used")


def _bound(outage: Outage) -> str:
    """Where nothing in the plan limits the outage, what it is that does not."""
    return f"none: {outage.bound_why}" if outage.bound_s is None and outage.bound_why else format_bound(outage)


def _word(value: bool | None) -> str:
    return NOTHING if value is None else "yes" if value else "no"
