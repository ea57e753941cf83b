"""Machines that are off and on again: how long a machine takes to boot stands in no plan."""

from orchestrator.metrics.outage_bounds.pair import OutageBound, Pair, nothing_lost, unbounded

_BOOTED = "until it has booted, has its rules again"


def bound_node_reboot(pair: Pair) -> OutageBound:
    """No bound wherever the node is in the way.

    It renews its lease before its grace period is over, so that nobody withdraws its pods; until they have started anew, live
    nodes' rules choose them (Cluster), and HAProxy has the node back as soon as a check finds one that answers. So the outage
    ends with boot + first sync of the rules + start of the pods, whatever D and W are.

    Source: kubernetes, pkg/controller/nodelifecycle (a lease renewed in time is no silence); kube-proxy (no rule before the first
    complete list of Services and EndpointSlices).
    """
    if pair.is_standing and pair.strikes_entry:
        leads = pair.leads if pair.entry is not None else "nothing withdraws the route"
        return unbounded(f"{leads}: until it has booted" if pair.is_refused else f"{leads}: {_BOOTED}, and pods that answer")
    if pair.is_local and not pair.is_balanced:
        return nothing_lost("it is not in the way")
    return unbounded(f"nobody withdraws its pods, for its lease is renewed in time: {_BOOTED}, and its pods have started")


def bound_gateway_reboot(pair: Pair) -> OutageBound:
    """No bound: nothing passes between clients, load balancer and nodes until it has booted and has its routes.

    BGP sessions end with it, and its kernel has a node's route again only when a new one is established (RFC 4271 section 8).
    """
    also = ", and a session is up again" if pair.routing is not None and pair.routed_s is not None else ""
    return unbounded(f"nothing passes between the networks until it has booted and has its routes{also}")
