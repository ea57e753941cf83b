"""A machine that is too small: its processors, its table of connections."""

from orchestrator.metrics.outage_bounds.pair import OutageBound, Pair, nothing_lost, unbounded
from orchestrator.model.plan import Role


def bound_squeezed(pair: Pair) -> OutageBound:
    """As long as it lasts, wherever a process of the machine is in the way; its kernel forwards as before.

    Pods and checks answer late, by chance within their time-outs or not, so that no verdict can be counted on. Afterwards a
    live server that HAProxy took out is back after one check and `rise` good ones. Squeezed, the control plane may read leases
    too late, and withdraw nodes that live: how late no setting says.

    Source: Linux, Documentation/scheduler/sched-bwc.rst; HAProxy configuration manual 2.6, section 5.2 (rise).
    """
    if pair.is_refused:
        return nothing_lost("a kernel refuses without any process")
    if not pair.strikes_node:
        if any(item.name in pair.step.targets for item in pair.plan.of_role(Role.CONTROLPLANE)):
            if pair.is_local and not pair.is_balanced:
                return nothing_lost("the called node answers by itself")
            return unbounded("the control plane may read leases too late and withdraw nodes that live: how late no setting says")
        if not pair.is_balanced:
            return nothing_lost("the load balancer is not in the way")
        return pair.lasting("HAProxy answers late; it has its servers back afterwards", and_s=pair.rejoin_s)
    if pair.is_local and not pair.is_balanced and not pair.strikes_entry:
        return nothing_lost(f"only pods on {pair.entry} answer")
    return pair.lasting("its pods and checks answer late, and no verdict can be counted on", and_s=pair.back_s)


def bound_full_table(pair: Pair) -> OutageBound:
    """The kernel drops what would be a new connection, to the node and to its pods, and forwards what it knows.

    - Through HAProxy, policy Local: D, for its checks are new connections as well; no longer than the table is full.
    - Everything else that needs the node: as long as the table is full. Its lease is renewed over a connection that it knows, so
      that nobody withdraws its pods before their probes fail; BGP and BFD speak over connections that it knows.
    - The policy Cluster behind HAProxy, where checks end at pods: check + rise x downinter longer.
    - A refusal: as long as it lasts, from that node; nothing reaches the kernel's refusal past its table.

    Source: Linux, net/netfilter/nf_conntrack_core.c (`nf_conntrack_alloc`: table full, dropping packet).
    """
    if pair.is_local and not pair.is_balanced and not pair.strikes_entry:
        return nothing_lost(f"only {pair.entry} answers, whose table has room")
    if pair.is_balanced and pair.is_local and pair.checked_s is not None:
        why = f"its table drops checks too: HAProxy's verdict within {pair.checked_s:g} s"
        return pair.no_longer_than_it_lasts(pair.checked_s, why)
    return pair.lasting("the node drops every new connection, its own and to its pods", and_s=pair.back_s)
