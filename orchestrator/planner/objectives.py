"""Objectives of the scenario: each names a planned path, or one connection class of it."""

from orchestrator.contracts import About, Kinds
from orchestrator.model.plan import SloPlan, StepPlan
from orchestrator.planner.complaints import Complaints
from orchestrator.scenario.schema import Scenario

SCALE = "scale"


def plan_objectives(scenario: Scenario, kinds: Kinds, complaints: Complaints) -> tuple[SloPlan, ...]:
    names = scenario.paths.keys()
    slos: list[SloPlan] = []
    for subject, objectives in scenario.slo.items():
        path, _, connection_class = subject.partition("/")
        if path not in names:
            complaints.add("slo", subject, message="no such path", found=repr(path), allowed=", ".join(sorted(names)))
            continue
        if connection_class and connection_class not in scenario.load.classes:
            allowed = ", ".join(scenario.load.classes)
            complaints.add("slo", subject, message="no such connection class", found=repr(connection_class), allowed=allowed)
            continue
        for kind, value in objectives.items():
            with complaints.at("slo", subject, kind):
                slos.append(kinds.parse_objective(kind, value, subject))
    return tuple(slos)


def check_measurable(slos: tuple[SloPlan, ...], timeline: tuple[StepPlan, ...], kinds: Kinds, complaints: Complaints) -> None:
    """An objective about what the timeline never does could only end as not measured."""
    there = {About.LOAD, *(About.RESCALE if step.kind == SCALE else About.FAULT for step in timeline)}
    for slo in slos:
        about = kinds.slos[slo.kind].about
        if about not in there:
            entry = "scale" if about is About.RESCALE else "fault"
            message = f"is about a {about}, and the timeline has none; allowed: with an entry of kind `{entry}`"
            complaints.add("slo", slo.subject, slo.kind, message=message)
