"""Nothing of a node answers any more: killed, replaced, its uplink down."""

from orchestrator.metrics.outage_bounds.pair import OutageBound, Pair, nothing_lost, unbounded

NEIGHBOUR_S = 1.0
"""A neighbour that was given up is asked for again by the next packet, and once a second until it answers, while packets wait
(`net.ipv4.neigh.default.retrans_time_ms`, 1000 by default; Linux, Documentation/networking/ip-sysctl.rst)."""


def bound_gone(pair: Pair) -> OutageBound:
    """With HAProxy's D and the control plane's W:

    - Through HAProxy, policy Cluster: max(D, W). Until D it still chooses the node, until W live nodes still choose its pods.
      Where a check, or an observed connection, ends at a pod, it can fail through live nodes until W as well: a live server that
      is marked down by the last such failure is back after `rise` good checks, so W becomes W + check + rise x downinter.
    - Through HAProxy, policy Local: D. Every node forwards to its own pods only, so there is nothing to withdraw.
    - Through a route that somebody keeps: max(D, W), with D of the hold time, BFD or VRRP.
    - Where it is the only way in, or a next hop that nobody withdraws: until it is back and serves. A node that boots, no
      bound; an uplink, `for` + 1 s in which the router finds its neighbour again.
    - Another node than the only way in: W where pods of any node answer, 0 where only its own do.
    - Away for less than W, and booted anew: its lease is renewed before anybody withdraws its pods. Until they have started: no
      bound.

    Source: HAProxy configuration manual 2.6, section 5.2; kubernetes, pkg/controller/nodelifecycle; RFC 4271, 5798, 5880.
    """
    if pair.is_standing and pair.strikes_entry:
        return _of_only_way(pair)
    if pair.is_local and not pair.is_balanced:
        return nothing_lost(f"only {pair.entry} answers" if pair.is_refused else f"only pods on {pair.entry} answer")
    if pair.is_balanced and pair.checked_s is None:
        return unbounded("HAProxy checks nothing, and chooses the node for ever")
    if not pair.is_local and (early := returns_early(pair)):
        return early
    if pair.is_balanced:
        return _of_balanced(pair)
    why = f"live nodes choose its pods until their last rule leaves them out, within {pair.withdrawn_s:g} s"
    if pair.routed_s is None:
        return OutageBound(at_most_s=pair.withdrawn_s, why=why)
    return OutageBound(
        at_most_s=max(pair.routed_s, pair.withdrawn_s), why=f"the route leaves the node within {pair.routed_s:g} s; {why}"
    )


def returns_early(pair: Pair) -> OutageBound | None:
    """Of a machine that boots before its silence was noticed: `for` < W."""
    step = pair.step
    if step.kind == "link-down" or step.for_s is None or step.for_s >= pair.withdrawn_s:
        return None
    return unbounded(
        f"it is back after {step.for_s:g} s, before the {pair.withdrawn_s:g} s in which its pods would be withdrawn: "
        "until it has booted and they have started again"
    )


def _of_only_way(pair: Pair) -> OutageBound:
    leads = pair.leads if pair.entry is not None else "nothing withdraws the route: the node keeps its share"
    if pair.step.kind == "link-down":
        why = f"{leads}; its rules and pods stand, and the router finds it again within {NEIGHBOUR_S:g} s"
        return pair.lasting(why, and_s=NEIGHBOUR_S)
    away = "for ever" if pair.step.for_s is None else f"at least for the {pair.step.for_s:g} s that it is away"
    return unbounded(f"{leads}: {away}, until it has booted{'' if pair.is_refused else ', and has its rules'}")


def _of_balanced(pair: Pair) -> OutageBound:
    assert pair.checked_s is not None
    if pair.is_local:
        why = f"HAProxy's verdict within {pair.checked_s:g} s; no other node leads to its pods"
        return OutageBound(at_most_s=pair.checked_s, why=why)
    why = f"HAProxy's verdict within {pair.checked_s:g} s, the last rule within {pair.withdrawn_s:g} s"
    if pair.back_s:
        why += f"; live servers that failed with its pods are back {pair.back_s:g} s later"
    return OutageBound(at_most_s=max(pair.checked_s, pair.withdrawn_s + pair.back_s), why=why)
