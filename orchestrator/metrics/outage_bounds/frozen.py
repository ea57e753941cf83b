"""A node's processes do not run, and its kernel answers and forwards."""

from orchestrator.metrics.outage_bounds.pair import OutageBound, Pair, nothing_lost
from orchestrator.metrics.verdicts import asks_the_kernel, detection_bounds


def bound_frozen(pair: Pair) -> OutageBound:
    """With D of checks that last as long as an answer may take:

    - Through HAProxy, checks that a process must answer: max(D, W), policy Local D, and no longer than it is frozen.
    - Through HAProxy, checks of the node port, or none: as long as it is frozen. Its kernel goes on accepting, for its pods and
      for others, and nobody writes its rules, so that they choose its own silent pods whatever the control plane has withdrawn.
    - Through a route that somebody keeps: max(D, W). Its BIRD or keepalived is frozen as well.
    - The only way in, or a fixed next hop: as long as it is frozen; it serves at once when it is not.
    - Another node than the only way in: W, no longer than it is frozen; 0 where only the called node's pods answer.
    - A refusal: 0. The kernel refuses without any process.

    Source: cgroups, freezer; HAProxy configuration manual 2.6, sections 4.2 (timeout check) and 5.2.
    """
    if pair.is_refused:
        return nothing_lost("a kernel refuses without any process")
    if pair.is_balanced:
        return _of_balanced(pair)
    if pair.is_standing and pair.strikes_entry:
        leads = pair.leads if pair.entry is not None else "nothing withdraws the route"
        return pair.lasting(f"{leads}, and it answers again when it is not frozen any more")
    if pair.is_local:
        return nothing_lost(f"only pods on {pair.entry} answer")
    why = f"live nodes choose its pods until their last rule leaves them out, within {pair.withdrawn_s:g} s"
    if pair.routed_s is None:
        return pair.no_longer_than_it_lasts(pair.withdrawn_s, why)
    why = f"the route leaves the node within {pair.routed_s:g} s; {why}"
    return OutageBound(at_most_s=max(pair.routed_s, pair.withdrawn_s), why=why)


def _of_balanced(pair: Pair) -> OutageBound:
    detected_s = detection_bounds(pair.haproxy, answers_late=True).latest_s
    if detected_s is None or asks_the_kernel(pair.haproxy):
        return pair.lasting(
            "its kernel answers for its processes and forwards by stale rules: HAProxy notices nothing while it is frozen"
        )
    why = f"its health check accepts and never answers: HAProxy's verdict within {detected_s:g} s"
    if not pair.is_local:
        why += f"; its pods do so too, until the last rule leaves them out, within {pair.withdrawn_s:g} s"
        detected_s = max(detected_s, pair.withdrawn_s)
    return pair.no_longer_than_it_lasts(detected_s, why)
