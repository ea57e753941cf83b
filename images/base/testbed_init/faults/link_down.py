"""The uplink goes down and comes back; the container itself goes on living."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed_init.faults.seam import Effect, Fault, FaultError, refuse_unknown, render_states
from testbed_init.kernel import Kernel


@dataclass(slots=True, kw_only=True)
class LinkDown:
    """The interfaces of `names` down; healed, they are up and the routes they had are back."""

    kernel: Kernel
    names: tuple[str, ...]
    saved_routes: bytes = b""
    down: bool = False

    def prepare(self) -> None:
        """Keep the routes: the kernel drops those of a link that goes down, and does not bring them back."""
        self.saved_routes = self.kernel.save_routes()

    def fire(self) -> Effect:
        """One system call per link."""
        self.down = True
        self.kernel.set_links(self.names, up=False)
        struck_ns = self.kernel.clock()
        states = self.kernel.link_states(self.names)
        if any(state != "down" for state in states.values()):
            raise FaultError(f"link-down: links still up: {render_states(states)}")
        return Effect(t_mono_ns=struck_ns, evidence=render_states(states))

    def heal(self) -> str:
        """Links up, then the routes that went with them."""
        if self.down:
            self.kernel.set_links(self.names, up=True)
            self.kernel.restore_routes(self.saved_routes)
            self.down = False
        return render_states(self.kernel.link_states(self.names))


def build(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A link-down; `interfaces` (default: every uplink) names the links. Needs CAP_NET_ADMIN."""
    refuse_unknown(parameters, {"interfaces"}, "link-down")
    kernel.require_net_admin()
    wanted = parameters.get("interfaces", list(kernel.uplinks()))
    if not isinstance(wanted, list) or not wanted or not all(isinstance(name, str) for name in wanted):
        raise FaultError(f"link-down: interfaces must be a list of at least one name, got {wanted!r}")
    missing = sorted(set(wanted) - set(kernel.links()))
    if missing:
        raise FaultError(f"link-down: no interfaces {missing}; the container has {list(kernel.links())}")
    return LinkDown(kernel=kernel, names=tuple(wanted))
