"""How long a fault may cost a path requests at most, by the plan's own settings: the theory beside the measured convergence."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.metrics.bounds import (
    FREEZING,
    asks_the_kernel,
    check_duration_s,
    detection_bounds,
    recovery_s,
    withdrawal_bounds,
)
from orchestrator.metrics.routing import detection_of
from orchestrator.model.direct import Direct, direct_of
from orchestrator.model.plan import LoadClassPlan, PathPlan, StepPlan, TimingsPlan
from orchestrator.model.routing import routing_of

VANISHING = ("node-kill", "node-replace", "link-down")
"""Faults after which nothing of the node answers."""

_PROCESSES = ("agent-kill", "agent-pause", "lb-kill", "lb-pause", "lb-reload")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageBound:
    """Seconds from the fault's effective instant to the last loss; None: nothing in the plan sets such a limit."""

    at_most_s: float | None
    why: str


UNKNOWN = OutageBound(at_most_s=None, why="")


def bound_outage(path: PathPlan, step: StepPlan, load: LoadClassPlan, timings: TimingsPlan) -> OutageBound:
    """The bound for one path, class and fault; unknown where no rule is written for the pair.

    Through HAProxy, with D = its verdict on the node (`detection_bounds`) and W = the control plane's, up to the last rule
    (`withdrawal_bounds`):

    - Node gone, policy Cluster: max(D, W). Until D HAProxy still chooses the node, until W live nodes still choose its pods.
      Where a check, or an observed connection, ends at a pod, it can fail through live nodes until W as well: a live server
      that is marked down by the last such failure is back after `rise` good checks, so W becomes W + check + rise x downinter.
    - Node gone, policy Local: D. Every node forwards to its own pods only, so there is nothing to withdraw.
    - Node frozen, checks that a process must answer: max(D, W), with policy Local D, and no longer than it is frozen. D is that
      of checks that last as long as an answer may take.
    - Node frozen, checks of the node port: as long as it is frozen. Its kernel goes on accepting, for its pods and for others,
      and nobody writes its rules, so that they choose its own silent pods whatever the control plane has withdrawn.
    - The node's agent dead or frozen, checks of the node port: nothing is lost. Rules and pods stay as they are.
    - HAProxy reloaded: nothing is lost. Its successor takes over the listening sockets, and connections stay with it.
    - HAProxy frozen: as long as it is. HAProxy dead: as long as it is, and until its successor listens: no bound.
    - Through a route that somebody keeps, node gone or frozen: max(D, W), with D of the hold time, BFD or VRRP
      (`detection_of`). A standing route leads to a gone node until it is back: no bound.
    - To one node's own address, that node gone: until it is back and serves, at least as long as it is away (`for`): no bound.
      Frozen: as long as it is; its kernel goes on forwarding, to frozen pods too.
    - To one node's own address, another node gone or frozen: with pods of any node behind it W, with its own pods only 0.
    - To one node's own address, an agent or HAProxy dead, frozen or reloaded: nothing is lost. Neither is in the way.
    - A class of kept connections is known to be broken only when each was used again: at least connections / rate.

    Source: HAProxy configuration manual 2.6, section 5.2, management manual, section 4; kubernetes, pkg/controller/nodelifecycle;
    docs/metrics.md.
    """
    if step.kind == "no-op":
        return OutageBound(at_most_s=0.0, why="nothing is changed")
    settings = path.settings.get("haproxy")
    haproxy: Mapping[str, object] = settings if isinstance(settings, Mapping) else {}
    is_routed = routing_of(path) is not None
    is_balanced = path.frontend is not None and isinstance(settings, Mapping)
    direct = direct_of(path)
    if is_balanced and step.kind in _PROCESSES:
        return _of_process(step, haproxy)
    if direct is not None and step.kind in _PROCESSES:
        return OutageBound(at_most_s=0.0, why="it is not in the way: rules and pods stay as they are")
    if not (is_routed or is_balanced or direct) or step.kind not in (*VANISHING, *FREEZING):
        return UNKNOWN
    is_local = path.settings.get("external_traffic_policy") == "Local"
    if direct is not None:
        found = _of_direct(direct, step, timings)
    elif is_routed:
        found = _of_routed(path, timings)
    elif step.kind in VANISHING:
        found = _of_gone(haproxy, timings, is_local=is_local)
    else:
        found = _of_frozen(haproxy, timings, step, is_local=is_local)
    if not found.at_most_s or load.connection_class != "keepalive" or path.settings.get("per_request"):
        return found
    use_s = load.connections / load.rate_rps
    if use_s <= found.at_most_s:
        return found
    return OutageBound(at_most_s=use_s, why=f"each of {load.connections} kept connections is used every {use_s:g} s; {found.why}")


def _of_direct(direct: Direct, step: StepPlan, timings: TimingsPlan) -> OutageBound:
    is_frozen = step.kind in FREEZING
    if direct.node in step.targets:
        if is_frozen:
            why = f"{direct.node} answers again when it is not frozen any more, and the client calls no other"
            return OutageBound(at_most_s=step.for_s, why=why)
        away = "for ever" if step.for_s is None else f"at least for the {step.for_s:g} s that it is away"
        return OutageBound(at_most_s=None, why=f"the client calls {direct.node} and no other: {away}, until it serves again")
    if direct.is_local:
        return OutageBound(at_most_s=0.0, why=f"only pods on {direct.node} answer")
    withdrawn_s = withdrawal_bounds(timings).latest_s
    if withdrawn_s is None:
        return UNKNOWN
    at_most_s = withdrawn_s if not is_frozen or step.for_s is None else min(withdrawn_s, step.for_s)
    why = f"{direct.node} chooses pods of the struck node until its last rule leaves them out, within {withdrawn_s:g} s"
    return OutageBound(at_most_s=at_most_s, why=why)


def _of_routed(path: PathPlan, timings: TimingsPlan) -> OutageBound:
    routing = routing_of(path)
    assert routing is not None
    detection, withdrawn_s = detection_of(routing), withdrawal_bounds(timings).latest_s
    if detection.latest_s is None:
        return OutageBound(at_most_s=None, why="nothing withdraws the route: the node keeps its share until it is back")
    if withdrawn_s is None:
        return UNKNOWN
    why = f"the route leaves the node within {detection.latest_s:g} s, the last rule leaves its pods within {withdrawn_s:g} s"
    return OutageBound(at_most_s=max(detection.latest_s, withdrawn_s), why=why)


def _of_process(step: StepPlan, haproxy: Mapping[str, object]) -> OutageBound:
    match step.kind:
        case "lb-reload":
            return OutageBound(at_most_s=0.0, why="the successor takes over the listening sockets")
        case "lb-pause":
            return OutageBound(at_most_s=step.for_s, why="HAProxy answers again when it is not frozen any more")
        case "lb-kill":
            return OutageBound(at_most_s=None, why="as long as HAProxy is dead, and until its successor listens")
        case _ if asks_the_kernel(haproxy):
            return OutageBound(at_most_s=0.0, why="its rules and pods stay as they are, and its kernel passes the checks")
        case _:
            return UNKNOWN


def _of_gone(haproxy: Mapping[str, object], timings: TimingsPlan, *, is_local: bool) -> OutageBound:
    detected_s, withdrawn_s = detection_bounds(haproxy).latest_s, withdrawal_bounds(timings).latest_s
    if detected_s is None:
        return OutageBound(at_most_s=None, why="HAProxy checks nothing, and chooses the node for ever")
    if is_local:
        why = f"HAProxy's verdict within {detected_s:g} s; no other node leads to its pods"
        return OutageBound(at_most_s=detected_s, why=why)
    if withdrawn_s is None:
        return UNKNOWN
    why = f"HAProxy's verdict within {detected_s:g} s, the last rule within {withdrawn_s:g} s"
    if asks_the_kernel(haproxy) or haproxy.get("observe", "none") != "none":
        back_s = check_duration_s(haproxy) + recovery_s(haproxy)
        withdrawn_s += back_s
        why += f"; live servers that failed with its pods are back {back_s:g} s later"
    return OutageBound(at_most_s=max(detected_s, withdrawn_s), why=why)


def _of_frozen(haproxy: Mapping[str, object], timings: TimingsPlan, step: StepPlan, *, is_local: bool) -> OutageBound:
    detected_s, withdrawn_s = detection_bounds(haproxy, answers_late=True).latest_s, withdrawal_bounds(timings).latest_s
    if detected_s is None or asks_the_kernel(haproxy):
        why = "its kernel answers for its processes and forwards by stale rules: HAProxy notices nothing while it is frozen"
        return OutageBound(at_most_s=step.for_s, why=why)
    why = f"its health check accepts and never answers: HAProxy's verdict within {detected_s:g} s"
    if not is_local:
        if withdrawn_s is None:
            return UNKNOWN
        why += f"; its pods do so too, until the last rule leaves them out, within {withdrawn_s:g} s"
        detected_s = max(detected_s, withdrawn_s)
    return OutageBound(at_most_s=detected_s if step.for_s is None else min(detected_s, step.for_s), why=why)
