"""Pod CIDRs of Nodes: the number in the name decides, so that a node that returns has its own, and node-1 the first."""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import IPv4Network

TRAILING_NUMBER = re.compile(r"-([0-9]{1,9})$")


class NoCidrError(Exception):
    """Every subnet of the cluster CIDR is assigned."""


def pick_pod_cidr(name: str, *, cluster_cidr: IPv4Network, mask_size: int, used: Collection[IPv4Network]) -> IPv4Network:
    """Subnet N for a name that ends in -N while it is free, else the lowest free one; subnet 0 is the last resort.

    Raises:
        NoCidrError: none is free.
    """
    count = 1 << (mask_size - cluster_cidr.prefixlen)
    match = TRAILING_NUMBER.search(name)
    wanted = [int(match.group(1))] if match is not None and int(match.group(1)) < count else []
    taken = set(used)
    for number in (*wanted, *range(1, count), 0):
        subnet = IPv4Network((int(cluster_cidr.network_address) + (number << (32 - mask_size)), mask_size))
        if subnet not in taken:
            return subnet
    raise NoCidrError(f"all {count} subnets of {cluster_cidr} are assigned")
