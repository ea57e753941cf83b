"""What faults stand on, put in place before the baseline and only changed during a run: empty chains, a qdisc that never bites.

Adding a root qdisc drops what waits in the old one, and a new hook costs every packet a little: both belong into the baseline.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from testbed_init.tools import KernelError, Tool


class Ground(StrEnum):
    """Kinds of ground, as `fault_ground` of the configuration names them."""

    FRAMES = "frames"
    """Chains at the uplinks' ingress and egress: whatever is dropped there was never received, or is lost on the wire."""
    OUTPUT = "output"
    """A chain for what the container's own processes send."""
    RATE = "rate"
    """A token bucket on every uplink."""
    DELAY = "delay"
    """Rules that hand packets to a queue, and pass them on while nobody listens to it."""


TABLES = {Ground.FRAMES: "netdev testbed_faults", Ground.OUTPUT: "inet testbed_faults"}
OPEN_RATE = "rate 100gbit burst 1m latency 50ms"
"""Faster than any virtual link of one machine: it is there, and nothing waits."""
QUEUE_IN, QUEUE_OUT = 61000, 61001


class GroundKernel(Protocol):
    """What it takes of the kernel to lay ground."""

    def start_tool(self, argv: Sequence[str]) -> Tool:
        """Start a command that acts when it gets its input."""

    def uplinks(self) -> tuple[str, ...]:
        """The interfaces that lead out of the container."""


def lay_ground(ground: Ground, kernel: GroundKernel) -> None:
    """Put it in place where it is not yet. Raises KernelError where the kernel lacks it."""
    uplinks = kernel.uplinks()
    match ground:
        case Ground.FRAMES | Ground.OUTPUT:
            if not _has_table(TABLES[ground], kernel):
                kernel.start_tool(["nft", "-f", "-"]).finish(render_table(ground, uplinks).encode())
        case Ground.RATE:
            bare = [name for name in uplinks if root_qdisc(name, kernel).get("kind") != "tbf"]
            for name in bare:
                kernel.start_tool(["tc", "qdisc", "add", "dev", name, "root", "tbf", *OPEN_RATE.split()]).finish(b"")
        case Ground.DELAY:
            for rule in queue_rules(uplinks):
                try:
                    kernel.start_tool(["iptables", "-w", "-t", *rule[:1], "-C", *rule[1:]]).finish(b"")
                except KernelError:
                    kernel.start_tool(["iptables", "-w", "-t", *rule[:1], "-A", *rule[1:]]).finish(b"")


def render_table(ground: Ground, uplinks: Sequence[str]) -> str:
    """The empty table.

    Priority -500 stands before whatever else hooks in (connection tracking: -200). At egress a flow is already tracked: what
    is lost there is lost on the wire, and the sender's next try belongs to the same flow (a postrouting hook would come before
    the entry is confirmed, and each try would be translated anew).
    """
    if ground is Ground.OUTPUT:
        # Before the destination is translated (-100): what is meant for a service never matches a pod here.
        return f"table {TABLES[ground]} {{\n\tchain output {{\n\t\ttype filter hook output priority -150;\n\t}}\n}}\n"
    devices = ", ".join(f'"{name}"' for name in uplinks)
    chains = "".join(
        f"\tchain {name} {{\n\t\ttype filter hook {hook} devices = {{ {devices} }} priority -500;\n\t}}\n"
        for name, hook in (("in", "ingress"), ("out", "egress"))
    )
    return f"table {TABLES[ground]} {{\n{chains}}}\n"


def queue_rules(uplinks: Sequence[str]) -> list[list[str]]:
    """Table and rule of each direction and uplink: as early and as late as iptables can.

    `--queue-bypass` passes packets on while nobody listens (iptables-extensions(8), NFQUEUE).
    """
    return [
        [table, chain, flag, name, "-j", "NFQUEUE", "--queue-num", str(queue), "--queue-bypass"]
        for name in uplinks
        for table, chain, flag, queue in (("raw", "PREROUTING", "-i", QUEUE_IN), ("mangle", "POSTROUTING", "-o", QUEUE_OUT))
    ]


def root_qdisc(link: str, kernel: GroundKernel) -> dict[str, object]:
    """The root qdisc of a link as tc(8) shows it, empty when it has none."""
    shown = json.loads(kernel.start_tool(["tc", "-json", "qdisc", "show", "dev", link]).finish(b"") or b"[]")
    roots: list[dict[str, object]] = [qdisc for qdisc in shown if qdisc.get("root")]
    return roots[0] if roots else {}


def _has_table(table: str, kernel: GroundKernel) -> bool:
    listed = kernel.start_tool(["nft", "list", "tables"]).finish(b"").decode()
    return f"table {table}" in listed.splitlines()
