"""Power loss: every interface goes down first, so that nothing more leaves the container, then init exits.

When init exits, the kernel kills every process of the container and closes their sockets; with the links down, no FIN or
RST tells a peer about it, as none would after a real power loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed_init.faults.seam import Effect, Fault, FaultError, refuse_unknown, render_states
from testbed_init.kernel import Kernel

EXIT_STATUS = 99
"""Tells the planned power-off from a crash of init."""


@dataclass(slots=True, kw_only=True)
class PowerOff:
    """All links down, then out."""

    kernel: Kernel
    order: tuple[str, ...] = ()

    def prepare(self) -> None:
        """Settle the order: uplinks first, because after them nothing can leave any more."""
        uplinks = self.kernel.uplinks()
        self.order = (*uplinks, *(name for name in self.kernel.links() if name not in uplinks))

    def fire(self) -> Effect:
        """One system call per link, and the stamp when the last one is down."""
        self.kernel.set_links(self.order, up=False)
        struck_ns = self.kernel.clock()
        states = self.kernel.link_states(self.order)
        if any(state != "down" for state in states.values()):
            raise FaultError(f"power-off: links still up: {render_states(states)}")
        return Effect(t_mono_ns=struck_ns, evidence=render_states(states), exit_status=EXIT_STATUS)

    def heal(self) -> str:
        """A container that was off heals by being started again, from outside; armed only, there is nothing to undo."""
        return render_states(self.kernel.link_states(self.kernel.links()))


def build(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A power-off; it has no parameters and needs CAP_NET_ADMIN."""
    refuse_unknown(parameters, set(), "power-off")
    kernel.require_net_admin()
    return PowerOff(kernel=kernel)
