"""The pod addresses of a node, as the CNI plugin host-local gives them."""

from __future__ import annotations

import asyncio
import contextlib
from ipaddress import IPv4Address, IPv4Network


class AddressesSpentError(Exception):
    """All are taken."""


class Addresses:
    """Pod addresses of the CIDR: .2 up, in turn, so that a new pod is not taken for the one that just left."""

    def __init__(self, pod_cidr: IPv4Network) -> None:
        self._cidr = pod_cidr
        self._next = 0
        self._taken: set[IPv4Address] = set()
        self._freed = asyncio.Event()

    def take(self) -> IPv4Address:
        """Raises AddressesSpentError."""
        count = self._cidr.num_addresses - 3  # network, bridge, broadcast
        for _ in range(count):
            address = self._cidr[2 + self._next % count]
            self._next += 1
            if address not in self._taken:
                self._taken.add(address)
                return address
        where = f"{self._cidr[2]}-{self._cidr[1 + count]}"
        raise AddressesSpentError(f"failed to allocate for range 0: no IP addresses available in range set: {where}")

    def claim(self, address: IPv4Address) -> None:
        self._taken.add(address)

    def release(self, address: IPv4Address) -> None:
        self._taken.discard(address)
        # Wakes everybody who waits now; a later waiter waits for the next.
        self._freed.set()
        self._freed.clear()

    async def wait_for_release(self, limit_s: float) -> None:
        """Until one comes back, or this long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._freed.wait(), limit_s)
