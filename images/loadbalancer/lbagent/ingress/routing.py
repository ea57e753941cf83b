"""Which backend a request's host and path lead to, by the rules of Ingress (networking.k8s.io/v1). Pure.

Of the rules that a request meets, the one of the most specific host counts (exact, then wildcard, then none), of these the one
of the longest path, and of two equal paths the exact one. `maps.py` has HAProxy decide by the same table.

Source: Kubernetes, "Ingress": path types, multiple matches, hostname wildcards, DefaultBackend; API reference, IngressRule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_FIRST_LABEL = re.compile(r"^[^.]+")
_PORT = re.compile(r":\d*$")


class PathType(StrEnum):
    """How a rule's path is compared."""

    EXACT = "Exact"
    PREFIX = "Prefix"
    """Element by element, split at `/`; so a trailing `/` makes no difference."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Target:
    """A port of a Service: what a backend of HAProxy stands for."""

    service: str
    """Namespace and name."""
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One path of a rule. `target` None: its backend cannot be served, and requests for it get 503, not somebody else's pods."""

    host: str
    """In lower case; `*.example.org` for one label and no more, empty for every host."""
    path: str
    path_type: PathType
    target: Target | None


class Unrouted(StrEnum):
    """What becomes of a request that no Service gets."""

    NOT_FOUND = "404"
    """Nothing matches, and there is no default backend."""
    UNAVAILABLE = "503"
    """What matches, or the default backend, cannot be served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingTable:
    """Keys are host and path joined; a prefix ends with `/`, as does the path that it is compared with."""

    exact: Mapping[str, Target | None] = field(default_factory=dict)
    prefix: Mapping[str, Target | None] = field(default_factory=dict)
    default: Target | Unrouted = Unrouted.NOT_FOUND
    """What gets requests that no rule meets."""

    def targets(self) -> tuple[Target, ...]:
        """Every Service port that a request can reach, once each and in order."""
        found = {*self.exact.values(), *self.prefix.values(), self.default}
        return tuple(sorted(target for target in found if isinstance(target, Target)))


def key_of(route: Route) -> str:
    """Its key in the table."""
    return route.host + (route.path if route.path_type is PathType.EXACT else route.path.rstrip("/") + "/")


def make_table(routes: Iterable[Route], default: Target | Unrouted = Unrouted.NOT_FOUND) -> RoutingTable:
    """The first of two routes with the same key stays, unless it cannot be served and the other can."""
    exact: dict[str, Target | None] = {}
    prefix: dict[str, Target | None] = {}
    for route in routes:
        table, key = (exact if route.path_type is PathType.EXACT else prefix), key_of(route)
        table[key] = table.get(key) or route.target
    return RoutingTable(exact=exact, prefix=prefix, default=default)


def find_target(table: RoutingTable, host: str, path: str) -> Target | Unrouted:
    """Where a request goes. `host`: the Host header as it came, port and case and all; `path`: without the query."""
    for prefix_of_key in _hosts(host):
        if (key := prefix_of_key + path) in table.exact:
            return table.exact[key] or Unrouted.UNAVAILABLE
        matching = [known for known in table.prefix if f"{key}/".startswith(known)]
        if matching:
            return table.prefix[max(matching, key=len)] or Unrouted.UNAVAILABLE
    return table.default


def _hosts(header: str) -> Iterator[str]:
    """The hosts of rules that a Host header meets, the most specific first."""
    host = _PORT.sub("", header).lower().rstrip(".")
    yield host
    yield _FIRST_LABEL.sub("*", host)
    yield ""
