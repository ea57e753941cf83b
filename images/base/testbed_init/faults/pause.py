"""The grey failure: every process of the container frozen, while the kernel goes on forwarding and acknowledging."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from testbed_init.faults.seam import Effect, Fault, refuse_unknown
from testbed_init.faults.settling import await_settled
from testbed_init.kernel import Kernel

AT_REST = frozenset("TtZX")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """SIGSTOP to everything but init, SIGCONT to heal."""

    kernel: Kernel

    def prepare(self) -> None:
        """Nothing to read."""

    def fire(self) -> Effect:
        """One kill(2) for all, then wait until none of those that were there runs any more."""
        self.kernel.signal_all(signal.SIGSTOP)
        struck_ns = self.kernel.clock()
        await_settled(self.kernel, self._unsettled)
        return Effect(t_mono_ns=struck_ns, evidence=render_counts(self.kernel.process_states()), holds_restarts=True)

    def _unsettled(self) -> str | None:
        states = self.kernel.process_states()
        return None if set(states.values()) <= AT_REST else f"pause: not all processes stopped: {render_counts(states)}"

    def heal(self) -> str:
        """Let everything run again; SIGCONT does nothing to a process that runs."""
        self.kernel.signal_all(signal.SIGCONT)
        return render_counts(self.kernel.process_states())


def render_counts(states: Mapping[int, str]) -> str:
    """`process states: 11 T, 1 Z`."""
    counts = Counter(states.values())
    return "process states: " + (", ".join(f"{counts[state]} {state}" for state in sorted(counts)) or "none")


def build(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A pause; it has no parameters."""
    refuse_unknown(parameters, set(), "pause")
    return Pause(kernel=kernel)
