"""Conditions that end a run early: shares of an error budget become numbers of failed requests. Pure."""

import math
from collections.abc import Iterable

from orchestrator.model.plan import Expectation, LoadPlan, PathPlan, SloPlan, StopPlan
from orchestrator.planner.complaints import Complaints
from orchestrator.planner.load import CONTROL_PATH
from orchestrator.scenario.schema import Scenario, StopCondition

AVAILABILITY = "availability"


def plan_stops(
    scenario: Scenario, paths: tuple[PathPlan, ...], slos: tuple[SloPlan, ...], load: LoadPlan, complaints: Complaints
) -> tuple[StopPlan, ...]:
    names = {path.name: path for path in paths}
    stops: list[StopPlan] = []
    for place, condition in enumerate(scenario.stop_when):
        with complaints.at("stop_when", place):
            if condition.path != CONTROL_PATH and condition.path not in names:
                allowed = ", ".join([CONTROL_PATH, *sorted(names)])
                raise ValueError(f"path: no such path; found {condition.path!r}; allowed: {allowed}")
            path = names.get(condition.path)
            if path is not None and path.expect is Expectation.REFUSED:
                raise ValueError(f"path: {path.name} is a negative control, whose requests all fail; allowed: another path")
            stops.extend(_plan(condition, slos, load))
    return tuple(stops)


def _plan(condition: StopCondition, slos: Iterable[SloPlan], load: LoadPlan) -> Iterable[StopPlan]:
    if condition.failed is not None:
        sent = math.ceil(sum(item.rate_rps for item in load.classes_of(condition.path)) * load.duration_s)
        if condition.failed > sent:
            raise ValueError(
                f"failed: more than all requests of {condition.path}; found {condition.failed}; allowed: 1 to {sent}"
            )
        text = f"{condition.failed} failed requests of {condition.path}"
        yield StopPlan(path=condition.path, connection_class=None, failed=condition.failed, text=text, is_objective=False)
        return
    ratio = float((condition.error_budget or "").removesuffix("%")) / 100
    if ratio == 0:
        raise ValueError(f"error_budget: is no share; found {condition.error_budget}; allowed: above 0%, or `failed: 1`")
    objectives = [slo for slo in slos if slo.path == condition.path and slo.kind == AVAILABILITY and slo.operator in (">=", ">")]
    if not objectives:
        raise ValueError(f"error_budget: {condition.path} has no availability objective; allowed: `failed`, or add the objective")
    for slo in objectives:
        rates = [item.rate_rps for item in load.classes_of(slo.path) if slo.connection_class in (None, item.connection_class)]
        budget = (1 - slo.threshold) * min(rates) * load.duration_s
        yield StopPlan(
            path=condition.path,
            connection_class=slo.connection_class,
            # More than the budget: with exactly the budget spent, the objective is still met.
            failed=math.floor(budget * ratio + 1e-9) + 1,
            text=f"{condition.error_budget} of the error budget of {slo.subject}",
            is_objective=ratio >= 1,
        )
