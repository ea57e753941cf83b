"""One process dies, hangs or is replaced: a node's agent, HAProxy, the control plane's API."""

from orchestrator.metrics.outage_bounds.pair import OutageBound, Pair, nothing_lost, unbounded
from orchestrator.metrics.verdicts import asks_the_kernel, withdrawal_bounds


def bound_agent(pair: Pair) -> OutageBound:
    """Nothing is lost: rules and pods stay as they are, and BIRD and keepalived are processes of their own.

    Checks that the rule writer itself answers (healthz, a health check node port) take its node out of HAProxy: with another
    node in, new connections are led there; when every node is struck, HAProxy is left without a server: no bound.

    Source: kube-proxy (rules stand without it); HAProxy configuration manual 2.6, section 5.2 (check).
    """
    if not pair.is_balanced:
        return nothing_lost("it is not in the way: rules and pods stay as they are")
    if asks_the_kernel(pair.haproxy) or pair.checked_s is None:
        return nothing_lost("its rules and pods stay as they are, and its kernel passes the checks")
    if pair.nodes <= set(pair.step.targets):
        return unbounded("its checks ask the rule writer: with every node struck, HAProxy is left without a server")
    return nothing_lost(
        "its checks ask the rule writer: HAProxy leads elsewhere, and the node's rules and pods serve on meanwhile"
    )


def bound_load_balancer(pair: Pair) -> OutageBound:
    """Through HAProxy: reloaded, nothing is lost, for its successor takes over the listening sockets and connections stay with
    it; frozen, as long as it is; dead, as long as it is, and until its successor listens: no bound. Every other path: 0.

    Source: HAProxy management manual 2.6, section 4 (seamless reload).
    """
    if not pair.is_balanced:
        return nothing_lost("HAProxy is not in the way")
    match pair.step.kind:
        case "lb-reload":
            return nothing_lost("the successor takes over the listening sockets")
        case "lb-pause":
            return pair.lasting("HAProxy answers again when it is not frozen any more")
        case _:
            return unbounded("as long as HAProxy is dead, and until its successor listens")


def bound_controlplane(pair: Pair) -> OutageBound:
    """Nothing is lost: rules, routes, servers and pods stay as they are, and who dies meanwhile is another fault.

    An API that hung longer than the grace period, less the age of a lease, may find every lease too old before it has read the
    renewals that waited for it, and withdraw every node's endpoints: no bound. One that was started anew counts from its start.

    Source: kubernetes, pkg/controller/nodelifecycle (tryUpdateNodeHealth: times are the controller's own).
    """
    parameters = pair.step.parameters
    noticed_s = withdrawal_bounds(pair.plan.timings).earliest_s
    hung_s = pair.step.for_s if parameters.get("fault") == "process-pause" else 0.0
    is_alone = pair.is_refused or (pair.is_local and not pair.is_balanced)
    if hung_s is None or noticed_s is None or hung_s < noticed_s or is_alone:
        return nothing_lost("rules, routes, servers and pods stay as they are")
    return unbounded(
        f"an API that hung for {hung_s:g} s may find every lease older than {noticed_s:g} s before it reads what waited"
    )
