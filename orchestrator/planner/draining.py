"""Pods of drained nodes need nodes to go to: what leaves none is refused. Pure."""

from collections.abc import Mapping, Set

from orchestrator.model.plan import StepPlan
from orchestrator.planner.complaints import Complaints
from orchestrator.planner.lasting import Planned, meet


def drains(step: StepPlan) -> bool:
    inside = step.parameters.get("parameters")
    return step.kind == "node-drain" or (step.kind == "node-stop" and isinstance(inside, Mapping) and bool(inside.get("drain")))


def check_drains(planned: list[tuple[Planned, Set[str]]], duration_s: float, complaints: Complaints) -> None:
    """`planned`: each with the nodes that were there when it struck. One problem for each entry."""
    complained: set[object] = set()
    for one, there in planned:
        place = one[0].location[1]
        if not drains(one[1]) or place in complained:
            continue
        out = [other[1] for other, _ in planned if (drains(other[1]) or other[1].takes_down) and meet(one, other, duration_s)]
        if there <= {target for step in out for target in step.targets}:
            complained.add(place)
            complaints.add(
                "timeline",
                place,
                message="drains nodes while no other is left for their pods: all are drained or down at once",
                found=", ".join(sorted(there)),
                allowed="one node at least that is neither meanwhile",
            )
