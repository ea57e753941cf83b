"""Which endpoints a service port uses on this node (KEP-1669, KEP-2086). Pure.

nil conditions: ready true, serving true, terminating false (discovery/v1). A list falls back from ready endpoints to those that
are serving while terminating; the cluster's and the node's own list fall back independently. Hints narrow the cluster's list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Endpoint:
    """One address and port behind a service port."""

    ip: str
    port: int
    ready: bool
    serving: bool
    terminating: bool
    local: bool
    for_zones: tuple[str, ...] = ()
    for_nodes: tuple[str, ...] = ()
    """Hints: for whom the EndpointSlice's maker meant it."""

    @property
    def target(self) -> str:
        return f"{self.ip}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usable:
    """What a service port may use: from anywhere, and with policy Local. `every`: all that it has, usable or not."""

    cluster: tuple[Endpoint, ...]
    local: tuple[Endpoint, ...]
    # Rules do not depend on it, so two that differ only here have the same rules.
    every: tuple[Endpoint, ...] = field(default=(), compare=False)

    @property
    def anywhere(self) -> bool:
        return bool(self.cluster)


def read_endpoints(slices: Iterable[Object], port_name: str, protocol: str, node: str) -> tuple[Endpoint, ...]:
    """The endpoints of a port by its name and protocol (lower case), sorted by `ip:port`.

    Of duplicates the last that is not terminating wins, else the first.
    """
    found: dict[str, Endpoint] = {}
    for item in slices:
        if item.get("addressType") != "IPv4":
            continue
        numbers = [entry.get("port") for entry in item.get("ports") or () if _port_key(entry) == (port_name, protocol)]
        for number in filter(None, numbers):
            for entry in item.get("endpoints") or ():
                if not entry.get("addresses"):
                    continue
                endpoint = _read_endpoint(entry, number, node)
                known = found.get(endpoint.target)
                if known is None or not endpoint.terminating:
                    found[endpoint.target] = endpoint
    return tuple(found[target] for target in sorted(found))


def read_slice(item: Object) -> tuple[Endpoint, ...]:
    """All its endpoints, by all its ports. Raises KeyError, TypeError and the like where it is no EndpointSlice."""
    return tuple(endpoint for endpoints in by_port([item], "").values() for endpoint in endpoints)


def read_local_ready(slices: Sequence[Object], node: str) -> frozenset[str]:
    """Addresses of the ready endpoints on this node, by whatever port, also by one that the Service does not have."""
    return frozenset(item.ip for endpoints in by_port(slices, node).values() for item in endpoints if item.local and item.ready)


def by_port(slices: Sequence[Object], node: str) -> dict[tuple[str, str], tuple[Endpoint, ...]]:
    """Endpoints of one service by name and protocol of the port, also of ports that the Service does not have."""
    keys = dict.fromkeys(_port_key(entry) for item in slices for entry in item.get("ports") or ())
    return {(name, protocol): read_endpoints(slices, name, protocol, node) for name, protocol in keys}


def _port_key(entry: Object) -> tuple[str, str]:
    """Name and protocol of a slice's port."""
    return entry.get("name") or "", (entry.get("protocol") or "TCP").lower()


def _read_endpoint(entry: Object, port: int, node: str) -> Endpoint:
    conditions = entry.get("conditions") or {}
    ready = conditions.get("ready")
    serving = conditions.get("serving")
    ready = True if ready is None else ready
    return Endpoint(
        ip=entry["addresses"][0],
        port=port,
        ready=ready,
        serving=True if serving is None else serving,
        terminating=bool(conditions.get("terminating")),
        local=entry.get("nodeName") == node,
        for_zones=_names((entry.get("hints") or {}).get("forZones")),
        for_nodes=_names((entry.get("hints") or {}).get("forNodes")),
    )


def _names(hints: Iterable[Object] | None) -> tuple[str, ...]:
    return tuple(item.get("name") or "" for item in hints or ())


def choose_endpoints(endpoints: Iterable[Endpoint], *, node: str = "", zone: str = "") -> Usable:
    """`node`, `zone`: for whom hints are followed; they never concern the node's own list."""
    every = tuple(endpoints)
    ready = tuple(item for item in every if item.ready)
    cluster = _hinted(ready, node=node, zone=zone) or _leaving(every)
    local = tuple(item for item in every if item.local)
    return Usable(cluster=cluster, local=tuple(item for item in local if item.ready) or _leaving(local), every=every)


def _leaving(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    return tuple(item for item in endpoints if item.serving and item.terminating)


def _hinted(ready: tuple[Endpoint, ...], *, node: str, zone: str) -> tuple[Endpoint, ...]:
    """Those meant for this node, else for its zone (KEP-2433, KEP-3015); all where one has no hint, or none is meant for it."""
    for wanted, hints in ((node, [item.for_nodes for item in ready]), (zone, [item.for_zones for item in ready])):
        if wanted and all(hints) and any(wanted in names for names in hints):
            return tuple(item for item, names in zip(ready, hints, strict=True) if wanted in names)
    return ready
