"""The node's rule writer held still or ended while its kubelet goes on: both share a process, which takes signals for it."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass

from testbed_init.faults.seam import Effect, Fault, FaultError, refuse_unknown, text_of
from testbed_init.faults.settling import await_settled
from testbed_init.kernel import Kernel

AGENT = "agent"
STATE_FILE = "/run/testbed/rule-writer"
RUNNING = "running"
ORDERS = {"paused": signal.SIGUSR1, "ended": signal.SIGUSR2}
RUN = signal.SIGHUP


@dataclass(slots=True, kw_only=True)
class RuleWriterHeld:
    """One signal, and the agent's own word of what has become of it, and since when."""

    kernel: Kernel
    wanted: str
    pid: int | None = None

    def prepare(self) -> None:
        """It must run: an agent that does not listen yet would die of the signal."""
        pid, state = self._living(), read_state(self.kernel)
        if state is None or state[:2] != (pid, RUNNING):
            raise FaultError(f"rule-writer: {AGENT} (pid {pid}) has no rule writer that runs")

    def fire(self) -> Effect:
        """One kill(2)."""
        self.prepare()
        self.pid = self._living()
        self.kernel.send_signal(self.pid, ORDERS[self.wanted])
        struck_ns = self._await(self.pid, self.wanted)
        return Effect(t_mono_ns=struck_ns, evidence=f"rule writer of {AGENT} (pid {self.pid}) is {self.wanted}")

    def heal(self) -> str:
        """It goes on, or starts with a full sync. An agent that was started since has begun with one that runs."""
        if self.pid is None:
            return "rule writer was not struck"
        if self.kernel.process_pid(AGENT) == self.pid:
            self.kernel.send_signal(self.pid, RUN)
            self._await(self.pid, RUNNING)
        self.pid = None
        return f"rule writer is {RUNNING}"

    def _living(self) -> int:
        pid = self.kernel.process_pid(AGENT)
        if pid is None:
            raise FaultError(f"rule-writer: {AGENT} does not run")
        return pid

    def _await(self, pid: int, wanted: str) -> int:
        """Since when it is so."""

        def unsettled() -> str | None:
            state = read_state(self.kernel)
            return None if state is not None and state[:2] == (pid, wanted) else f"rule-writer: is {state}, not {wanted}"

        await_settled(self.kernel, unsettled)
        state = read_state(self.kernel)
        assert state is not None
        return state[2]


def read_state(kernel: Kernel) -> tuple[int, str, int] | None:
    """Pid of the agent, state of its rule writer, since when in ns; None where there is none."""
    words = (kernel.read(STATE_FILE) or "").split()
    return (int(words[0]), words[1], int(words[2])) if len(words) == 3 else None


def build(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A rule-writer; `state`: paused or ended."""
    refuse_unknown(parameters, {"state"}, "rule-writer")
    wanted = text_of(parameters, "state", "rule-writer")
    if wanted not in ORDERS:
        raise FaultError(f"rule-writer: state must be one of {sorted(ORDERS)}, got {wanted!r}")
    return RuleWriterHeld(kernel=kernel, wanted=wanted)
