"""The timeline: every entry becomes a step with fixed instants and targets; the set of nodes is followed from step to step."""

from dataclasses import replace

from orchestrator.contracts import Kinds, PlanContext
from orchestrator.model.plan import StepPlan
from orchestrator.planner.complaints import Complaints
from orchestrator.scenario.schema import Scenario


def plan_timeline(scenario: Scenario, kinds: Kinds, context: PlanContext, complaints: Complaints) -> tuple[StepPlan, ...]:
    """Steps in the order of their instants. Problems go to `complaints`."""
    steps: list[StepPlan] = []
    nodes = dict(context.nodes)
    for place, entry in sorted(enumerate(scenario.timeline), key=lambda item: (item[1].at, item[0])):
        where = ("timeline", place)
        action = kinds.actions.get(entry.kind)
        if action is None:
            names = ", ".join(sorted(name for name in kinds.actions if name != "scale"))
            complaints.add(*where, "fault", message="unknown fault", found=repr(entry.fault), allowed=names)
            continue
        _check_instants(scenario, place, complaints)
        options = complaints.decode(action.options, entry.options, *where)
        if options is None:
            continue
        with complaints.at(*where):
            step = action.plan(f"{place + 1}-{entry.kind}", entry.at, entry.for_s, options, replace(context, nodes=nodes))
            steps.append(step)
            nodes.update({name: context.all_nodes[name] for name in _names(step, "add")})
            for name in _names(step, "remove"):
                nodes.pop(name, None)
    _check_overlaps(steps, complaints)
    return tuple(steps)


def added_nodes(timeline: tuple[StepPlan, ...]) -> tuple[str, ...]:
    """Nodes that some step adds, each once, in the order of their numbers."""
    names = {name for step in timeline for name in _names(step, "add")}
    return tuple(sorted(names, key=lambda name: int(name.rpartition("-")[2])))


def _names(step: StepPlan, key: str) -> tuple[str, ...]:
    value = step.parameters.get(key, ())
    return tuple(str(item) for item in value) if isinstance(value, list | tuple) else ()


def _check_instants(scenario: Scenario, place: int, complaints: Complaints) -> None:
    entry = scenario.timeline[place]
    latest = scenario.duration - scenario.convergence_validation
    if entry.at >= scenario.duration:
        complaints.add(
            "timeline", place, "at", message="after the end of the load", found=f"{entry.at:g}s", allowed=f"0s to {latest:g}s"
        )
    elif entry.for_s is not None and entry.at + entry.for_s > latest:
        complaints.add(
            "timeline",
            place,
            "for",
            message=f"ends at {entry.at + entry.for_s:g}s, with no time left to see a recovery",
            found=f"{entry.for_s:g}s",
            allowed=f"up to {max(0.0, latest - entry.at):g}s",
        )


def _check_overlaps(steps: list[StepPlan], complaints: Complaints) -> None:
    """One container can suffer one step at a time, or no evidence would belong to either."""
    for index, step in enumerate(steps):
        for earlier in steps[:index]:
            shared = ", ".join(sorted(set(step.targets) & set(earlier.targets)))
            if shared and step.at_s < earlier.until_s:
                message = f"strikes {shared} while timeline[{_place(earlier)}] still does"
                allowed = f"from {earlier.until_s:g}s on"
                complaints.add("timeline", _place(step), "at", message=message, found=f"{step.at_s:g}s", allowed=allowed)


def _place(step: StepPlan) -> int:
    return int(step.step.partition("-")[0]) - 1
