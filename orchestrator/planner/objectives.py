"""Objectives of the scenario: each names a planned path, or one connection class of it."""

from orchestrator.contracts import Kinds
from orchestrator.model.plan import PathPlan, SloPlan
from orchestrator.planner.complaints import Complaints
from orchestrator.scenario.schema import Scenario


def plan_objectives(scenario: Scenario, paths: tuple[PathPlan, ...], kinds: Kinds, complaints: Complaints) -> tuple[SloPlan, ...]:
    names = {path.name for path in paths}
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
