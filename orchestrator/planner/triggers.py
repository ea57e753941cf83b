"""Whether what a step waits for can come at all in this plan. Pure; of what may happen it refuses nothing."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from orchestrator.model.plan import PathPlan, Role, StepPlan, TriggerPlan
from orchestrator.model.routing import Bgp, Vrrp, routing_of
from orchestrator.planner.complaints import Complaints
from orchestrator.planner.lasting import Planned

EVERYBODYS = frozenset({Role.CONTROLPLANE, Role.GATEWAY})
"""What strikes these can show in any node."""
CHANGES_NOTHING = "no-op"
OF_A_NODE_ITSELF = frozenset({"bfd-down", "bgp-session-down", "endpoint-not-ready", "node-not-ready", "pod-evicted"})
"""Told of a node that something has struck. Others may be told of one that only takes over, or forwards to one that is struck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What triggers are held against."""

    paths: tuple[PathPlan, ...]
    nodes: Collection[str]
    """Every node that there is at some time."""
    all_nodes: Collection[str]
    """Every name that a node can have."""
    latest_s: float
    """Until then what strikes may last."""


def check_triggers(planned: list[Planned], ground: Ground, complaints: Complaints) -> None:
    """One problem for each entry that waits in vain."""
    reached = _reached([step for _, step in planned])
    complained: set[object] = set()
    for strike, step in planned:
        place = strike.location[1]
        if step.after is None or place in complained:
            continue
        found = _wrong(step, reached, ground) or _too_late(step, strike.delay_latest_s, reached, ground)
        if found is not None:
            complained.add(place)
            key, message, what, allowed = found
            complaints.add("timeline", place, "after", key, message=message, found=what, allowed=allowed)


_Finding = tuple[str, str, str, str]
"""Key below `after`, message, found, allowed."""


def _wrong(step: StepPlan, reached: list[StepPlan], ground: Ground) -> _Finding | None:
    trigger = step.after
    assert trigger is not None
    lacking = _lacking_path(trigger.event, ground.paths)
    if lacking is not None:
        return "event", "no path of the scenario can tell it", trigger.event, lacking
    if trigger.of in ground.all_nodes and trigger.of not in ground.nodes:
        return "of", "no such node in this plan", repr(trigger.of), ", ".join(sorted(ground.nodes))
    others = [other for other in reached if other.step != step.step]
    if any(can_tell(other, trigger, ground.all_nodes) for other in others):
        return None
    causes = [other for other in others if can_tell(other, TriggerPlan(event=trigger.event, of=None, delay_s=0), ())]
    if not causes:
        told = "another entry that brings it about, or `at` without `after`"
        return "event", "nothing else in the timeline brings it about", trigger.event, told
    allowed = ", ".join(dict.fromkeys(_names(causes, trigger.event)))
    return "of", f"nothing in the timeline makes {trigger.event} name it", repr(trigger.of), allowed


def _too_late(step: StepPlan, delay_s: float, reached: list[StepPlan], ground: Ground) -> _Finding | None:
    """Where even the first step that can bring the event about leaves no time. It may come as soon as that strikes."""
    trigger = step.after
    assert trigger is not None
    causes = [other for other in reached if other.step != step.step and can_tell(other, trigger, ground.all_nodes)]
    first = min(causes, key=lambda other: _tells_s(other, trigger.event))
    told_s, lasts_s = _tells_s(first, trigger.event), step.for_s or 0.0
    most_s = ground.latest_s - max(step.at_s, told_s) - lasts_s
    if delay_s <= most_s:
        return None
    message = f"{first.step} brings it about at {told_s:g}s at the earliest, which leaves no time to see a recovery"
    if most_s >= 0 and trigger.delay_s:
        return "delay", message, f"{delay_s:g}s", f"up to {most_s:g}s"
    return "event", message, trigger.event, "a shorter `for`" if lasts_s else "one that comes earlier"


def _tells_s(step: StepPlan, event: str) -> float:
    return step.until_s if event in ("step-healed", "step-done") else step.at_s


def _reached(steps: list[StepPlan]) -> list[StepPlan]:
    """Those that strike: what waits for a step that itself waits in vain does not."""
    reached = [step for step in steps if step.after is None]
    waiting = [step for step in steps if step.after is not None]
    while True:
        more = [step for step in waiting if step.after and any(can_tell(other, step.after, ()) for other in reached)]
        if not more:
            return reached
        reached += more
        waiting = [step for step in waiting if step not in more]


def can_tell(step: StepPlan, trigger: TriggerPlan, all_nodes: Collection[str]) -> bool:
    """Whether what a step does can make the history tell the event, as far as the plan knows."""
    if trigger.event.startswith("step-"):
        names = {step.step, step.kind, ", ".join(step.targets)}
        # A step without an end is healed when the load is over.
        return (trigger.of is None or trigger.of in names) and (trigger.event != "step-healed" or step.for_s is not None)
    if step.kind == CHANGES_NOTHING:
        return False
    targets = set(step.targets)
    if targets == {Role.LOADBALANCER}:
        return trigger.event.startswith("server-")
    if trigger.event in OF_A_NODE_ITSELF and trigger.of in all_nodes:
        return bool(targets & {str(trigger.of), *EVERYBODYS})
    return True


def _names(causes: Iterable[StepPlan], event: str) -> list[str]:
    if event.startswith("step-"):
        return [name for step in causes for name in (step.step, step.kind)]
    return sorted({target for step in causes for target in step.targets})


def _lacking_path(event: str, paths: Iterable[PathPlan]) -> str | None:
    """What a path would have to be for the event; None where there is one, or none is needed."""
    needs: Mapping[str, tuple[Callable[[PathPlan], bool], str]] = {
        "bfd-down": (_has_bfd, "with a path of kind bgp that has `bfd`"),
        "bgp-session-down": (lambda path: isinstance(routing_of(path), Bgp), "with a path of kind bgp"),
        "vip-acquired": (lambda path: isinstance(routing_of(path), Vrrp), "with a path of kind vip"),
        "server-down": (_is_checked, "with a path through the load balancer that has `checks`"),
        "server-up": (lambda path: path.frontend is not None, "with a path through the load balancer"),
    }
    if event not in needs:
        return None
    can, allowed = needs[event]
    return None if any(can(path) for path in paths) else allowed


def _has_bfd(path: PathPlan) -> bool:
    routing = routing_of(path)
    return isinstance(routing, Bgp) and routing.bfd_interval_s is not None


def _is_checked(path: PathPlan) -> bool:
    haproxy = path.settings.get("haproxy")
    return path.frontend is not None and (not isinstance(haproxy, Mapping) or bool(haproxy.get("checks", True)))
