"""Pods of one node: their program dies, or their readiness ends."""

from orchestrator.metrics.outage_bounds.pair import OutageBound, Pair, nothing_lost, unbounded
from orchestrator.metrics.outage_bounds.workload import find_readiness
from orchestrator.model.direct import direct_of

ALIVE_CHECK_S = 0.5
"""How often the node's kubelet looks whether a pod's program lives (nodeagent, kubelet/pod.py)."""


def bound_killed_pods(pair: Pair) -> OutageBound:
    """No bound where the pod may be chosen: the kubelet sees within 0.5 s that the program is dead, and starts it; nothing says
    how long a program takes until it listens. It is back before its readiness probe has failed often enough, so that nobody
    withdraws it.
    """
    if pair.is_refused:
        return nothing_lost("a kernel refuses without any pod")
    if pair.is_local and not pair.is_balanced and not pair.strikes_entry:
        return nothing_lost(f"only pods on {pair.entry} answer")
    return unbounded(f"its kubelet starts the program within {ALIVE_CHECK_S:g} s; when it listens, no setting says")


def bound_unready_pods(pair: Pair) -> OutageBound:
    """A pod that is not ready serves whoever still reaches it, and the rules lead new connections to others: 0.

    Where each node leads to its own pods only, and all of them are not ready, the node drops connections as soon as its rules
    know:

    - Through HAProxy, policy Local: R + S + D, with R = failureThreshold x periodSeconds + timeoutSeconds of the probe and
      S = `min_sync_period`; the node's check fails from then on.
    - At that node's own node port: until they are ready again, after the next good probe: no bound.
    - At a host port or in the node's network: 0. Neither asks for readiness.

    Source: kubernetes.io, "Pod Lifecycle" (readiness), "Configure Liveness, Readiness and Startup Probes"; CNI, portmap plugin.
    """
    if pair.is_refused:
        return nothing_lost("a kernel refuses without any pod")
    if not pair.is_local:
        return nothing_lost("a pod that is not ready serves on, and rules lead new connections to others")
    if pair.is_balanced:
        readiness = find_readiness(pair.plan, pair.path)
        if pair.checked_s is None or readiness is None:
            return unbounded("nothing takes a node without a ready pod out: it drops what HAProxy gives it")
        failed_s, sync_s = readiness.fails_within_s, pair.plan.timings.values["min_sync_period_s"]
        why = (
            f"not ready within {failed_s:g} s, rules within {sync_s:g} s, HAProxy's verdict within {pair.checked_s:g} s, "
            "where the node has no other pod"
        )
        return OutageBound(at_most_s=failed_s + sync_s + pair.checked_s, why=why)
    if not pair.strikes_entry:
        return nothing_lost(f"only pods on {pair.entry} answer")
    if pair.path.kind in ("hostport", "hostnetwork") or direct_of(pair.path) is None:
        return nothing_lost("the node's own port does not ask whether its pod is ready")
    return unbounded(f"only pods on {pair.entry} answer: without a ready one it drops connections until a probe is good again")
