"""A connection's first packet on its way through the rules of either mode, and what becomes of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["dnat", "accept", "reject", "drop"]
Ending = Literal["continue", "return", "accept", "reject", "drop"]
"""Of a rule or a chain: where the packet goes on, or what was decided of it."""


class UnknownRuleError(Exception):
    """A rule has a form that the tracer does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """`targets`: every `ip:port` that the packet may be sent to; empty unless it is translated. Towards some of them, at most,
    the sender's address is replaced by the node's."""

    targets: tuple[str, ...]
    verdict: Verdict
    masqueraded_targets: tuple[str, ...] = ()

    @property
    def masqueraded(self) -> bool:
        """Towards every target."""
        return bool(self.targets) and self.masqueraded_targets == self.targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """`came_in_by`: name of the interface; empty when the node itself sends."""

    src: str
    dst: str
    protocol: str
    dport: int
    from_node_itself: bool
    came_in_by: str
    mark: int = 0
    dnated: bool = False
    masqueraded: bool = False


def read_fate(ends: Iterable[tuple[Packet, Verdict]]) -> Fate:
    """Of all the ways that chance may have sent it. Raises UnknownRuleError when they end differently."""
    ends = list(ends)
    verdicts = {verdict for _, verdict in ends}
    if len(verdicts) > 1:
        raise UnknownRuleError(f"targets of one service with different fates: {sorted(verdicts)}")
    (verdict,) = verdicts
    if verdict != "dnat":
        return Fate(targets=(), verdict=verdict)
    masqueraded = {f"{end.dst}:{end.dport}": end.masqueraded for end, _ in ends}
    targets = tuple(sorted(masqueraded))
    return Fate(targets=targets, verdict="dnat", masqueraded_targets=tuple(item for item in targets if masqueraded[item]))
