"""How long a fault may cost a path requests at most, by the plan's own settings: the theory beside the measured convergence.

One file for each family of faults, which says for every way into the cluster what limits the outage, with its formula, or that
nothing does and why. docs/metrics.md has the same as tables.
"""

from collections.abc import Callable, Mapping

from orchestrator.metrics.outage_bounds.capacity import bound_full_table, bound_squeezed
from orchestrator.metrics.outage_bounds.frozen import bound_frozen
from orchestrator.metrics.outage_bounds.gone import bound_gone
from orchestrator.metrics.outage_bounds.links import bound_bad_link, bound_partition
from orchestrator.metrics.outage_bounds.orderly import bound_drained, bound_rolling, bound_stopped
from orchestrator.metrics.outage_bounds.pair import OutageBound, Pair
from orchestrator.metrics.outage_bounds.pods import bound_killed_pods, bound_unready_pods
from orchestrator.metrics.outage_bounds.processes import bound_agent, bound_controlplane, bound_load_balancer
from orchestrator.metrics.outage_bounds.reboots import bound_gateway_reboot, bound_node_reboot
from orchestrator.model.plan import LoadClassPlan, PathPlan, Plan, StepPlan

__all__ = ["RULES", "OutageBound", "bound_outage"]

RULES: Mapping[str, Callable[[Pair], OutageBound]] = {
    "node-kill": bound_gone,
    "node-replace": bound_gone,
    "link-down": bound_gone,
    "node-pause": bound_frozen,
    "node-stop": bound_stopped,
    "node-drain": bound_drained,
    "rolling-restart": bound_rolling,
    "node-reboot": bound_node_reboot,
    "gateway-reboot": bound_gateway_reboot,
    "partition": bound_partition,
    "loss": bound_bad_link,
    "delay": bound_bad_link,
    "rate": bound_bad_link,
    "cpu-squeeze": bound_squeezed,
    "conntrack-full": bound_full_table,
    "agent-kill": bound_agent,
    "agent-pause": bound_agent,
    "kube-proxy-kill": bound_agent,
    "kube-proxy-pause": bound_agent,
    "pod-kill": bound_killed_pods,
    "pod-not-ready": bound_unready_pods,
    "lb-kill": bound_load_balancer,
    "lb-pause": bound_load_balancer,
    "lb-reload": bound_load_balancer,
    "controlplane-down": bound_controlplane,
    "no-op": lambda _: OutageBound(at_most_s=0.0, why="nothing is changed"),
}
"""By the kind of the fault. A rescale is no fault: what it loses is counted (`metrics.rescaling`)."""


def bound_outage(path: PathPlan, step: StepPlan, load: LoadClassPlan, plan: Plan) -> OutageBound:
    """The bound for one path, class and fault, and what sets it.

    Every rule speaks of D, HAProxy's or a routing protocol's verdict on the node (`detection_bounds`, `detection_of`), and of W,
    the control plane's up to the last node's rule (`withdrawal_bounds`). A class of kept connections is known to be broken only
    when each was used again: at least connections / rate.
    """
    rule = RULES.get(step.kind)
    if rule is None:
        return OutageBound(at_most_s=None, why=f"no rule is written for {step.kind}")
    pair = Pair(path=path, step=step, load=load, plan=plan)
    found, use_s = rule(pair), pair.use_s
    if not found.at_most_s or use_s is None or use_s <= found.at_most_s:
        return found
    return OutageBound(at_most_s=use_s, why=f"each of {load.connections} kept connections is used every {use_s:g} s; {found.why}")
