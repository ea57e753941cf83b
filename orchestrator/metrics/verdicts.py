"""How long HAProxy and the control plane take to their verdict on a node, and to take it back, by the plan's own timings."""

from collections.abc import Mapping

from orchestrator.metrics.limits import Bounds
from orchestrator.model.plan import TimingsPlan

_HAPROXY: Mapping[str, float] = {"inter_ms": 2000, "fall": 3, "rise": 2, "connect_timeout_ms": 1000, "error_limit": 10}
"""Defaults of docs/contracts.md section 3."""


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


def _number(settings: Mapping[str, object], key: str) -> float:
    value = _optional(settings, key)
    return _HAPROXY[key] if value is None else value


def _optional(settings: Mapping[str, object], key: str) -> float | None:
    value = settings.get(key)
    return float(value) if isinstance(value, int | float) else None
