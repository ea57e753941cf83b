"""External addresses on the load balancer's interface, by iproute2; the only module that changes them."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Protocol

LABEL = "lb"
"""Part of an address' label after the interface's name (ip-address(8)): marks those that are ours, also for the next agent."""
DEADLINE_S = 5.0
ETH_P_ARP = 0x0806


class AddressError(Exception):
    """An address could not be added or removed; the message carries the command."""


class Addresses(Protocol):
    """What the agent needs of the interface."""

    async def add(self, wanted: Collection[IPv4Address]) -> None:
        """Add those that are missing, and tell the neighbours. Raises AddressError."""

    async def keep_only(self, wanted: Collection[IPv4Address]) -> None:
        """Remove those of ours that are not wanted. Raises AddressError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """The link that has the load balancer's own address, and what is ours on it."""

    name: str
    mac: str
    is_loopback: bool
    ours: frozenset[IPv4Address]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkAddresses:
    """The real ones."""

    beside: IPv4Address
    """The load balancer's own address: external ones go to the same interface."""

    async def add(self, wanted: Collection[IPv4Address]) -> None:
        """See `Addresses`."""
        link = await self._read()
        for address in sorted(set(wanted) - link.ours):
            # /32: on-link routes of the network stay as they are, and so does the source address of HAProxy's own connections.
            await _run("ip", "address", "add", f"{address}/32", "dev", link.name, "label", f"{link.name}:{LABEL}")
            if not link.is_loopback:
                announce(link, address)

    async def keep_only(self, wanted: Collection[IPv4Address]) -> None:
        """See `Addresses`."""
        link = await self._read()
        for address in sorted(link.ours - set(wanted)):
            await _run("ip", "address", "del", f"{address}/32", "dev", link.name)

    async def _read(self) -> Interface:
        return find_interface(json.loads(await _run("ip", "-json", "-4", "address", "show")), self.beside)


def find_interface(links: Collection[Mapping[str, Any]], beside: IPv4Address) -> Interface:
    """The interface that has this address, from the output of `ip -json address show`.

    Raises:
        AddressError: none has it.
    """
    for link in links:
        entries = link.get("addr_info") or ()
        if str(beside) in (entry.get("local") for entry in entries):
            ours = (entry["local"] for entry in entries if entry.get("label") == f"{link['ifname']}:{LABEL}")
            return Interface(
                name=link["ifname"],
                mac=link.get("address", ""),
                is_loopback="LOOPBACK" in (link.get("flags") or ()),
                ours=frozenset(map(IPv4Address, ours)),
            )
    raise AddressError(f"no interface has {beside}, the load balancer's own address")


def render_announcement(mac: str, address: IPv4Address) -> bytes:
    """The Ethernet frame of an ARP announcement: a request for one's own address, to everybody (RFC 5227 section 3)."""
    own = bytes.fromhex(mac.replace(":", ""))
    everybody, nobody = b"\xff" * 6, b"\x00" * 6
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    return everybody + own + ETH_P_ARP.to_bytes(2) + head + own + address.packed + nobody + address.packed


def announce(link: Interface, address: IPv4Address) -> None:
    """Tell the neighbours where the address is now; one that had it from another machine would go on sending there.

    Raises:
        AddressError: the interface is down.
    """
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP)) as raw:
            raw.bind((link.name, ETH_P_ARP))
            raw.send(render_announcement(link.mac, address))
    except OSError as error:
        raise AddressError(f"ARP announcement of {address} on {link.name}: {error}") from error


async def _run(*argv: str) -> str:
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(DEADLINE_S):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        raise AddressError(f"`{' '.join(argv)}` did not end within {DEADLINE_S:g} s") from None
    if process.returncode != 0:
        raise AddressError(f"`{' '.join(argv)}` gave {process.returncode}: {errors.decode(errors='replace').strip()}")
    return output.decode()
