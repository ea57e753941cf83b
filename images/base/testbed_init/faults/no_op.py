"""The control: a fault that changes nothing, so that whatever is measured around it is the testbed's own noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed_init.faults.seam import Effect, Fault, refuse_unknown
from testbed_init.kernel import Kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOp:
    """Touches nothing."""

    kernel: Kernel

    def prepare(self) -> None:
        """Nothing to read."""

    def fire(self) -> Effect:
        """Nothing but the stamp."""
        return Effect(t_mono_ns=self.kernel.clock(), evidence="nothing changed")

    def heal(self) -> str:
        """Nothing to undo."""
        return "nothing changed"


def build(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A no-op; it has no parameters."""
    refuse_unknown(parameters, set(), "no-op")
    return NoOp(kernel=kernel)
