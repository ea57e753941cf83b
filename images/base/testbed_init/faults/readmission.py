"""The end of a drain, kept in the control plane: some fields of an object there must end by themselves like any other fault."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from testbed_init.faults.seam import Effect, Fault, refuse_unknown, text_of
from testbed_init.kernel import Kernel

PROGRAM = "testbed_init.readmitting"


@dataclass(slots=True, kw_only=True)
class Readmission:
    """Changes nothing at its instant. Whoever drains the node does that; when this ends, the node is admitted again."""

    kernel: Kernel
    node: str
    stands: bool = False

    def prepare(self) -> None:
        """Nothing to read."""

    def fire(self) -> Effect:
        """Nothing but the stamp."""
        self.stands = True
        return Effect(t_mono_ns=self.kernel.clock(), evidence=f"{self.node} is admitted again when this ends")

    def heal(self) -> str:
        """Ask the API, and tell what it holds then."""
        if not self.stands:
            return f"{self.node} was not drained"
        evidence = self.kernel.start_tool([sys.executable, "-m", PROGRAM, self.node]).finish(b"").decode()
        self.stands = False
        return evidence


def build(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A readmission; `node`."""
    refuse_unknown(parameters, {"node"}, "readmission")
    return Readmission(kernel=kernel, node=text_of(parameters, "node", "readmission"))
