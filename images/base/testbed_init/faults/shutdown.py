"""An orderly end: init gets the SIGTERM that the engine's stop would send, and hands it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed_init.faults.seam import Effect, Fault, refuse_unknown
from testbed_init.kernel import Kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    """Processes end in reverse order, each with its grace; sockets are closed by the kernel, so peers are told."""

    kernel: Kernel

    def prepare(self) -> None:
        """Nothing to read."""

    def fire(self) -> Effect:
        """One kill(2) of init's own; its loop does the rest."""
        self.kernel.terminate()
        return Effect(t_mono_ns=self.kernel.clock(), evidence="SIGTERM to init")

    def heal(self) -> str:
        """From outside, by a start."""
        return "heals by a start"


def build(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A shutdown; it has no parameters."""
    refuse_unknown(parameters, set(), "shutdown")
    return Shutdown(kernel=kernel)
