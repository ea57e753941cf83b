"""What each step of a plan can damage: nodes at once, and paths wholly or in part. Pure."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from orchestrator.model.direct import direct_of
from orchestrator.model.plan import Expectation, PathPlan, Plan, Role, StepPlan
from orchestrator.planner.timeline import nodes_at
from orchestrator.runner.manifests import wanted_endpoints

_SILENCES_PODS = frozenset({"node-drain", "node-pause", "pod-kill", "pod-not-ready"})
"""They strike pods of a node and leave the way through it: its kernel goes on forwarding."""
_LETS_RULES_AGE = frozenset({"agent-kill", "agent-pause", "kube-proxy-kill", "kube-proxy-pause"})
"""They leave pods and rules of a node as they are; what changes meanwhile its rules do not know."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """Nodes at an instant: those that are struck, and those that are there."""

    struck: Set[str]
    there: Set[str]


def blast_radii(plan: Plan) -> tuple[BlastRadius, ...]:
    return tuple(_radius(plan, step) for step in plan.timeline)


def _radius(plan: Plan, step: StepPlan) -> BlastRadius:
    meanwhile = [item.at_s for item in plan.timeline if step.at_s <= item.at_s < _end_s(plan, step)]
    moments = [_Moment(struck=_struck(plan, step, at_s), there=nodes_at(plan, at_s)) for at_s in sorted({step.at_s, *meanwhile})]
    worst = max(moments, key=lambda moment: len(moment.struck))
    touched = {path.name: share for path in plan.paths if (share := _share(plan, step, path, moments)) is not None}
    return BlastRadius(
        step=step.step,
        group=step.group,
        nodes=tuple(sorted(worst.struck)),
        nodes_there=len(worst.there | worst.struck),
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


def _share(plan: Plan, step: StepPlan, path: PathPlan, moments: Sequence[_Moment]) -> bool | None:
    """Whether the step can take the whole path (True) or a part of it (False); None: it does not touch it."""
    if path.expect is Expectation.REFUSED or step.kind == "no-op":
        return None
    if step.parameters.get("pods") == 0:
        return True if _leaves_nobody(plan, step, path) else None
    roles = {plan.container(name).role for name in step.targets}
    if Role.GATEWAY in roles or (Role.LOADBALANCER in roles and path.frontend is not None):
        return True
    own = set(_nodes_of(plan, step))
    if not own:
        return None
    direct = direct_of(path)
    if direct is not None and direct.is_local and direct.node not in own:
        return None
    if step.kind == "partition":
        return _share_of_cut(plan, step, path, own, moments)
    if step.kind in _LETS_RULES_AGE:
        return False
    if step.kind in _SILENCES_PODS:
        return (direct is not None and direct.is_local) or any(moment.there <= moment.struck for moment in moments)
    return _is_closed(path, own, moments)


def _is_closed(path: PathPlan, own: Set[str], moments: Sequence[_Moment]) -> bool:
    """Whether at some moment every way in is struck, one of them by this step."""
    return any((ways := set(path.entry_nodes) or moment.there) <= moment.struck and bool(own & ways) for moment in moments)


def _share_of_cut(plan: Plan, step: StepPlan, path: PathPlan, own: Set[str], moments: Sequence[_Moment]) -> bool | None:
    """Who is cut off from whom decides: the router, or whoever calls through it, is the way in; peers are endpoints."""
    given = step.parameters["parameters"]
    assert isinstance(given, Mapping)
    cut = {str(item) for key in ("neighbours", "addresses") for item in given[key]}
    caller = Role.CLIENT if path.frontend is None else Role.LOADBALANCER
    if cut & _addresses(plan, Role.GATEWAY, caller):
        return _is_closed(path, own, moments)
    return False if cut & _addresses(plan, Role.NODE, Role.CONTROLPLANE) else None


def _addresses(plan: Plan, *roles: Role) -> Set[str]:
    return {str(item.address) for role in roles for container in plan.of_role(role) for item in container.attachments}


def _leaves_nobody(plan: Plan, step: StepPlan, path: PathPlan) -> bool:
    """Whether the Service of the path has no pod any more. Of other Deployments the manifests tell."""
    return wanted_endpoints(plan.objects, {str(step.parameters["deployment"]): 0}).get(path.service) == 0
