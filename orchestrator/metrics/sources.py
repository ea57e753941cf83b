"""Whose address the pods saw: what is left of the client's own after load balancer, routes and masquerading."""

from collections import Counter
from ipaddress import IPv4Address, IPv4Network

import numpy as np

from orchestrator.model.measurements import SourceSeen
from orchestrator.model.plan import Plan, Role
from orchestrator.model.samples import Samples

_OWNERS = {
    Role.CLIENT: "client",
    Role.LOADBALANCER: "load balancer",
    Role.GATEWAY: "gateway",
    Role.NODE: "node",
    Role.CONTROLPLANE: "control plane",
}
OTHER = "other"


def measure_sources(plan: Plan, samples: Samples) -> tuple[SourceSeen, ...]:
    """One for each path, from the ok requests in which a pod told the address that it saw.

    A node masquerades with its own address towards other nodes, and with its pod bridge's (the first address of its pod CIDR)
    towards its own pods: both are the node's.

    Source: kube-proxy's masquerading rule; netfilter takes the address of the interface that the packet leaves by.
    """
    owners = {
        attachment.address: _OWNERS.get(container.role, OTHER)
        for container in plan.containers
        for attachment in container.attachments
    }
    pods = plan.cluster.get("pod_network")
    pod_network = IPv4Network(pods) if isinstance(pods, str) else None
    return tuple(_of(path.name, samples.of(path.name), owners, pod_network) for path in plan.paths)


def _of(path: str, own: Samples, owners: dict[IPv4Address, str], pod_network: IPv4Network | None) -> SourceSeen:
    told = own.where(own.ok & np.asarray(own.records["client_id"] != 0))
    names, counts = np.unique(told.column("client_id"), return_counts=True)
    seen = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
    by_owner: Counter[str] = Counter()
    for text, count in seen.items():
        by_owner[_owner(text, owners, pod_network)] += count
    total = len(told)
    return SourceSeen(
        path=path,
        requests=total,
        share_by_owner={owner: count / total for owner, count in by_owner.most_common()},
        addresses=tuple(sorted(seen, key=lambda text: -seen[text])),
        source_kept=None if not total else set(by_owner) == {"client"},
    )


def _owner(text: str, owners: dict[IPv4Address, str], pod_network: IPv4Network | None) -> str:
    try:
        address = IPv4Address(text)
    except ValueError:
        return OTHER
    if address in owners:
        return owners[address]
    return "node" if pod_network is not None and address in pod_network else OTHER
