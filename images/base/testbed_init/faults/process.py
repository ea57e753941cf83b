"""One process of the container killed, frozen or signalled, while everything else goes on."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass

from testbed_init.faults.seam import Effect, Fault, FaultError, refuse_unknown, text_of
from testbed_init.faults.settling import await_settled
from testbed_init.kernel import Kernel, signal_number

GONE = frozenset({None, "Z", "X"})
STOPPED = frozenset({"T", "t"})


@dataclass(slots=True, kw_only=True)
class ProcessKill:
    """SIGKILL, and no restart until it is healed. `reviver`: who starts a process that is not init's own, on which signal."""

    kernel: Kernel
    process: str
    reviver: tuple[str, int] | None
    killed: bool = False

    def prepare(self) -> None:
        """There must be something to kill."""
        _running(self.kernel, self.process, "process-kill")

    def fire(self) -> Effect:
        """One kill(2)."""
        pid = _running(self.kernel, self.process, "process-kill")
        self.killed = True
        self.kernel.hold(self.process)
        self.kernel.send_signal(pid, signal.SIGKILL)
        struck_ns = self.kernel.clock()
        await_state(self.kernel, pid, GONE, f"process-kill: {self.process}")
        return Effect(t_mono_ns=struck_ns, evidence=f"{self.process} (pid {pid}) is gone")

    def heal(self) -> str:
        """Started again by whoever keeps it, which takes longer than this where that is not init."""
        if not self.killed:
            return f"{self.process} was not killed"
        self.kernel.release(self.process)
        pid = self.kernel.process_pid(self.process)
        evidence = f"{self.process} may run" if pid is None else f"{self.process} (pid {pid}) is started"
        if self.reviver is not None and pid is None:
            keeper, number = self.reviver
            self.kernel.send_signal(_running(self.kernel, keeper, "process-kill"), number)
            evidence = f"{keeper} is told to start {self.process}"
        self.killed = False
        return evidence


@dataclass(slots=True, kw_only=True)
class ProcessPause:
    """SIGSTOP, and SIGCONT to heal; its sockets stay open and the kernel goes on accepting for it."""

    kernel: Kernel
    process: str
    pid: int | None = None

    def prepare(self) -> None:
        """There must be something to freeze."""
        _running(self.kernel, self.process, "process-pause")

    def fire(self) -> Effect:
        """One kill(2)."""
        self.pid = _running(self.kernel, self.process, "process-pause")
        self.kernel.send_signal(self.pid, signal.SIGSTOP)
        struck_ns = self.kernel.clock()
        await_state(self.kernel, self.pid, STOPPED, f"process-pause: {self.process}")
        return Effect(t_mono_ns=struck_ns, evidence=f"{self.process} (pid {self.pid}) is stopped")

    def heal(self) -> str:
        """SIGCONT does nothing to a process that runs."""
        if self.pid is None:
            return f"{self.process} was not stopped"
        self.kernel.send_signal(self.pid, signal.SIGCONT)
        pid, self.pid = self.pid, None
        return f"{self.process} (pid {pid}): state {self.kernel.process_state(pid) or 'gone'}"


@dataclass(slots=True, kw_only=True)
class ProcessSignal:
    """A signal that a process takes as an order, such as to reload; there is nothing to heal."""

    kernel: Kernel
    process: str
    number: int

    def prepare(self) -> None:
        """There must be somebody to take it."""
        _running(self.kernel, self.process, "process-signal")

    def fire(self) -> Effect:
        """One kill(2)."""
        pid = _running(self.kernel, self.process, "process-signal")
        self.kernel.send_signal(pid, self.number)
        name = signal.Signals(self.number).name
        return Effect(t_mono_ns=self.kernel.clock(), evidence=f"{name} sent to {self.process} (pid {pid})")

    def heal(self) -> str:
        """What it did is its own."""
        return "nothing to undo"


def build_kill(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A process-kill; `process`, and for one that is not init's own `reviver` and `revive_signal`."""
    refuse_unknown(parameters, {"process", "reviver", "revive_signal"}, "process-kill")
    process = text_of(parameters, "process", "process-kill")
    _known(kernel, process, "process-kill")
    reviver = None
    if "reviver" in parameters:
        keeper = text_of(parameters, "reviver", "process-kill")
        reviver = (keeper, signal_number(text_of(parameters, "revive_signal", "process-kill")))
    return ProcessKill(kernel=kernel, process=process, reviver=reviver)


def build_pause(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A process-pause; `process`."""
    refuse_unknown(parameters, {"process"}, "process-pause")
    process = text_of(parameters, "process", "process-pause")
    _known(kernel, process, "process-pause")
    return ProcessPause(kernel=kernel, process=process)


def build_signal(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A process-signal; `process`, `signal`."""
    refuse_unknown(parameters, {"process", "signal"}, "process-signal")
    process = text_of(parameters, "process", "process-signal")
    _known(kernel, process, "process-signal")
    return ProcessSignal(kernel=kernel, process=process, number=signal_number(text_of(parameters, "signal", "process-signal")))


def _known(kernel: Kernel, process: str, fault: str) -> None:
    try:
        kernel.process_pid(process)
    except ValueError as error:
        raise FaultError(f"{fault}: {error}") from error


def _running(kernel: Kernel, process: str, fault: str) -> int:
    pid = kernel.process_pid(process)
    if pid is None:
        raise FaultError(f"{fault}: {process} does not run")
    return pid


def await_state(kernel: Kernel, pid: int, wanted: frozenset[str | None], what: str) -> None:
    """Until the process is in one of these states. Raises FaultError."""

    def unsettled() -> str | None:
        state = kernel.process_state(pid)
        return None if state in wanted else f"{what} (pid {pid}) is still in state {state}"

    await_settled(kernel, unsettled)
