"""What each step of a plan can damage: nodes at once, and paths wholly or in part. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.model.plan import Expectation, PathPlan, Plan, Role, StepPlan
from orchestrator.planner.timeline import nodes_at

_ENDPOINTS_ONLY = frozenset({"pod-kill", "pod-not-ready"})
"""They strike pods of a node and leave the way through it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlastRadius:
    """Of one step, with all that strikes while it lasts."""

    step: str
    group: str | None
    nodes: tuple[str, ...]
    """Struck at once, at the worst instant."""
    nodes_there: int
    """How many there are at that instant, struck or not."""
    whole_paths: tuple[str, ...]
    """Every way in is struck, or what all their requests cross."""
    part_paths: tuple[str, ...]
    """One of several ways in, or endpoints that serve a share."""
    kernel_features: tuple[str, ...]


def blast_radii(plan: Plan) -> tuple[BlastRadius, ...]:
    return tuple(_radius(plan, step) for step in plan.timeline)


def _radius(plan: Plan, step: StepPlan) -> BlastRadius:
    meanwhile = [item.at_s for item in plan.timeline if step.at_s <= item.at_s < _end_s(plan, step)]
    moments = sorted({step.at_s, *meanwhile})
    struck = {at_s: _struck(plan, step, at_s) for at_s in moments}
    worst_s = max(moments, key=lambda at_s: len(struck[at_s]))
    nodes = struck[worst_s]
    touched = {path.name: share for path in plan.paths if (share := _share(plan, step, path, nodes)) is not None}
    return BlastRadius(
        step=step.step,
        group=step.group,
        nodes=tuple(sorted(nodes)),
        nodes_there=len(nodes_at(plan, worst_s) | nodes),
        whole_paths=tuple(name for name, whole in touched.items() if whole),
        part_paths=tuple(name for name, whole in touched.items() if not whole),
        kernel_features=step.kernel_features,
    )


def _end_s(plan: Plan, step: StepPlan) -> float:
    """Until when it may strike. One that waits for an event may do so at any time."""
    if step.after is not None or (step.for_s is None and not step.is_momentary):
        return plan.load.duration_s
    return step.until_s


def _struck(plan: Plan, step: StepPlan, at_s: float) -> frozenset[str]:
    """Nodes that are struck at an instant by all steps that last then. The step itself lasts at each of its moments."""
    lasting = [item for item in plan.timeline if item == step or item.at_s == at_s or item.at_s < at_s < _end_s(plan, item)]
    return frozenset(node for item in lasting for node in _nodes_of(plan, item))


def _nodes_of(plan: Plan, step: StepPlan) -> Iterable[str]:
    if step.kind == "no-op":
        return ()
    if step.kind == "rolling-restart":  # one after the other
        return step.targets[:1]
    if "remove" in step.parameters:  # those that join are no damage
        removed = step.parameters["remove"]
        return [str(name) for name in removed] if isinstance(removed, list | tuple) else ()
    names = {item.name for item in plan.of_role(Role.NODE)}
    return [name for name in step.targets if name in names]


def _share(plan: Plan, step: StepPlan, path: PathPlan, struck: frozenset[str]) -> bool | None:
    """Whether the step can take the whole path (True) or a part of it (False); None: it does not touch it."""
    if path.expect is Expectation.REFUSED or step.kind == "no-op":
        return None
    roles = {plan.container(name).role for name in step.targets}
    if Role.GATEWAY in roles or (Role.LOADBALANCER in roles and path.frontend is not None):
        return True
    own = set(_nodes_of(plan, step))
    if not own:
        return None
    if step.kind in _ENDPOINTS_ONLY:
        return False
    ways_in = set(path.entry_nodes) or set(nodes_at(plan, step.at_s))
    return bool(own & ways_in) and ways_in <= struck
