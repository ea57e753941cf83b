"""What iptables-restore is told (iptables-restore(8), with --noflush): whole chains replaced, others untouched. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from nodeagent.proxy.iptables.chains import CANARY, JUMPS, Tables
from nodeagent.proxy.iptables.port_rules import MARK_MASQ, Chains

TABLES = ("filter", "nat")
PORTION = 20
"""Service ports."""
_CHAIN = re.compile(r"^:(\S+) ", re.MULTILINE)
_OURS = re.compile(r"^KUBE-(?:SVC|SVL|EXT|FW|SEP)-")


def render_partial(applied: Tables, desired: Tables) -> str:
    """From one state to another: the chains of services that differ, and the shared ones of nat, as kube-proxy does.

    Two things are spared that it writes every time, because they would be most of a sync's time: a filter table that does not
    change, and in a large cluster shared chains of nat that do not.
    """
    before = _own_of_others(applied, desired)
    after = _own_of_others(desired, applied)
    changed = {name: rules for name, rules in after.items() if before.get(name) != rules}
    gone = [name for name in before if name not in after]
    shared = {
        table: chains
        for table, chains in desired.shared.items()
        if chains != applied.shared[table] or (table == "nat" and not desired.is_large)
    }
    # The filter table first, as kube-proxy: for a moment both states can be met, which nftables does not have.
    sections = [
        _section("filter", shared.get("filter", {})),
        _section("nat", {**changed, **shared.get("nat", {})}, doomed=gone),
    ]
    return "".join(filter(None, sections))


def render_full(desired: Tables, saved: Mapping[str, str]) -> str:
    """Over whatever an earlier life left. `saved`: iptables-save's text of each table."""
    left = set(_CHAIN.findall(saved.get("nat", "")))
    own = desired.own
    gone = sorted(name for name in left if _OURS.match(name) and name not in own)
    missing = {
        # Before whatever stands there, as kube-proxy does; so the last one goes in first.
        table: [f"-I {chain} {rule}" for chain, rule in reversed(jumps) if not _has(saved.get(table, ""), chain, rule)]
        for table, jumps in JUMPS.items()
    }
    # Nothing leads to the services' own chains before the shared ones stand. Many chains at once take iptables-restore a time
    # that grows with their square: 11,000 of them 5 s, in portions 0.4 s.
    masquerade = desired.shared["nat"][MARK_MASQ]
    ports = [rules.own for rules in desired.ports.values() if rules.own]
    portions = [ports[first : first + PORTION] for first in range(0, len(ports), PORTION)]
    return "".join(
        (
            *(_section("nat", {MARK_MASQ: masquerade, **_merged(portion)}) for portion in portions),
            _section("filter", {**desired.shared["filter"], CANARY: ()}, jumps=missing["filter"]),
            _section("nat", {**desired.shared["nat"], CANARY: ()}, jumps=missing["nat"], doomed=gone),
        )
    )


def _section(
    table: str, chains: Mapping[str, tuple[str, ...]], *, jumps: Iterable[str] = (), doomed: Collection[str] = ()
) -> str:
    """One table up to its COMMIT; empty when there is nothing to do."""
    if not (chains or doomed):
        return ""
    lines = [f"*{table}"]
    # Naming a chain of one's own empties it.
    lines += [f":{name} - [0:0]" for name in (*chains, *doomed)]
    lines += [f"-A {name} {rule}" for name, rules in chains.items() for rule in rules]
    lines += [*jumps, *(f"-X {name}" for name in doomed), "COMMIT"]
    return "\n".join(lines) + "\n"


def _own_of_others(tables: Tables, others: Tables) -> dict[str, tuple[str, ...]]:
    """The own chains of the service ports that are not the very same in both."""
    return _merged(rules.own for port, rules in tables.ports.items() if others.ports.get(port) is not rules)


def _merged(chains: Iterable[Chains]) -> dict[str, tuple[str, ...]]:
    return {name: rules for some in chains for name, rules in some.items()}


def _has(saved: str, chain: str, rule: str) -> bool:
    return f"-A {chain} {rule}\n" in saved
