"""Which part of a routed path's loss is whose. No log tells which next hop a flow's hash chose: instants must tell."""

import numpy as np

from orchestrator.metrics.attribution import SLACK_S, UNEXPLAINED
from orchestrator.metrics.routing import NextHops
from orchestrator.model.samples import Outcome, Samples


def attribute_routed_losses(
    lost: Samples,
    hops: NextHops,
    *,
    start_mono_ns: int,
    programmed_s: float | None,
    until_s: float,
    use_s: float,
) -> list[str]:
    """The cause of each lost request.

    - `no route`: the gateway had no next hop at all: BGP or BFD had given up every node.
    - `next hop`: the path still led to a struck node, and to nobody else or no rule chose the struck node's pods any more.
    - `endpoint`: the path did not lead to the struck nodes any more, and the live nodes' rules could still choose their pods.
    - `next hop or endpoint`: either.
    - `moved`: a kept-alive connection (second request or later; each is used every `use_s`) whose last use was before a change of
      the next hops.
    - `established`: any other kept-alive connection that may have led to a struck node.
    - `unexplained`: none of these; an answer where a refusal was due is one too.
    """
    routed_until_s = until_s if hops.left_s is None else hops.left_s
    chosen_until_s = until_s if programmed_s is None else programmed_s
    return [_cause(record, hops, start_mono_ns, routed_until_s, chosen_until_s, use_s) for record in lost.records]


def _cause(
    record: np.void, hops: NextHops, start_mono_ns: int, routed_until_s: float, chosen_until_s: float, use_s: float
) -> str:
    if record["outcome"] in (Outcome.OK, Outcome.OTHER):
        return UNEXPLAINED
    begun_s = ((int(record["sent_ns"]) or int(record["intended_ns"])) - start_mono_ns) / 1e9
    ended_s = (int(record["end_ns"]) - start_mono_ns) / 1e9
    is_routed = hops.struck > 0 and begun_s <= routed_until_s + SLACK_S
    is_chosen = begun_s <= chosen_until_s + SLACK_S
    if any(begun_s <= end_s + SLACK_S and ended_s >= begin_s - SLACK_S for begin_s, end_s in hops.without_s):
        return "no route"
    if int(record["connection_use"]) > 1:
        if any(begun_s - use_s - SLACK_S <= change_s <= ended_s + SLACK_S for change_s in hops.changes_s):
            return "moved"
        return "established" if is_routed or is_chosen else UNEXPLAINED
    if is_routed and is_chosen and not hops.were_all_struck:
        return "next hop or endpoint"
    if is_routed:
        return "next hop"
    return "endpoint" if is_chosen else UNEXPLAINED
