"""Where other nodes' pods are, as their Node objects tell. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

Object = Mapping[str, Any]


def read_route(node: Object) -> tuple[IPv4Network, IPv4Address] | None:
    """The node's pods and the next hop to them; None while one of them is not known.

    Raises:
        ValueError: an address or a network that is none.
    """
    cidr = (node.get("spec") or {}).get("podCIDR")
    addresses = (node.get("status") or {}).get("addresses") or ()
    address = next((item.get("address") for item in addresses if item.get("type") == "InternalIP"), None)
    return (IPv4Network(cidr), IPv4Address(address)) if cidr and address else None


def read_routes(nodes: Collection[Object], *, own: str) -> dict[IPv4Network, IPv4Address]:
    """To every node's pods but those of the node `own`."""
    return dict(route for node in nodes if node["metadata"]["name"] != own and (route := read_route(node)) is not None)
