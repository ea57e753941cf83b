"""The kernel's side of iptables-restore and iptables-save, for the commands that the rendering uses."""

from __future__ import annotations

from nodeagent.proxy.iptables.chains import JUMPS
from nodeagent.proxy.rules import RulesError


class Kernel:
    """Chains of the tables as iptables-restore would leave them; refuses rules that lead to chains that are not there."""

    def __init__(self) -> None:
        self.chains: dict[str, dict[str, list[str]]] = {table: {} for table in ("filter", "nat")}
        for table, jumps in JUMPS.items():
            self.chains[table] = {chain: [] for chain, _ in jumps}
        self.texts: list[str] = []
        self.fails = False

    def restore(self, text: str) -> None:
        if self.fails:
            raise RulesError("`iptables-restore` gave 4: another app is currently holding the xtables lock")
        self.texts.append(text)
        table = ""
        for line in text.splitlines():
            match line.split(" ", 2):
                case [star] if star.startswith("*"):
                    table = star[1:]
                case [chain, "-", _] if chain.startswith(":"):
                    self.chains[table][chain[1:]] = []
                case ["-A" | "-I" as where, chain, rule]:
                    target = rule.partition(" -j ")[2].partition(" ")[0] if " -j " in f" {rule}" else ""
                    assert not target.startswith("KUBE-") or target in self.chains[table], line
                    self.chains[table][chain].insert(0 if where == "-I" else len(self.chains[table][chain]), rule)
                case ["-X", chain]:
                    led = [rule for rules in self.chains[table].values() for rule in rules if rule.endswith(f"-j {chain}")]
                    assert not led, f"{chain} is deleted while {led} lead to it"
                    del self.chains[table][chain]
                case ["COMMIT"]:
                    table = ""
                case _:
                    raise AssertionError(line)

    def save(self) -> dict[str, str]:
        return {
            table: "".join(f":{name} - [0:0]\n" for name in chains)
            + "".join(f"-A {name} {rule}\n" for name, rules in chains.items() for rule in rules)
            for table, chains in self.chains.items()
        }

    def has_chain(self, table: str, chain: str) -> bool:
        return chain in self.chains[table]

    def ours(self) -> dict[str, dict[str, list[str]]]:
        return {table: dict(sorted(chains.items())) for table, chains in self.chains.items()}
