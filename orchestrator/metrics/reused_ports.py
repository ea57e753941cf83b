"""Client ports that come round again: a node's connection table still leads them where an earlier, unanswered connection went."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from orchestrator.model.plan import LoadClassPlan, PathPlan
from orchestrator.model.samples import Outcome, Records, Samples

STALE_ENTRY = "stale entry"
"""The cause that such a loss is put to when nothing else explains it."""
SYN_SENT_S = 120.0
"""How long a connection that nobody answered stays in the table (`nf_conntrack_tcp_timeout_syn_sent`, the kernel's default)."""
BESIDE_S = 0.5
UNANSWERED = (Outcome.CONNECT_TIMEOUT, Outcome.UNREACHABLE)
LEAVING = (*UNANSWERED, Outcome.RESPONSE_TIMEOUT)
"""A frozen pod's kernel takes the connection and nobody answers the request: the entry stands until both sides have closed it."""
SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ReusedPort:
    """A connection that nobody answered, from a port from which an earlier one had not been answered either."""

    sent_ns: int
    port: int
    after_s: float
    """Since the earlier one was begun."""


def find_reused_ports(path: PathPlan, load: LoadClassPlan, classes: Iterable[LoadClassPlan], asked: Samples) -> list[ReusedPort]:
    """Of one class, `asked` being all requests of its path; empty where a log would have to tell more than the samples do.

    Three things must hold, or it is none. The earlier connection went to the same address and port at most `SYN_SENT_S` before,
    and nobody answered it, or the request on it. Nobody answered one from this port in between. Connections from other ports
    within `BESIDE_S` were all answered. Behind a load balancer the nodes see a port of the load balancer's own, which its log
    does not tell; UDP flows that lost their endpoint are taken out of the table by the nodes' rule writer.
    """
    destination = _destination(load)
    if path.frontend is not None or destination is None:
        return []
    alike = {other.connection_class for other in classes if other.path == path.name and _destination(other) == destination}
    records = asked.where(np.isin(asked.column("class_id"), sorted(alike)) & (asked.records["sent_ns"] > 0)).records
    records = records[np.argsort(records["sent_ns"], kind="stable")]
    fresh = records["connection_use"] <= 1
    unanswered = fresh & np.isin(records["outcome"], UNANSWERED)
    suspects = _suspects(records, unanswered, np.isin(records["outcome"], LEAVING))
    beside = fresh & ~np.isin(np.arange(len(records)), list(suspects))
    return [
        ReusedPort(sent_ns=int(records["sent_ns"][index]), port=int(records["local_port"][index]), after_s=after_s)
        for index, after_s in suspects.items()
        if asked.strings[records["class_id"][index]] == load.connection_class and _are_answered(records, beside, index)
    ]


def describe_reused(found: Iterable[ReusedPort]) -> str:
    """The evidence: which ports, and how long after their first use."""
    ports = [f"{item.port} {item.after_s:.1f} s" for item in found]
    more = f" and {len(ports) - SHOWN} more" if len(ports) > SHOWN else ""
    return (
        f"client port {', '.join(ports[:SHOWN])}{more} after a connection from it that nobody answered, "
        f"which a node's connection table keeps for {SYN_SENT_S:g} s; those beside it were answered"
    )


def _destination(load: LoadClassPlan) -> tuple[str, int] | None:
    """Address and port that a TCP connection of the class goes to; None for UDP."""
    url = urlsplit(load.url)
    if url.scheme == "udp":
        return None
    return load.connect_to or str(url.hostname), url.port or (443 if url.scheme == "https" else 80)


def _suspects(records: Records, unanswered: np.ndarray, leaving: np.ndarray) -> dict[int, float]:
    """Index -> seconds since the earlier connection from its port, where neither was answered and none in between was."""
    ports = np.unique(records["local_port"][unanswered])
    latest: dict[int, int | None] = {}
    found: dict[int, float] = {}
    for index in np.flatnonzero(np.isin(records["local_port"], ports)):
        port, sent_ns = int(records["local_port"][index]), int(records["sent_ns"][index])
        earlier_ns = latest.get(port)
        if unanswered[index] and earlier_ns is not None and sent_ns - earlier_ns <= SYN_SENT_S * 1e9:
            found[int(index)] = (sent_ns - earlier_ns) / 1e9
        latest[port] = sent_ns if leaving[index] else None
    return found


def _are_answered(records: Records, beside: np.ndarray, index: int) -> bool:
    """Whether there were connections beside it, and every one succeeded."""
    first, last = np.searchsorted(records["sent_ns"], records["sent_ns"][index] + np.array([-1, 1]) * round(BESIDE_S * 1e9))
    near = beside[first:last]
    return bool(near.any()) and bool((records["outcome"][first:last][near] == Outcome.OK).all())
