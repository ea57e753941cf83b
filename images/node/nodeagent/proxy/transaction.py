"""The commands of nft(8) that turn one state of kube-proxy's table into another, all at once. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from nodeagent.proxy.ruleset import BASE_CHAINS, SETS, TABLE, VERDICT_MAPS, Ruleset


def render_table(after: Ruleset) -> list[str]:
    """Commands that make the empty table anew: whatever an earlier life left is gone in the same transaction."""
    commands = [f"add table {TABLE}", f"delete table {TABLE}", f"add table {TABLE}"]
    commands += [f"add chain {TABLE} {name} {{ {hook}; policy accept; }}" for name, hook in BASE_CHAINS.items()]
    commands += [f"add map {TABLE} {name} {{ type {kind}; }}" for name, kind in VERDICT_MAPS.items()]
    return commands + [f"add set {TABLE} {name} {{ type {kind}; }}" for name, kind in SETS.items() if name in after.elements]


def render_transaction(before: Ruleset | None, after: Ruleset) -> str:
    """The commands that turn one state into the other; None: whatever is there becomes `after`. Empty when nothing changes.

    New chains exist before anything leads to them; what leads to an old chain goes before the chain does.
    """
    commands = render_table(after) if before is None else []
    old = before or Ruleset()
    new_sets, gone_sets = after.affinity_sets - old.affinity_sets, old.affinity_sets - after.affinity_sets
    commands += [f"add set {TABLE} {name} {{ type ipv4_addr; flags dynamic,timeout; }}" for name in sorted(new_sets)]
    changed = {name: rules for name, rules in after.chains.items() if old.chains.get(name) != rules}
    commands += [f"add chain {TABLE} {name}" for name in changed if name not in BASE_CHAINS and name not in old.chains]
    for name, rules in changed.items():
        if name in old.chains:
            commands.append(f"flush chain {TABLE} {name}")
        commands += [f"add rule {TABLE} {name} {rule}" for rule in rules]
    for name in (*VERDICT_MAPS, *SETS):
        commands += _render_elements(name, old.elements.get(name, {}), after.elements.get(name, {}))
    gone = [name for name in old.chains if name not in after.chains]
    commands += [f"flush chain {TABLE} {name}" for name in gone]
    commands += [f"delete chain {TABLE} {name}" for name in gone]
    commands += [f"delete set {TABLE} {name}" for name in sorted(gone_sets)]
    return "\n".join(commands)


def _render_elements(name: str, old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    removed = [key for key, value in old.items() if new.get(key) != value]
    added = [key if not value else f"{key} : {value}" for key, value in new.items() if old.get(key) != value]
    commands = [f"delete element {TABLE} {name} {{ {', '.join(removed)} }}"] if removed else []
    return [*commands, f"add element {TABLE} {name} {{ {', '.join(added)} }}"] if added else commands
