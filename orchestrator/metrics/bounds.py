"""How long each cause of loss should last by the plan's own timings, beside how long it did: theory against measurement."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from orchestrator.metrics.limits import Bounds
from orchestrator.metrics.routing import NextHops, detection_of
from orchestrator.metrics.spans import Times
from orchestrator.model.direct import direct_of
from orchestrator.model.history import History
from orchestrator.model.measurements import Explanation
from orchestrator.model.plan import LoadClassPlan, PathPlan, StepPlan, TimingsPlan
from orchestrator.model.routing import routing_of

_HAPROXY: Mapping[str, float] = {"inter_ms": 2000, "fall": 3, "rise": 2, "connect_timeout_ms": 1000, "error_limit": 10}
"""Defaults of docs/contracts.md section 3."""
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


def detection_bounds(
    haproxy: Mapping[str, object],
    *,
    answers_late: bool = False,
    connections_rps: float | None = None,
    servers: int = 0,
) -> Bounds:
    """How long HAProxy takes to mark a server down that no longer answers.

    `fall` checks fail, each after `check_duration_s`. The next one begins `fastinter` (`inter` where it is not set) after the end
    of a failed one. So they last fall x check + (fall - 1) x fastinter, and up to one `inter` passes until the first of them
    begins. It makes no difference whether a check asks the node port, a health check port or /healthz: a node that is gone
    answers none of them. An agent (`agent-check`) that does not answer is no verdict.

    With `observe layer4`, real connections count too, and a verdict can come as soon as the first of them has waited
    `timeout connect`. With `on-error mark-down` it comes at the latest when `error-limit` connections have: of `connections_rps`
    new ones a second each of `servers` servers gets its share, so error-limit x servers / rate + timeout connect.

    `answers_late`: connections are accepted and nothing is answered, as by a frozen process.

    Source: HAProxy configuration manual 2.6, sections 4.2 (timeout check) and 5.2 (inter, fastinter, fall, observe, error-limit,
    on-error, agent-check); src/check.c.
    """
    if haproxy.get("checks") is False:
        return Bounds(earliest_s=None, latest_s=None, why="no health checks: the server stays in for ever")
    inter_s, fall = _number(haproxy, "inter_ms") / 1000, round(_number(haproxy, "fall"))
    gap_s = (_optional(haproxy, "fastinter_ms") or inter_s * 1000) / 1000
    check_s = check_duration_s(haproxy, answers_late=answers_late)
    earliest_s = fall * check_s + (fall - 1) * gap_s
    latest_s = inter_s + earliest_s
    why = f"up to {inter_s:g} s until the next check, then {fall} checks of {check_s:g} s, {gap_s:g} s apart"
    if haproxy.get("observe", "none") != "none" and not answers_late:
        connect_s = _number(haproxy, "connect_timeout_ms") / 1000
        earliest_s = min(earliest_s, connect_s)
        why += f"; sooner by errors of real connections, {connect_s:g} s each"
        if haproxy.get("on_error") == "mark-down" and connections_rps and servers:
            limit = round(_number(haproxy, "error_limit"))
            observed_s = limit * servers / connections_rps + connect_s
            latest_s = min(latest_s, observed_s)
            why += f": {limit} of them within {observed_s:.2g} s"
    return Bounds(earliest_s=earliest_s, latest_s=latest_s, why=why)


def check_duration_s(haproxy: Mapping[str, object], *, answers_late: bool = False) -> float:
    """How long a check lasts that is not answered.

    `inter`, or, with `timeout check`, as long as its connection may take: min(`timeout connect`, `inter`). A connection that is
    accepted and not answered: `timeout check`.

    Source: HAProxy configuration manual 2.6, section 4.2 (timeout check).
    """
    inter_s, timeout_ms = _number(haproxy, "inter_ms") / 1000, _optional(haproxy, "check_timeout_ms")
    if timeout_ms is None:
        return inter_s
    return timeout_ms / 1000 if answers_late else min(inter_s, _number(haproxy, "connect_timeout_ms") / 1000)


def asks_the_kernel(haproxy: Mapping[str, object]) -> bool:
    """Whether a check is a connection to the node port: a kernel accepts it, whatever becomes of the node's processes."""
    return (haproxy.get("check") or "tcp") in ("tcp", "agent")


def recovery_s(haproxy: Mapping[str, object]) -> float:
    """How long a server that answers again stays down: `rise` good checks, `downinter` (`inter` where it is not set) apart.

    Source: HAProxy configuration manual 2.6, section 5.2 (rise, downinter).
    """
    gap_ms = _optional(haproxy, "downinter_ms") or _number(haproxy, "inter_ms")
    return _number(haproxy, "rise") * gap_ms / 1000


def withdrawal_bounds(timings: TimingsPlan) -> Bounds:
    """How long the control plane and the nodes take to stop choosing a silent node's pods.

    The last heartbeat is up to `lease_renew` old when the fault strikes; a monitor that looks every `node_monitor_period` finds
    it older than `node_monitor_grace_period`; the rules follow within `min_sync_period`.

    Source: kubernetes, pkg/controller/nodelifecycle (monitorNodeHealth); kube-proxy --iptables-min-sync-period.
    """
    values = timings.values
    needed = ("node_monitor_grace_period_s", "node_monitor_period_s", "lease_renew_s", "min_sync_period_s")
    if any(key not in values for key in needed):
        return Bounds(earliest_s=None, latest_s=None, why="the plan does not name the control plane's timings")
    grace_s, period_s, renew_s, sync_s = (values[key] for key in needed)
    return Bounds(
        earliest_s=grace_s - renew_s,
        latest_s=grace_s + period_s + sync_s,
        why=f"grace period {grace_s:g} s from the last heartbeat, up to {renew_s:g} s before the fault; the monitor looks every "
        f"{period_s:g} s; rules follow within {sync_s:g} s",
    )


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
) -> tuple[Explanation, ...]:
    """One for each cause, in the order of the attribution; `at_s`: instants of the class's requests in the window."""
    found = []
    for cause, lost in attribution.items():
        bounds, ended_s = _of(cause, path, step, load, history, timings, instants, next_hops)
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


def _number(settings: Mapping[str, object], key: str) -> float:
    value = _optional(settings, key)
    return _HAPROXY[key] if value is None else value


def _optional(settings: Mapping[str, object], key: str) -> float | None:
    value = settings.get(key)
    return float(value) if isinstance(value, int | float) else None
