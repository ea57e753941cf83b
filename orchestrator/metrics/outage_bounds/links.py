"""Links that carry less, later or not to everybody."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.metrics.outage_bounds.gone import NEIGHBOUR_S
from orchestrator.metrics.outage_bounds.pair import OutageBound, Pair, nothing_lost, unbounded
from orchestrator.metrics.verdicts import withdrawal_bounds
from orchestrator.model.plan import NetworkName, Plan, Role
from orchestrator.model.routing import Bgp, Vrrp

_WORDS = {
    "loss": "frames are lost",
    "delay": "packets come late",
    "rate": "packets wait their turn or are dropped",
}


def bound_bad_link(pair: Pair) -> OutageBound:
    """Loss, delay, rate: as long as it lasts, wherever the link is in the way.

    Checks pass or fail by chance, so that no verdict can be counted on. Afterwards a live server that HAProxy took out is back
    after one check and `rise` good ones, and a neighbour that a router gave up is found within 1 s (`NEIGHBOUR_S`):
    `for` + max(check + rise x downinter, 1 s).

    Source: RFC 6298 (a lost segment is sent again, so that a request may live through it); HAProxy configuration manual 2.6,
    section 5.2 (rise).
    """
    what = f"{_WORDS[pair.step.kind]}, and no verdict can be counted on"
    if not pair.strikes_node:
        if pair.is_balanced:
            return pair.lasting(f"{what}; HAProxy has its servers back afterwards", and_s=max(pair.rejoin_s, NEIGHBOUR_S))
        return nothing_lost("the load balancer's link is not in the way")
    if pair.is_local and not pair.is_balanced and not pair.strikes_entry:
        return nothing_lost(f"only {pair.entry} answers, whose link is as it was")
    return pair.lasting(what, and_s=max(pair.back_s, NEIGHBOUR_S))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """Whom the struck node does not reach any more."""

    gateway: bool
    controlplane: bool
    peers: bool
    loadbalancer: bool
    client: bool


def bound_partition(pair: Pair) -> OutageBound:
    """By who is cut off from the node, one way or both:

    - Its entry, cut from the gateway (or HAProxy's address from it): HAProxy's D, or the route's where BGP is spoken with the
      gateway (one way only: one BFD interval more until the other side is told). Where nobody leads clients elsewhere, where
      the client's address is cut and HAProxy is not in between, and for VRRP, which the nodes speak among themselves: as long
      as it lasts.
    - Its pods, cut from its peers: W where the control plane is cut off too, and the node is no way in any more; otherwise nobody
      withdraws them: as long as it lasts.
    - The control plane alone: 0. Its pods are withdrawn from others' rules and go on serving; its own rules go stale.
    - Cut from the control plane for longer than grace period + toleration: its pods are evicted, and end when the node hears of
      it: no bound.

    `for` + 1 s is the longest (a router finds its neighbour again, `NEIGHBOUR_S`), and + check + rise x downinter behind HAProxy.

    Source: kubernetes, pkg/controller/nodelifecycle and tainteviction; RFC 5880 section 6.8.4; RFC 5798 section 6.4.
    """
    cut, step = _read_cut(pair.step.parameters, pair.plan), pair.step
    if pair.is_local and not pair.is_balanced and not pair.strikes_entry:
        return nothing_lost("it is not in the way")
    if cut.controlplane and step.for_s is not None and step.for_s > _evicted_s(pair.plan) and not pair.is_refused:
        return unbounded(
            f"after {_evicted_s(pair.plan):g} s its pods are evicted, and end when the node hears of it, beside stale rules"
        )
    entry, pods = _of_entry(pair, cut), _of_pods(pair, cut)
    if entry is None and pods is None:
        return nothing_lost("neither its way in nor the way to its pods is cut")
    longest_s = None if step.for_s is None else step.for_s + max(pair.back_s, NEIGHBOUR_S)
    found = [item for item in (entry, pods) if item is not None]
    lasting = [item for item in found if item.at_most_s is None]
    why = "; ".join(item.why for item in found)
    if lasting:
        return pair.lasting(why, and_s=max(pair.back_s, NEIGHBOUR_S))
    at_most_s = max(item.at_most_s or 0.0 for item in found)
    return OutageBound(at_most_s=at_most_s if longest_s is None else min(at_most_s, longest_s), why=why)


def _of_entry(pair: Pair, cut: _Cut) -> OutageBound | None:
    """None: it goes on being a way in, or never was one. Unbounded: as long as it lasts."""
    if pair.is_balanced:
        if not (cut.gateway or cut.loadbalancer):
            return None
        if pair.checked_s is None:
            return unbounded("HAProxy checks nothing, and chooses the node on")
        return OutageBound(at_most_s=pair.checked_s, why=f"HAProxy's verdict within {pair.checked_s:g} s")
    if not (cut.gateway or cut.client) or (pair.is_standing and not pair.strikes_entry):
        return None
    match pair.routing:
        case Bgp() as bgp if cut.gateway and pair.routed_s is not None:
            told_s = pair.routed_s + (bgp.bfd_interval_s or 0.0)
            return OutageBound(at_most_s=told_s, why=f"the route leaves the node within {told_s:g} s")
        case Bgp():
            return unbounded("its sessions with the gateway stand: the route leads to it on")
        case Vrrp():
            return unbounded("nodes tell each other who has the address, whatever the gateway reaches")
        case _:
            return unbounded("nobody leads clients elsewhere")


def _of_pods(pair: Pair, cut: _Cut) -> OutageBound | None:
    if not cut.peers or pair.is_local:
        return None
    entry = _of_entry(pair, cut)
    is_out = (pair.is_standing and not pair.strikes_entry) or (entry is not None and entry.at_most_s is not None)
    if not cut.controlplane:
        return unbounded("nodes that do not reach each other choose each other's pods, and the control plane sees nothing")
    if not is_out:
        return unbounded("it is a way in, with stale rules that choose pods it does not reach")
    until_s = pair.withdrawn_s + pair.back_s
    return OutageBound(at_most_s=until_s, why=f"the last rule leaves its pods within {pair.withdrawn_s:g} s")


def _evicted_s(plan: Plan) -> float:
    earliest_s = withdrawal_bounds(plan.timings).earliest_s
    assert earliest_s is not None, "a plan names every timing"
    return earliest_s + plan.timings.values.get("toleration_s", float("inf"))


def _read_cut(parameters: Mapping[str, object], plan: Plan) -> _Cut:
    inner = parameters.get("parameters")
    given = inner if isinstance(inner, Mapping) else {}
    addresses = {str(item) for key in ("neighbours", "addresses") for item in given.get(key, ())}

    def cuts(role: Role) -> bool:
        found = (item for container in plan.of_role(role) for item in container.attachments)
        return any(str(item.address) in addresses for item in found if item.network is not NetworkName.MGMT)

    return _Cut(
        gateway=cuts(Role.GATEWAY),
        controlplane=cuts(Role.CONTROLPLANE),
        peers=cuts(Role.NODE),
        loadbalancer=cuts(Role.LOADBALANCER),
        client=cuts(Role.CLIENT),
    )
