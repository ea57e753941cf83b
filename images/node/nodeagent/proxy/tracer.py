"""What becomes of a connection's first packet under a Ruleset: its rules walked as the kernel would. Pure.

Hooks and their order are netfilter's, jump, goto and the end of a chain are those of nft(8), section STATEMENTS. A choice at
random is followed into every branch. What the rendering does not use is not known here and is refused rather than guessed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from nodeagent.proxy.fate import Ending, Fate, Packet, UnknownRuleError, Verdict, read_fate
from nodeagent.proxy.ruleset import BASE_CHAINS, Ruleset

_KEY = r"(?:ip saddr|ip daddr|meta l4proto|th dport)"
_VERDICT = r"(?:(?:jump|goto) [^\s,]+|accept|drop|reject|return)"
_FORMS = {
    "first": r"ct state new",
    "translated": r"ct status dnat",
    "local": r"fib saddr type local",
    "for-node": r"fib daddr type local",
    "interface": r"iifname (?P<negated>!= )?\"(?P<interface>[^\"]+)\"",
    "marked": r"mark and (?P<bits>0x[0-9a-f]+) != 0",
    "mark": r"mark set mark (?P<how>or|xor) (?P<bits>0x[0-9a-f]+)",
    "look-up": rf"(?P<keys>{_KEY}(?: \. {_KEY})*) vmap @(?P<name>\S+)",
    "match": rf"(?P<keys>{_KEY}(?: \. {_KEY})*) (?P<negated>!= )?(?:@(?P<name>\S+)|{{ (?P<list>[^}}]*) }}|(?P<one>[\w./]+))",
    "spread": r"dnat ip addr \. port to numgen random mod (?P<count>\d+) map { (?P<targets>[^}]*) }",
    "dnat": r"dnat to (?P<ip>[\d.]+):(?P<port>\d+)",
    "choose": r"numgen random mod (?P<count>\d+) vmap { (?P<verdicts>[^}]*) }",
    "remember": r"update @\S+ { ip saddr timeout \d+s }",
    "masquerade": r"masquerade fully-random",
    "verdict": rf"(?P<verdict>{_VERDICT})",
}
_STATEMENT = {name: re.compile(form + r"(?= |$)") for name, form in _FORMS.items()}


_Outcomes = Iterator[tuple[Packet, Ending]]


class Tracer:
    """One state of the rules on a node with these addresses (default: those with node ports).

    `remembered`: what the affinity sets hold, by name of the set.
    """

    def __init__(
        self,
        ruleset: Ruleset,
        *,
        node_addresses: Collection[str] | None = None,
        remembered: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._ruleset = ruleset
        self._node = frozenset(ruleset.elements.get("nodeport-ips", {}) if node_addresses is None else node_addresses)
        self._remembered = remembered or {}

    def packet(
        self, src: str, dst: str, protocol: str, dport: int, *, from_node_itself: bool = False, came_in_by: str = "eth0"
    ) -> Fate:
        """The fate of a new connection's first packet. `came_in_by`: name of the interface, unless the node itself sends."""
        by = "" if from_node_itself else came_in_by
        first = Packet(src=src, dst=dst, protocol=protocol, dport=dport, from_node_itself=from_node_itself, came_in_by=by)
        return read_fate(self._route(first))

    def _route(self, packet: Packet) -> Iterator[tuple[Packet, Verdict]]:
        """Through the hooks in the order of netfilter; where to after the first is a matter of the translated destination."""
        for entered, first_end in self._hook("output" if packet.from_node_itself else "prerouting", packet):
            if first_end is not None:
                yield entered, first_end
                continue
            for_node = entered.dst in self._node
            path = ["input" if for_node else "forward", "postrouting"]
            if packet.from_node_itself:
                path = ["postrouting", "input"] if for_node else ["postrouting"]
            elif for_node:
                path = ["input"]
            yield from self._follow(path, entered)

    def _follow(self, path: list[str], packet: Packet) -> Iterator[tuple[Packet, Verdict]]:
        if not path:
            yield packet, "dnat" if packet.dnated else "accept"
            return
        for passed, end in self._hook(path[0], packet):
            if end is None:
                yield from self._follow(path[1:], passed)
            else:
                yield passed, end

    def _hook(self, hook: str, packet: Packet) -> Iterator[tuple[Packet, Literal["reject", "drop"] | None]]:
        """The hook's chains by priority; None: the packet passes."""
        found = [(int(text.split()[-1]), name) for name, text in BASE_CHAINS.items() if f" hook {hook} " in text]
        yield from self._chains([name for _, name in sorted(found)], packet)

    def _chains(self, names: list[str], packet: Packet) -> Iterator[tuple[Packet, Literal["reject", "drop"] | None]]:
        if not names:
            yield packet, None
            return
        for after, ending in self._chain(names[0], packet):
            if ending in ("reject", "drop"):
                yield after, ending
            else:
                yield from self._chains(names[1:], after)

    def _chain(self, name: str, packet: Packet) -> _Outcomes:
        """Ends with `return` when the packet goes on behind the jump that led here."""
        yield from self._rules(self._ruleset.chains[name], packet)

    def _rules(self, rules: tuple[str, ...], packet: Packet) -> _Outcomes:
        if not rules:
            yield packet, "return"
            return
        for after, ending in self._rule(rules[0], rules[0], packet):
            if ending == "continue":
                yield from self._rules(rules[1:], after)
            else:
                yield after, ending

    def _rule(self, rule: str, rest: str, packet: Packet) -> _Outcomes:
        """`continue`: on to the next rule, whether this one matched or not."""
        if not rest:
            yield packet, "continue"
            return
        name, found = _next_statement(rule, rest)
        following = rest[found.end() :].lstrip()
        verdicts: list[str] = []
        match name:
            case "mark":
                bits = int(found["bits"], 16)
                packet = replace(packet, mark=packet.mark | bits if found["how"] == "or" else packet.mark ^ bits)
            case "remember":
                pass
            case "masquerade":
                yield replace(packet, masqueraded=True), "accept"
                return
            case "dnat":
                yield _translated(packet, found["ip"], found["port"]), "accept"
                return
            case "spread":
                for target in _choices(rule, found["count"], found["targets"]):
                    ip, port = target.split(" . ")
                    yield _translated(packet, ip, port), "accept"
                return
            case "choose":
                verdicts = _choices(rule, found["count"], found["verdicts"])
            case "verdict":
                verdicts = [found["verdict"]]
            case "look-up":
                verdict = self._ruleset.elements[found["name"]].get(_key(packet, found["keys"]))
                verdicts = [] if verdict is None else [verdict]
                if verdict is None:
                    yield packet, "continue"
                    return
            case _:
                if not self._matches(name, found, packet):
                    yield packet, "continue"
                    return
        if not verdicts:
            yield from self._rule(rule, following, packet)
        for verdict in verdicts:
            yield from self._carry_out(rule, verdict, packet)

    def _carry_out(self, rule: str, verdict: str, packet: Packet) -> _Outcomes:
        kind, _, target = verdict.partition(" ")
        match kind:
            case "goto":
                yield from self._chain(target, packet)
            case "jump":
                for after, ending in self._chain(target, packet):
                    yield after, "continue" if ending == "return" else ending
            case "accept" | "drop" | "reject" | "return":
                yield packet, kind
            case _:
                raise UnknownRuleError(f"verdict {verdict!r} in rule: {rule}")

    def _matches(self, name: str, found: re.Match[str], packet: Packet) -> bool:
        match name:
            case "first":
                return True
            case "translated":
                return packet.dnated
            case "local":
                return packet.from_node_itself or packet.src in self._node
            case "for-node":
                return packet.dst in self._node or IPv4Address(packet.dst).is_loopback
            case "interface":
                return fnmatchcase(packet.came_in_by, found["interface"]) != bool(found["negated"])
            case "marked":
                return bool(packet.mark & int(found["bits"], 16))
        value = _key(packet, found["keys"])
        if found["name"] is not None:
            held = value in (self._ruleset.elements.get(found["name"]) or self._remembered.get(found["name"], ()))
        else:
            held = any(_is_in(value, item) for item in (found["list"] or found["one"]).split(", "))
        return held != bool(found["negated"])


def _key(packet: Packet, keys: str) -> str:
    """What a map or a set is asked for."""
    values = {
        "ip saddr": packet.src,
        "ip daddr": packet.dst,
        "meta l4proto": packet.protocol,
        "th dport": str(packet.dport),
    }
    return " . ".join(values[name] for name in keys.split(" . "))


def _next_statement(rule: str, rest: str) -> tuple[str, re.Match[str]]:
    for name, form in _STATEMENT.items():
        if found := form.match(rest):
            return name, found
    raise UnknownRuleError(f"{rest!r} in rule: {rule}")


def _translated(packet: Packet, ip: str, port: str) -> Packet:
    return replace(packet, dst=ip, dport=int(port), dnated=True)


def _choices(rule: str, count: str, text: str) -> list[str]:
    """Values of `0 : value, 1 : value, ...`; each number that is drawn must have one, and nothing else may be there."""
    pairs = [item.split(" : ", 1) for item in text.split(", ")]
    if [index for index, *_ in pairs] != [str(index) for index in range(int(count))]:
        raise UnknownRuleError(f"numbers drawn and entries differ in rule: {rule}")
    return [value for _, value in pairs]


def _is_in(value: str, item: str) -> bool:
    """An address in a network, or equal words."""
    try:
        return IPv4Address(value) in IPv4Network(item)
    except ValueError:
        return value == item
