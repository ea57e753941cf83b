"""A kernel in memory with the behaviour that faults rely on; ships beside the real one and passes the same contract test."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field

from testbed_init.kernel import KernelError


@dataclass(slots=True, kw_only=True)
class FakeKernel:
    """Interfaces (name -> up), uplinks among them, routes (destination -> interface) and processes (pid -> state)."""

    now_ns: int = 0
    interfaces: dict[str, bool] = field(default_factory=lambda: {"cbr0": True, "eth0": True})
    outward: tuple[str, ...] = ("eth0",)
    routes: dict[str, str] = field(default_factory=lambda: {"default": "eth0"})
    processes: dict[int, str] = field(default_factory=lambda: {7: "S", 8: "S"})
    net_admin: bool = True

    def clock(self) -> int:
        """The time that the test set."""
        return self.now_ns

    def links(self) -> tuple[str, ...]:
        """Every interface, sorted."""
        return tuple(sorted(self.interfaces))

    def uplinks(self) -> tuple[str, ...]:
        """The outward interfaces."""
        return self.outward

    def set_links(self, names: Sequence[str], *, up: bool) -> None:
        """Set flags; like the kernel's, an interface that goes down takes its routes with it."""
        for name in names:
            if name not in self.interfaces:
                raise KernelError(f"interface {name}: cannot set its flags: No such device")
            self.interfaces[name] = up
            if not up:
                self.routes = {to: link for to, link in self.routes.items() if link != name}

    def link_states(self, names: Sequence[str]) -> dict[str, str]:
        """`up` or `down` of each."""
        return {name: "up" if self.interfaces[name] else "down" for name in names}

    def save_routes(self) -> bytes:
        """The routes as JSON."""
        return json.dumps(self.routes).encode()

    def restore_routes(self, saved: bytes) -> None:
        """Add what is missing."""
        self.routes = json.loads(saved) | self.routes

    def signal_all(self, number: int) -> None:
        """SIGSTOP and SIGCONT change the states; nothing else does."""
        if number == signal.SIGSTOP:
            self.processes = dict.fromkeys(self.processes, "T")
        elif number == signal.SIGCONT:
            self.processes = dict.fromkeys(self.processes, "S")

    def process_states(self) -> dict[int, str]:
        """State letters."""
        return dict(self.processes)

    def require_net_admin(self) -> None:
        """Raise when the test took the capability away."""
        if not self.net_admin:
            raise KernelError("the container lacks CAP_NET_ADMIN: give its role `cap_add: [NET_ADMIN]`")
