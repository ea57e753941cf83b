"""The kernel's side of a transaction, for the commands that the renderer uses; what the kernel would refuse fails here too."""

from __future__ import annotations

import re

from nodeagent.proxy.ruleset import TABLE


class Refused(Exception):  # noqa: N818  a state, as in the kernel's words
    """As by the kernel: the whole transaction is void."""


class NftModel:
    """One table."""

    def __init__(self) -> None:
        self.exists = False
        self._clear()

    def _clear(self) -> None:
        self.chains: dict[str, list[str]] = {}
        self.base: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        self.elements: dict[str, dict[str, str]] = {}

    def state(self) -> tuple[object, ...]:
        return (self.exists, self.chains, self.base, self.kinds, self.elements)

    def apply(self, transaction: str) -> None:
        """nft checks references when a command comes, the kernel at the end as well; both are held here at each command."""
        for line in transaction.splitlines():
            try:
                self._carry_out(line)
            except KeyError as error:
                raise Refused(f"{line}: no {error}") from error

    def _carry_out(self, line: str) -> None:
        verb, kind, rest = line.split(" ", 2)
        if kind == "table":
            if verb == "delete":
                self._clear()
            self.exists = verb == "add"
            return
        if not self.exists or not rest.startswith(f"{TABLE} "):
            raise Refused(line)
        name, _, body = rest.removeprefix(f"{TABLE} ").partition(" ")
        match verb, kind:
            case "add", "chain":
                self.chains.setdefault(name, [])
                if body:
                    self.base[name] = body
            case "flush", "chain":
                self.chains[name].clear()
            case "delete", "chain":
                if self.chains[name] or self._is_used(rf"(?:goto|jump) {re.escape(name)}"):
                    raise Refused(f"{line}: busy")
                del self.chains[name]
            case "add", "rule":
                self._check_references(body)
                self.chains[name].append(body)
            case "add", "map" | "set":
                if self.kinds.setdefault(name, body) != body:
                    raise Refused(f"{line}: exists otherwise")
                self.elements.setdefault(name, {})
            case "delete", "set":
                if self._is_used(rf"@{re.escape(name)}"):
                    raise Refused(f"{line}: busy")
                del self.kinds[name], self.elements[name]
            case "add", "element":
                for item in _items(body):
                    key, _, value = item.partition(" : ")
                    self._check_references(value)
                    if self.elements[name].setdefault(key, value) != value:
                        raise Refused(f"{line}: {key} exists otherwise")
            case "delete", "element":
                for key in _items(body):
                    del self.elements[name][key]
            case _:
                raise Refused(f"unknown: {line}")

    def _check_references(self, text: str) -> None:
        for chain in re.findall(r"(?:goto|jump) ([^\s,]+)", text):
            self.chains[chain]
        for name in re.findall(r"@(\S+)", text):
            self.kinds[name]

    def _is_used(self, reference: str) -> bool:
        verdicts = (value for items in self.elements.values() for value in items.values())
        rules = (rule for chain in self.chains.values() for rule in chain)
        return any(re.search(reference + r"(?![^\s,])", text) for text in (*rules, *verdicts))


def _items(body: str) -> list[str]:
    return body.removeprefix("{ ").removesuffix(" }").split(", ")
