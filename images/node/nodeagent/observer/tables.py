"""Which endpoints the rules in the kernel send each service port to, read from kube-proxy's own chains. Pure.

Keys are those of our own events, `ns/name:port`; a service port without endpoints has no chain and is not there.
Sources: kubernetes, pkg/proxy/nftables and pkg/proxy/iptables (chain names and comments).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

Programmed = Mapping[str, frozenset[str]]

SERVICE_CHAIN = re.compile(r"service-[A-Z2-7]{8}-(?P<namespace>[^/]+)/(?P<name>[^/]+)/(?P<protocol>[^/]+)/(?P<port>.*)")
ENDPOINT_CHAIN = re.compile(r"endpoint-.*__(?P<ip>[^/]+)/(?P<port>\d+)")
CLUSTER_IP_COMMENT = " cluster IP"


def read_nftables(listing: str) -> Programmed | None:
    """From `nft --json list table ip kube-proxy`; None while kube-proxy has not written its first rules."""
    items = json.loads(listing)["nftables"]
    if not any(item.get("chain", {}).get("name") == "services" for item in items):
        return None
    found: dict[str, set[str]] = {}
    for item in items:
        rule = item.get("rule")
        chain = None if rule is None else SERVICE_CHAIN.fullmatch(rule["chain"])
        if chain is not None:
            key = f"{chain['namespace']}/{chain['name']}:{chain['port']}"
            found.setdefault(key, set()).update(_targets(rule["expr"]))
    return {key: frozenset(targets) for key, targets in found.items()}


def _targets(tree: Any) -> Iterator[str]:
    """Addresses of a map (`ip . port`), and those in the names of endpoint chains, wherever they stand in a rule."""
    match tree:
        case {"concat": [str(ip), int(port)]}:
            yield f"{ip}:{port}"
        case {"target": str(target)}:
            if endpoint := ENDPOINT_CHAIN.fullmatch(target):
                yield f"{endpoint['ip']}:{endpoint['port']}"
        case dict():
            for value in tree.values():
                yield from _targets(value)
        case list():
            for value in tree:
                yield from _targets(value)


def read_iptables(saved: str) -> Programmed | None:
    """From `iptables-save -t nat`; None while kube-proxy has not written its first rules.

    The comments in KUBE-SERVICES name the services; those at endpoints are left out of large clusters.
    """
    rules = [_words(line) for line in saved.splitlines() if line.startswith("-A KUBE-")]
    if not any(chain == "KUBE-SERVICES" for chain, _ in rules):
        return None
    names: dict[str, str] = {}
    endpoints: dict[str, set[str]] = {}
    addresses: dict[str, str] = {}
    for chain, options in rules:
        target, comment = options.get("-j", ""), options.get("--comment", "")
        if chain == "KUBE-SERVICES" and comment.endswith(CLUSTER_IP_COMMENT):
            name = comment.removesuffix(CLUSTER_IP_COMMENT)
            names[_hash(target)] = name if ":" in name else f"{name}:"
        elif chain.startswith("KUBE-SVC-") and target.startswith("KUBE-SEP-"):
            endpoints.setdefault(_hash(chain), set()).add(target)
        elif chain.startswith("KUBE-SEP-") and target == "DNAT":
            addresses[chain] = options["--to-destination"]
    return {
        names[digest]: frozenset(addresses[chain] for chain in chains if chain in addresses)
        for digest, chains in endpoints.items()
        if digest in names
    }


def _hash(chain: str) -> str:
    """KUBE-SVC-, KUBE-SVL- and KUBE-EXT- of one service port share it."""
    return chain.rpartition("-")[2]


def _words(line: str) -> tuple[str, Mapping[str, str]]:
    """Chain and options; of one given twice the last."""
    _, chain, *rest = shlex.split(line)
    return chain, {word: rest[index + 1] for index, word in enumerate(rest[:-1]) if word.startswith("-")}
