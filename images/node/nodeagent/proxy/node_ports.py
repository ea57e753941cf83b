"""At which of the node's addresses node ports and health check node ports are: kube-proxy's `--nodeport-addresses`.

Source: kubernetes.io, reference of kube-proxy's flags; pkg/proxy/util, NodePortAddresses.
"""

from __future__ import annotations

import json
import subprocess  # noqa: TID251 - Python has no getifaddrs(3)
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

EVERYWHERE = IPv4Network("0.0.0.0/0")
DEFAULTS = {"nftables": "primary", "iptables": "all"}
DEADLINE_S = 5.0


def read_node_addresses() -> tuple[str, ...]:
    """The IPv4 addresses of the node's interfaces, 127.0.0.1 among them; none where they cannot be read."""
    argv = ["ip", "-json", "-4", "address", "show"]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=DEADLINE_S, check=True)
    except (OSError, subprocess.SubprocessError):  # kube-proxy too goes on without
        return ()
    return tuple(str(found["local"]) for link in json.loads(done.stdout) for found in link["addr_info"])


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePortAddresses:
    """`networks`: the node's addresses in one of them; None: the node's own address alone, whatever else it has."""

    node_ip: str
    networks: tuple[IPv4Network, ...] | None
    read: Callable[[], Iterable[str]] = read_node_addresses

    @property
    def depend_on_interfaces(self) -> bool:
        """Whether the node has to have its addresses before it is known which of them are meant."""
        return self.networks is not None and EVERYWHERE not in self.networks

    def now(self) -> tuple[str, ...] | None:
        """Those that the node has now, in order; None: all, also those that it will have."""
        if self.networks is None:
            return (self.node_ip,)
        if not self.depend_on_interfaces:
            return None
        found = {address for address in map(IPv4Address, self.read()) if any(address in item for item in self.networks)}
        return tuple(map(str, sorted(found)))


def read_node_port_networks(setting: str | Sequence[str] | None, mode: str) -> tuple[IPv4Network, ...] | None:
    """`primary`, `all` or networks; None: the mode's own default. Raises ValueError for anything else."""
    wanted = setting or DEFAULTS[mode]
    if wanted == "primary":
        return None
    if wanted == "all":
        return (EVERYWHERE,)
    if isinstance(wanted, str):
        raise ValueError(f"{wanted!r}; allowed: primary, all, or a list of networks")
    return tuple(map(IPv4Network, wanted))
