"""A cut through the network: frames of some neighbours, or packets of some addresses, neither come in nor go out."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from testbed_init.faults.seam import Effect, Fault, FaultError, directions_of, refuse_unknown
from testbed_init.ground import Ground
from testbed_init.kernel import Kernel
from testbed_init.packet_filter import Rule

PARTITION = "partition"


@dataclass(slots=True, kw_only=True)
class Partition:
    """`neighbours`: everything that these machines hand over or are handed, on the link layer. `addresses`: by IP address."""

    kernel: Kernel
    owner: str
    neighbours: tuple[str, ...]
    addresses: tuple[str, ...]
    directions: tuple[str, ...]

    def prepare(self) -> None:
        """By the neighbours' link-layer addresses: what they forward for others carries no address of theirs. The rules wait."""
        found = self.kernel.neighbours(self.neighbours)
        missing = sorted(set(self.neighbours) - set(found))
        if missing:
            raise FaultError(f"partition: no neighbour answers at {', '.join(missing)}")
        self.kernel.filter.lay(self.owner, render_rules(sorted(found.values()), self.addresses, self.directions))

    def fire(self) -> Effect:
        """One system call for each uplink."""
        self.kernel.filter.switch_on(self.owner)
        struck_ns = self.kernel.clock()
        rules = len(self.kernel.filter.packets(self.owner))
        cut = ", ".join((*self.neighbours, *self.addresses))
        return Effect(t_mono_ns=struck_ns, evidence=f"{rules} rules of nftables cut off {cut} ({' and '.join(self.directions)})")

    def heal(self) -> str:
        """Rules out; the count of what they dropped is the evidence that they worked."""
        dropped = sum(self.kernel.filter.take(self.owner))
        return f"rules removed; {dropped} frames were dropped"


def render_rules(neighbours: list[str], addresses: tuple[str, ...], directions: tuple[str, ...]) -> tuple[Rule, ...]:
    """`in` matches sources, `out` destinations."""
    sides = {"in": "saddr", "out": "daddr"}
    return tuple(
        Rule(chain=direction, match=f"{layer} {sides[direction]} {value}")
        for direction in directions
        for layer, values in (("ether", neighbours), ("ip", addresses))
        for value in values
    )


def build(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A partition; `neighbours` and `addresses` (one of them at least) are IPv4 addresses, `direction` is both, in or out."""
    refuse_unknown(parameters, {"neighbours", "addresses", "direction"}, PARTITION)
    kernel.require_net_admin()
    neighbours, addresses = (_addresses(parameters, key) for key in ("neighbours", "addresses"))
    if not neighbours and not addresses:
        raise FaultError("partition: cuts nothing off; allowed: neighbours, addresses, or both")
    directions = directions_of(parameters, PARTITION)
    owner = kernel.filter.admit([Ground.FRAMES])
    return Partition(kernel=kernel, owner=owner, neighbours=neighbours, addresses=addresses, directions=directions)


def _addresses(parameters: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = parameters.get(key, [])
    try:
        return tuple(str(ipaddress.IPv4Address(item)) for item in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise FaultError(f"partition: {key} must be a list of IPv4 addresses, got {value!r}") from error
