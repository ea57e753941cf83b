"""Host ports of the node's pods, and the rules of nftables that lead there, as the CNI plugin portmap writes them. Pure.

Source: containernetworking/plugins, plugins/meta/portmap, back end nftables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from nodeagent.kubelet.pod_spec import HostPort, PodSpec

TABLE = "ip cni_hostport"
_CHAINS = f"""\
add table {TABLE} {{ comment "CNI portmap plugin" ; }}
add chain {TABLE} hostip_hostports
add chain {TABLE} hostports
add chain {TABLE} hostports_all
add chain {TABLE} prerouting {{ type nat hook prerouting priority dstnat ; }}
add chain {TABLE} output {{ type nat hook output priority -100 ; }}
add chain {TABLE} masquerading {{ type nat hook postrouting priority srcnat ; }}
flush table {TABLE}
add rule {TABLE} prerouting fib daddr type local jump hostports_all
add rule {TABLE} output fib daddr type local jump hostports_all
add rule {TABLE} hostports_all jump hostip_hostports
add rule {TABLE} hostports_all jump hostports
"""
# Naming a table before its deletion makes it no error that there is none.
_NOTHING = f"add table {TABLE}\ndelete table {TABLE}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedPod:
    """A pod in a namespace of its own whose ports are also the node's."""

    uid: str
    address: IPv4Interface
    """With the mask of the node's pod network."""
    ports: tuple[HostPort, ...]


def map_pod(spec: PodSpec, address: IPv4Address, pod_cidr: IPv4Network) -> MappedPod | None:
    """None: it has no host ports, or is in the node's own namespace, where no rule is needed."""
    if spec.host_network or not spec.host_ports:
        return None
    return MappedPod(uid=spec.uid, address=IPv4Interface((address, pod_cidr.prefixlen)), ports=spec.host_ports)


def render_nftables(pods: Sequence[MappedPod]) -> str:
    """The transaction after which the table holds these pods and nothing else; without pods there is no table.

    It empties the chains and keeps them, so that their hooks keep their place among others of the same priority.
    """
    if not pods:
        return _NOTHING
    return _CHAINS + "".join(f"add rule {TABLE} {rule}\n" for pod in pods for rule in _rules(pod))


def _rules(pod: MappedPod) -> Iterator[str]:
    ip, comment = pod.address.ip, f'comment "{pod.uid}"'
    for port in pod.ports:
        chain, match = ("hostports", "") if port.address is None else ("hostip_hostports", f"ip daddr {port.address} ")
        yield f"{chain} {match}{port.protocol} dport {port.port} dnat to {ip}:{port.container_port} {comment}"
    # A pod that calls itself would answer itself directly, and 127.0.0.1 is no address that a pod can answer to.
    yield f"masquerading ip saddr {ip} ip daddr {ip} masquerade {comment}"
    yield f"masquerading ip saddr 127.0.0.1 ip daddr {ip} masquerade {comment}"
