"""HAProxy's half of the routing: map files made of a routing table, and the rules that look a request up in them. Pure.

Six lookups at most: for the host, for its wildcard and for no host, the exact path and then the longest prefix (`map_beg` finds
the longest key that the text begins with).

Source: HAProxy 2.6 configuration manual, section 7.3.1 (host_only, map, regsub, concat) and 4.2 (use_backend).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lbagent.ingress.routing import Target

UNAVAILABLE = "/unavailable"
"""Stands in a map for a backend that cannot be served; no backend can be called so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPaths:
    """Where the two maps lie."""

    exact: Path
    prefix: Path


def render_map(entries: Mapping[str, Target | None], name_of: Callable[[Target], str]) -> str:
    """One `key value` line for each, sorted."""
    lines = (f"{key} {UNAVAILABLE if target is None else name_of(target)}" for key, target in sorted(entries.items()))
    return "".join(f"{line}\n" for line in lines)


def render_lookups(maps: MapPaths) -> tuple[str, ...]:
    """Rules of a frontend that leave the backend's name in `txn.backend`, unset where nothing matches."""
    lines = [
        "http-request set-var(txn.path) path",
        "http-request set-var(txn.host) req.hdr(host),host_only,lower,rtrim(.)",
        "http-request set-var(txn.wildcard) var(txn.host),regsub(^[^.]+,*)",
        "http-request set-var(txn.host) str() unless { var(txn.host) -m found }",
        "http-request set-var(txn.any) str()",
    ]
    for host in ("host", "wildcard", "any"):
        lines += [
            f"http-request set-var(txn.backend) var(txn.{host}),concat(,txn.path,),map_str({maps.exact})"
            " unless { var(txn.backend) -m found }",
            f"http-request set-var(txn.backend) var(txn.{host}),concat(,txn.path,/),map_beg({maps.prefix})"
            " unless { var(txn.backend) -m found }",
        ]
    return tuple(lines)
