"""What becomes of a connection's first packet under iptables rules: walked as the kernel would. Pure.

Hooks and their order are netfilter's (nat before filter in OUTPUT), targets those of iptables-extensions(8). A choice at random
is followed into every branch. What the rendering does not use is refused rather than guessed.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network

from nodeagent.proxy.fate import Ending, Fate, Packet, UnknownRuleError, Verdict, read_fate
from nodeagent.proxy.iptables.chains import JUMPS, Tables

LOOPBACK = IPv4Network("127.0.0.0/8")


@lru_cache(maxsize=4096)
def _words(rule: str) -> tuple[str, ...]:
    return tuple(shlex.split(rule))


class IptablesTracer:
    """One state of the tables on a node with these addresses. `remembered`: name of a recent list -> addresses in it."""

    def __init__(
        self, tables: Tables, *, node_addresses: Collection[str], remembered: Mapping[str, Collection[str]] | None = None
    ) -> None:
        self._chains = {table: tables.chains(table) for table in ("nat", "filter")}
        self._node = frozenset(node_addresses)
        self._remembered = remembered or {}

    def packet(
        self, src: str, dst: str, protocol: str, dport: int, *, from_node_itself: bool = False, came_in_by: str = "eth0"
    ) -> Fate:
        """The fate of a new connection's first packet. `came_in_by`: name of the interface, unless the node itself sends."""
        by = "" if from_node_itself else came_in_by
        first = Packet(src=src, dst=dst, protocol=protocol, dport=dport, from_node_itself=from_node_itself, came_in_by=by)
        return read_fate(self._route(first))

    def _route(self, packet: Packet) -> Iterator[tuple[Packet, Verdict]]:
        if packet.from_node_itself:
            # To itself it comes in again, by the loopback interface.
            path = [("nat", "OUTPUT"), ("filter", "OUTPUT"), ("nat", "POSTROUTING"), ("filter", "again")]
        else:
            path = [("nat", "PREROUTING"), ("filter", ""), ("nat", "")]
        yield from self._follow(path, packet)

    def _follow(self, path: list[tuple[str, str]], packet: Packet) -> Iterator[tuple[Packet, Verdict]]:
        if not path:
            yield packet, "dnat" if packet.dnated else "accept"
            return
        (table, hook), *rest = path
        if hook == "again":
            if not self._is_local(packet.dst):
                yield from self._follow(rest, packet)
                return
            hook = "INPUT"
        if not hook:  # behind the first hook: a matter of the translated destination
            for_node = self._is_local(packet.dst)
            hook = ("INPUT" if for_node else "FORWARD") if table == "filter" else ("" if for_node else "POSTROUTING")
            if not hook:
                yield from self._follow(rest, packet)
                return
        for passed, ending in self._hook(table, hook, packet):
            if ending in ("reject", "drop"):
                yield passed, "reject" if ending == "reject" else "drop"
            else:
                yield from self._follow(rest, passed)

    def _hook(self, table: str, hook: str, packet: Packet) -> Iterator[tuple[Packet, Ending]]:
        yield from self._rules(table, tuple(rule for chain, rule in JUMPS[table] if chain == hook), packet)

    def _rules(self, table: str, rules: tuple[str, ...], packet: Packet) -> Iterator[tuple[Packet, Ending]]:
        if not rules:
            yield packet, "return"
            return
        for after, ending in self._rule(table, rules[0], packet):
            if ending == "continue":
                yield from self._rules(table, rules[1:], after)
            else:
                yield after, ending

    def _rule(self, table: str, rule: str, packet: Packet) -> Iterator[tuple[Packet, Ending]]:
        """`continue`: on to the next rule, whether this one matched or not."""
        words = _words(rule)
        if "-j" not in words:  # matches, and does nothing
            yield packet, "continue"
            return
        target = words.index("-j")
        matches, by_chance = self._matches(rule, words[:target], packet)
        if not matches or by_chance:
            yield packet, "continue"
        if matches:
            yield from self._carry_out(table, rule, words[target + 1 :], packet)

    def _carry_out(self, table: str, rule: str, target: Sequence[str], packet: Packet) -> Iterator[tuple[Packet, Ending]]:
        match target:
            case ["ACCEPT" | "DROP" | "REJECT" | "RETURN" as verdict]:
                endings: dict[str, Ending] = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "reject", "RETURN": "return"}
                yield packet, endings[verdict]
            case ["MARK", "--set-xmark", text]:
                value, mask = (int(part, 16) for part in text.split("/"))
                # 0 as the mask clears nothing before the exclusive or (xt_mark).
                yield replace(packet, mark=(packet.mark & ~mask) ^ value), "continue"
            case ["MASQUERADE", "--random-fully"]:
                yield replace(packet, masqueraded=True), "accept"
            case ["DNAT", "--to-destination", text]:
                ip, port = text.split(":")
                yield replace(packet, dst=ip, dport=int(port), dnated=True), "accept"
            case [chain] if chain in self._chains[table]:
                for after, ending in self._rules(table, self._chains[table][chain], packet):
                    yield after, "continue" if ending == "return" else ending
            case _:
                raise UnknownRuleError(f"target {target} in rule: {rule}")

    def _matches(self, rule: str, words: Sequence[str], packet: Packet) -> tuple[bool, bool]:
        """Whether it may match, and whether chance decides."""
        by_chance, negated, rest = False, False, list(words)
        recent: dict[str, str] = {}
        while rest:
            word = rest.pop(0)
            if word == "!":
                negated = True
                continue
            if word in ("--rcheck", "--set", "--reap", "--rsource"):
                recent[word] = ""
                continue
            value = rest.pop(0)
            match word:
                case "-m" | "--comment" | "--mode":
                    held = True
                case "-s":
                    held = IPv4Address(packet.src) in IPv4Network(value)
                case "-i":
                    held = fnmatchcase(packet.came_in_by, value.replace("+", "*"))
                case "-d":
                    held = IPv4Address(packet.dst) in IPv4Network(value)
                case "-p":
                    held = packet.protocol == value
                case "--dport":
                    held = packet.dport == int(value)
                case "--dst-type":
                    held = self._is_local(packet.dst)
                case "--src-type":
                    held = packet.from_node_itself or packet.src in self._node
                case "--mark":
                    wanted, mask = (int(part, 16) for part in value.split("/"))
                    held = packet.mark & mask == wanted
                case "--ctstate":
                    # The first packet of a translated connection is new, and DNAT as well.
                    held = bool({"NEW", *(["DNAT"] if packet.dnated else [])} & set(value.split(",")))
                case "--probability":
                    by_chance, held = True, True
                case "--seconds" | "--name":
                    recent[word] = value
                    held = True
                case _:
                    raise UnknownRuleError(f"{word!r} in rule: {rule}")
            if held == negated:
                return False, False
            negated = False
        if "--rcheck" in recent and packet.src not in self._remembered.get(recent["--name"], ()):
            return False, False
        return True, by_chance

    def _is_local(self, address: str) -> bool:
        return address in self._node or IPv4Address(address) in LOOPBACK
