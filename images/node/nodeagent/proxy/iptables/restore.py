"""What iptables-restore is told (iptables-restore(8), with --noflush): whole chains replaced, others untouched. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from nodeagent.proxy.iptables.chains import CANARY, JUMPS, Tables

TABLES = ("filter", "nat")
_CHAIN = re.compile(r"^:(\S+) ", re.MULTILINE)
_OURS = re.compile(r"^KUBE-(?:SVC|SVL|EXT|FW|SEP)-")


def render_partial(applied: Tables, desired: Tables) -> str:
    """From one state to another: the shared chains, and the chains of services that differ."""
    changed = {name: rules for name, rules in desired.own.items() if applied.own.get(name) != rules}
    gone = [name for name in applied.own if name not in desired.own]
    return _render(desired, changed, gone, {})


def render_full(desired: Tables, saved: Mapping[str, str]) -> str:
    """Over whatever an earlier life left. `saved`: iptables-save's text of each table."""
    there = {table: set(_CHAIN.findall(saved.get(table, ""))) for table in TABLES}
    gone = sorted(name for name in there["nat"] if _OURS.match(name) and name not in desired.own)
    missing = {
        table: [f"-A {chain} {rule}" for chain, rule in jumps if not _has(saved.get(table, ""), chain, rule)]
        for table, jumps in JUMPS.items()
    }
    return _render(desired, desired.own, gone, missing, with_canary=True)


def canaries_missing(saved: Mapping[str, str]) -> bool:
    """Whether somebody has flushed a table of ours."""
    return any(f":{CANARY} " not in saved.get(table, "") for table in TABLES)


def _render(
    desired: Tables,
    own: Mapping[str, tuple[str, ...]],
    gone: Iterable[str],
    jumps: Mapping[str, Collection[str]],
    *,
    with_canary: bool = False,
) -> str:
    lines: list[str] = []
    # The filter table first, as kube-proxy: for a moment both states can be met, which nftables does not have.
    for table in TABLES:
        chains = {**desired.shared[table], **(own if table == "nat" else {})}
        doomed = list(gone) if table == "nat" else []
        lines.append(f"*{table}")
        # Naming a chain of one's own empties it.
        lines += [f":{name} - [0:0]" for name in (*chains, *doomed, *([CANARY] if with_canary else []))]
        lines += [f"-A {name} {rule}" for name, rules in chains.items() for rule in rules]
        lines += jumps.get(table, ())
        lines += [f"-X {name}" for name in doomed]
        lines.append("COMMIT")
    return "\n".join(lines) + "\n"


def _has(saved: str, chain: str, rule: str) -> bool:
    return f"-A {chain} {rule}\n" in saved
