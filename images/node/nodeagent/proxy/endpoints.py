"""Which endpoints a service port uses on this node (KEP-1669, KEP-2086). Pure.

nil conditions: ready true, serving true, terminating false (discovery/v1). A list falls back from ready endpoints to those that
are serving while terminating; the cluster's and the node's own list fall back independently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def read_endpoints(slices: Iterable[Object], port_name: str, node: str) -> tuple[Endpoint, ...]:
    """The endpoints of a port by its name, sorted by `ip:port`; of duplicates one that is not terminating wins."""
    found: dict[str, Endpoint] = {}
    for item in slices:
        if item.get("addressType") != "IPv4":
            continue
        numbers = [entry.get("port") for entry in item.get("ports") or () if (entry.get("name") or "") == port_name]
        for number in filter(None, numbers):
            for entry in item.get("endpoints") or ():
                if not entry.get("addresses"):
                    continue
                endpoint = _read_endpoint(entry, number, node)
                known = found.get(endpoint.target)
                if known is None or (known.terminating and not endpoint.terminating):
                    found[endpoint.target] = endpoint
    return tuple(found[target] for target in sorted(found))


def _read_endpoint(entry: Object, port: int, node: str) -> Endpoint:
    conditions = entry.get("conditions") or {}
    ready = conditions.get("ready")
    serving = conditions.get("serving")
    ready = True if ready is None else ready
    return Endpoint(
        ip=entry["addresses"][0],
        port=port,
        ready=ready,
        serving=ready if serving is None else serving,
        terminating=bool(conditions.get("terminating")),
        local=entry.get("nodeName") == node,
    )


def choose_endpoints(endpoints: Iterable[Endpoint]) -> Usable:
    every = tuple(endpoints)
    return Usable(cluster=_usable(every), local=_usable(tuple(item for item in every if item.local)), every=every)


def _usable(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    ready = tuple(item for item in endpoints if item.ready)
    return ready or tuple(item for item in endpoints if item.serving and item.terminating)
