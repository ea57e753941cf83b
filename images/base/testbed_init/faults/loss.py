"""Random loss on the container's uplinks, each frame on its own: what leaves, what comes, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed_init.faults.seam import Effect, Fault, FaultError, directions_of, number_of, refuse_unknown
from testbed_init.ground import Ground
from testbed_init.kernel import Kernel
from testbed_init.packet_filter import Rule

LOSS = "loss"
STEPS = 1_000_000
"""Resolution of the kernel's draw (`numgen random`, nft(8))."""


@dataclass(slots=True, kw_only=True)
class Loss:
    """A share of the frames dropped, drawn by the kernel for every frame; one rule counts, the next draws."""

    kernel: Kernel
    owner: str
    ratio: float
    directions: tuple[str, ...]

    def prepare(self) -> None:
        """The rules are there, and wait."""
        self.kernel.filter.lay(self.owner, self._rules())

    def fire(self) -> Effect:
        """One system call for each uplink."""
        self.kernel.filter.switch_on(self.owner)
        struck_ns = self.kernel.clock()
        self.kernel.filter.packets(self.owner)  # raises when a rule is not there
        return Effect(t_mono_ns=struck_ns, evidence=f"rules of nftables drop {self.ratio:.4%} ({' and '.join(self.directions)})")

    def heal(self) -> str:
        """Rules out; what they counted is the loss that there was."""
        counted = self.kernel.filter.packets(self.owner)
        self.kernel.filter.take(self.owner)
        pairs = zip(self.directions, counted[::2], counted[1::2], strict=False)
        return "rules removed; " + (
            ", ".join(f"{side}: {lost} of {seen} frames" for side, seen, lost in pairs) or "none was lost"
        )

    def _rules(self) -> tuple[Rule, ...]:
        kept = round((1 - self.ratio) * STEPS)
        draw = f"numgen random mod {STEPS} >= {kept}" if kept else ""
        return tuple(
            Rule(chain=side, match=match, verdict=verdict)
            for side in self.directions
            for match, verdict in (("", "continue"), (draw, "drop"))
        )


def build(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A loss; `ratio` (above 0, up to 1), `direction` is both, in or out."""
    refuse_unknown(parameters, {"ratio", "direction"}, LOSS)
    kernel.require_net_admin()
    ratio = number_of(parameters, "ratio", LOSS)
    if not 1 / STEPS <= ratio <= 1:
        raise FaultError(f"loss: ratio must be from {1 / STEPS:g} to 1, got {ratio!r}")
    directions = directions_of(parameters, LOSS)
    return Loss(kernel=kernel, owner=kernel.filter.admit([Ground.FRAMES]), ratio=ratio, directions=directions)
