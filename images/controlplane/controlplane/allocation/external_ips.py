"""Addresses for Services of type LoadBalancer, from the pool that the plan set aside."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network


class PoolError(Exception):
    """The wanted address cannot be had, or none is left; `reason` says which in one word, as conditions do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def pick_external_ip(pool: IPv4Network, *, used: Collection[IPv4Address], wanted: str = "") -> IPv4Address:
    """The wanted address, or the lowest free one; a whole pool belongs to the testbed, its first and last address too.

    Raises:
        PoolError
    """
    taken = set(used)
    if wanted:
        try:
            address = IPv4Address(wanted)
        except ValueError:
            raise PoolError("AddressInvalid", f"{wanted!r} is not an IPv4 address") from None
        if address not in pool:
            raise PoolError("AddressOutsidePool", f"{address} is not in the pool {pool}")
        if address in taken:
            raise PoolError("AddressInUse", f"{address} is already assigned")
        return address
    for address in pool:
        if address not in taken:
            return address
    raise PoolError("PoolExhausted", f"all {pool.num_addresses} addresses of the pool {pool} are assigned")
