"""Nodes that leave in order: stopped, drained, restarted one after the other."""

from orchestrator.metrics.outage_bounds.gone import returns_early
from orchestrator.metrics.outage_bounds.pair import OutageBound, Pair, nothing_lost, unbounded
from orchestrator.metrics.outage_bounds.workload import pre_stop_s
from orchestrator.metrics.routing import longest_skew_s
from orchestrator.model.routing import Bgp, Vrrp

STOP_GRACE_S = 3.0
"""How long a node that is stopped may go on: its init kills what has not ended by then (STOP_GRACE_NS of testbed_init)."""


def bound_stopped(pair: Pair) -> OutageBound:
    """A shutdown in order takes up to G, the grace of the node's init; its agent says nothing any more from the begin on.

    - Not drained, through HAProxy: max(D + G, W), policy Local D + G: checks fail at the latest when the node has ended.
    - Not drained, through a kept route: max(G + R, W). BIRD says Cease (R = 0), keepalived gives the address up with priority 0,
      which the next node takes after its skew (R = skew).
    - Drained first: nothing leads to it when it stops, and nothing of its is lost. Kept connections that were led through it
      before end with it: each is known to be broken when it is used again, connections / rate.
    - The only way in, or a fixed next hop: until it has booted and has its rules: no bound.

    Source: RFC 4271 section 6.7 (Cease); RFC 5798 section 6.4.3 (priority 0, Skew_Time); testbed_init, `stop_all`.
    """
    if pair.is_standing and pair.strikes_entry:
        leads = pair.leads if pair.entry is not None else "nothing withdraws the route: the node keeps its share"
        return unbounded(f"{leads}: until it has booted{'' if pair.is_refused else ', and has its rules'}")
    if pair.is_local and not pair.is_balanced:
        return nothing_lost("it is not in the way")
    leaves_s = _route_leaves_s(pair)
    if is_drained(pair):
        return _of_drained_and_stopped(pair, leaves_s)
    if pair.is_balanced and pair.checked_s is None:
        return unbounded("HAProxy checks nothing, and chooses the node for ever")
    if not pair.is_local and (early := returns_early(pair)):
        return early
    stops = f"it has ended within {STOP_GRACE_S:g} s"
    if pair.is_balanced:
        assert pair.checked_s is not None
        detected_s = STOP_GRACE_S + pair.checked_s
        if pair.is_local:
            return OutageBound(at_most_s=detected_s, why=f"{stops}; HAProxy's verdict within {pair.checked_s:g} s more")
        why = f"{stops}, HAProxy's verdict within {pair.checked_s:g} s more; the last rule within {pair.withdrawn_s:g} s"
        return OutageBound(at_most_s=max(detected_s, pair.withdrawn_s + pair.back_s), why=why)
    why = f"{stops}; live nodes choose its pods until their last rule leaves them out, within {pair.withdrawn_s:g} s"
    return OutageBound(at_most_s=max(leaves_s, pair.withdrawn_s), why=why)


def bound_drained(pair: Pair) -> OutageBound:
    """First out of the load balancer, then its pods are evicted, and the node lives on.

    A pod answers for its preStop sleep after its deletion; meanwhile every node's rules forget it, within `min_sync_period`. So
    nothing is lost where preStop is at least as long; otherwise the end of the last eviction sets the end, and no setting sets
    that.

    - HAProxy gives the node nothing new before anything is evicted, and kept-alive connections through it go on.
    - As a next hop it forwards on, to pods elsewhere.
    - Where only its own pods answer: until it has pods again, which nobody sees to (pods do not move back by themselves): no
      bound.

    Source: kubernetes.io, "Safely Drain a Node", "Termination of Pods"; kube-proxy --iptables-min-sync-period.
    """
    if pair.is_refused:
        return nothing_lost("the node lives on, and refuses as before")
    if pair.is_local and not pair.is_balanced:
        if pair.strikes_entry:
            return unbounded(f"only pods on {pair.entry} answer, and nobody moves any back to it")
        return nothing_lost(f"only pods on {pair.entry} answer")
    sync_s, sleep_s = pair.plan.timings.values["min_sync_period_s"], pre_stop_s(pair.plan, pair.path)
    if sleep_s < sync_s:
        return unbounded(
            f"a pod sleeps {sleep_s:g} s in preStop, and rules may lead to it for {sync_s:g} s after its deletion: until the "
            "last one is evicted"
        )
    return nothing_lost(f"each pod answers for {sleep_s:g} s after its deletion, and the rules forget it within {sync_s:g} s")


def bound_rolling(pair: Pair) -> OutageBound:
    """Every node in turn, each for as long as it takes to end, boot and be served again: no setting says how long that is.

    Only where each is drained first and HAProxy leads elsewhere nothing of a new connection is lost. Source: `bound_drained`.
    """
    turns = "every node is away in its turn, for as long as it takes to end, to boot and to have its rules"
    if not pair.is_balanced:
        leads = pair.leads if pair.entry is not None else "the route leads to each until it has ended"
        return unbounded(f"{leads}; {turns}")
    if not pair.step.parameters.get("drain"):
        return unbounded(f"none is drained first; {turns}")
    if pair.use_s is not None:
        return unbounded(f"kept connections that lead through a node end with it; {turns}")
    return bound_drained(pair)


def is_drained(pair: Pair) -> bool:
    parameters = pair.step.parameters.get("parameters")
    return isinstance(parameters, dict) and bool(parameters.get("drain"))


def _of_drained_and_stopped(pair: Pair, leaves_s: float) -> OutageBound:
    if pair.routing is not None and pair.routed_s is not None:
        return OutageBound(at_most_s=leaves_s, why=f"its pods are away; the route leaves it within {leaves_s:g} s")
    if pair.use_s is not None:
        why = "nothing new leads to it; kept connections that do end with it, and each is used once in that time"
        return OutageBound(at_most_s=pair.use_s, why=why)
    return nothing_lost("nothing leads to it when it stops: out of the load balancer, its pods away")


def _route_leaves_s(pair: Pair) -> float:
    match pair.routing:
        case Vrrp() as vrrp:
            return STOP_GRACE_S + longest_skew_s(vrrp)
        case Bgp():
            return STOP_GRACE_S
        case _:
            return 0.0
