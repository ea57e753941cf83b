"""How long each cause of loss should last by the plan's own timings, beside how long it did: theory against measurement."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from orchestrator.metrics.limits import Bounds
from orchestrator.metrics.reused_ports import STALE_ENTRY
from orchestrator.metrics.routing import NextHops, detection_of
from orchestrator.metrics.spans import Times
from orchestrator.metrics.verdicts import asks_the_kernel, detection_bounds, withdrawal_bounds
from orchestrator.model.direct import direct_of
from orchestrator.model.history import History
from orchestrator.model.measurements import Explanation
from orchestrator.model.plan import LoadClassPlan, PathPlan, StepPlan, TimingsPlan
from orchestrator.model.routing import routing_of

_ADDED, _GONE = ("endpoint-ready",), ("endpoint-not-ready", "endpoint-terminating", "endpoint-removed")
_UP, _DOWN = ("server-up",), ("server-down", "server-drain", "server-removed")


FREEZING = ("node-pause",)
"""Faults after which the node's kernel answers and forwards, and no process does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instants:
    """When each cause of one outage ended, in seconds from the start of the load; None: it did not, inside the window."""

    effective_s: float
    until_s: float
    detected_s: float | None
    programmed_s: float | None
    sustained_s: float | None


def explain(
    attribution: Mapping[str, int],
    path: PathPlan,
    step: StepPlan,
    load: LoadClassPlan,
    history: History,
    timings: TimingsPlan,
    at_s: Times,
    instants: Instants,
    next_hops: NextHops | None = None,
    reused: str = "",
) -> tuple[Explanation, ...]:
    """One for each cause, in the order of the attribution; `at_s`: instants of the class's requests in the window; `reused`: the
    evidence of ports that came round again."""
    found = []
    for cause, lost in attribution.items():
        bounds, ended_s = (
            (Bounds(earliest_s=None, latest_s=None, why=reused), None)
            if cause == STALE_ENTRY
            else _of(cause, path, step, load, history, timings, instants, next_hops)
        )
        end_s = instants.until_s if ended_s is None else ended_s
        found.append(
            Explanation(
                cause=cause,
                lost=lost,
                sent=int(np.count_nonzero((at_s >= instants.effective_s) & (at_s < end_s))),
                took_s=None if ended_s is None else ended_s - instants.effective_s,
                earliest_s=bounds.earliest_s,
                latest_s=bounds.latest_s,
                why=bounds.why,
            )
        )
    return tuple(found)


def _of(
    cause: str,
    path: PathPlan,
    step: StepPlan,
    load: LoadClassPlan,
    history: History,
    timings: TimingsPlan,
    instants: Instants,
    next_hops: NextHops | None,
) -> tuple[Bounds, float | None]:
    at_ns = (history.start_mono_ns or 0) + round(instants.effective_s * 1e9)
    nothing = Bounds(earliest_s=None, latest_s=None, why="")
    match cause:
        case "next hop" if next_hops is not None and is_kept(path):
            return _of_kept_route(path, next_hops), instants.detected_s
        case "next hop or endpoint":
            withdrawal, detection = withdrawal_bounds(timings), _of_kept_route(path, next_hops)
            ends = [end for end in (instants.detected_s, instants.programmed_s) if end is not None]
            return _sooner(detection, withdrawal), min(ends, default=None)
        case "no route":
            return Bounds(earliest_s=None, latest_s=None, why="until a session is up again"), None
        case "moved":
            return Bounds(
                earliest_s=None, latest_s=None, why="each connection breaks at most once for each change of next hops"
            ), None
        case "next hop":
            why = f"nothing withdraws the route: {_away(step)}, and forwards again when it has booted and has its rules"
            return Bounds(earliest_s=step.for_s, latest_s=None, why=why), instants.sustained_s
        case "entry" if direct_of(path) is not None:
            why = f"the client calls this node and no other: {_away(step)}, and serves again when it has booted"
            return Bounds(earliest_s=step.for_s, latest_s=None, why=why), instants.sustained_s
        case "entry":
            haproxy = path.settings.get("haproxy")
            share = _share(history, "server", _UP, _DOWN, at_ns, step, backend=path.frontend)
            settings = haproxy if isinstance(haproxy, Mapping) else {}
            is_frozen = step.kind in FREEZING
            if is_frozen and asks_the_kernel(settings):
                why = "a frozen node's kernel passes every check of its node port"
                return _with(Bounds(earliest_s=None, latest_s=None, why=why), share, "servers"), instants.detected_s
            bounds = detection_bounds(
                settings,
                answers_late=is_frozen,
                connections_rps=load.rate_rps if load.connection_class == "new" or path.settings.get("per_request") else None,
                servers=share[1],
            )
            return _with(bounds, share, "servers"), instants.detected_s
        case "endpoint":
            share = _share(history, "endpoint", _ADDED, _GONE, at_ns, step, service=path.service)
            return _with(withdrawal_bounds(timings), share, "endpoints"), instants.programmed_s
        case "gateway":
            why = "nothing passes between clients and nodes until it has booted and has its routes"
            return Bounds(earliest_s=None, latest_s=None, why=why), instants.sustained_s
        case "established":
            why = f"each of the {load.connections} kept-alive connections breaks at most once"
            return Bounds(earliest_s=None, latest_s=None, why=why), None
        case _:
            return nothing, None


def _away(step: StepPlan) -> str:
    return f"the node is away for {step.for_s:g} s" if step.for_s else "the node does not come back"


def is_kept(path: PathPlan) -> bool:
    """Whether anybody withdraws the path's route from a dead node."""
    routing = routing_of(path)
    return routing is not None and detection_of(routing).latest_s is not None


def _of_kept_route(path: PathPlan, next_hops: NextHops | None) -> Bounds:
    routing = routing_of(path)
    if routing is None:
        return Bounds(earliest_s=None, latest_s=None, why="")
    share = (0, 0) if next_hops is None else (next_hops.struck, next_hops.total)
    return _with(detection_of(routing), share, "next hops")


def _sooner(first: Bounds, second: Bounds) -> Bounds:
    """Of two causes that hold at once, and cannot be told apart while both do."""
    earliest = [item.earliest_s for item in (first, second) if item.earliest_s is not None]
    latest = [item.latest_s for item in (first, second) if item.latest_s is not None]
    return Bounds(
        earliest_s=min(earliest, default=None),
        latest_s=min(latest, default=None),
        why=f"the route: {first.why}; the rules: {second.why}",
    )


def _with(bounds: Bounds, share: tuple[int, int], what: str) -> Bounds:
    struck, total = share
    if not total:
        return bounds
    return Bounds(
        earliest_s=bounds.earliest_s, latest_s=bounds.latest_s, why=f"{struck} of {total} {what} were struck; {bounds.why}"
    )


def _share(
    history: History,
    key: str,
    added: tuple[str, ...],
    gone: tuple[str, ...],
    at_ns: int,
    step: StepPlan,
    **fields: object,
) -> tuple[int, int]:
    """How many of those in use at the instant were on struck nodes, and how many there were."""
    nodes: dict[str, str] = {}
    for event in history.select(*added, *gone):
        if event.t_mono_ns >= at_ns:
            break
        if any(event.fields.get(field) != value for field, value in fields.items()):
            continue
        name = str(event.fields.get(key))
        if event.event in added:
            nodes[name] = str(event.fields.get("node", name))
        else:
            nodes.pop(name, None)
    return sum(node in step.targets for node in nodes.values()), len(nodes)
