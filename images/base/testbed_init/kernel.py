"""Everything init asks of the kernel, in one place; faults and the loop see it through the `Kernel` protocol."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from testbed_init.links import are_up, read_group, set_group, set_up
from testbed_init.packet_filter import PacketFilter
from testbed_init.processes import Supervisor
from testbed_init.tools import Helper, KernelError, StartedHelper, StartedTool, Tool, run_tool

CAP_NET_ADMIN = 12

RESOLVE_NS = 100_000_000
"""A neighbour on a bridge answers within a millisecond; one that has not by then is not there."""
DISCARD_PORT = 9


class Kernel(Protocol):
    """The effects that faults are made of."""

    @property
    def filter(self) -> PacketFilter:
        """The rules of all faults in effect."""

    def clock(self) -> int:
        """CLOCK_MONOTONIC in ns."""

    def yield_processor(self) -> None:
        """Let others run for half a millisecond."""

    def links(self) -> tuple[str, ...]:
        """Every interface of the container but loopback, sorted."""

    def uplinks(self) -> tuple[str, ...]:
        """The interfaces that lead out of the container, sorted."""

    def set_links(self, names: Sequence[str], *, up: bool) -> None:
        """Set the interfaces up or down, in order."""

    def link_states(self, names: Sequence[str]) -> dict[str, str]:
        """`up` or `down` of each interface, read back."""

    def switch_groups(self, names: Sequence[str], bit: int, *, on: bool) -> None:
        """Set or clear one bit of each interface's group, by which rules can tell whether they are in effect."""

    def groups(self, names: Sequence[str]) -> dict[str, int]:
        """Group of each interface, read back."""

    def save_routes(self) -> bytes:
        """The main routing table, in the form that `restore_routes` takes."""

    def restore_routes(self, saved: bytes) -> None:
        """Add the saved routes that are missing."""

    def signal_all(self, number: int) -> None:
        """Send a signal to every process of the container but init."""

    def process_states(self) -> dict[int, str]:
        """State letter of every other process of the container (proc(5): R, S, D, T, Z, ...)."""

    def require_net_admin(self) -> None:
        """Raise where init may not configure interfaces."""

    def start_tool(self, argv: Sequence[str]) -> Tool:
        """Start a command that acts when it gets its input."""

    def start_helper(self, module: str) -> Helper:
        """Start a Python module of ours that takes orders."""

    def neighbours(self, addresses: Sequence[str]) -> dict[str, str]:
        """Link-layer address of each of these neighbours that answers."""

    def process_pid(self, name: str) -> int | None:
        """Pid of init's process of that name, or of the one with a pid file; None when it does not run. Raises ValueError."""

    def send_signal(self, pid: int, number: int) -> None:
        """kill(2); a process that has ended is not an error."""

    def process_state(self, pid: int) -> str | None:
        """State letter of a process (proc(5)), None when it is gone."""

    def children(self, pid: int) -> tuple[int, ...]:
        """Pids of the processes that have this parent."""

    def hold(self, name: str) -> None:
        """Init's process of that name is not restarted until it is released; any other is left to its own keeper."""

    def release(self, name: str) -> None:
        """Start it again if it does not run."""

    def terminate(self) -> None:
        """Tell init itself to end in order, as the engine's stop does."""

    def read(self, path: str) -> str | None:
        """Text of a file of the container, None when it is not there."""

    def find(self, pattern: str) -> tuple[str, ...]:
        """Paths that match (glob(7)), sorted."""


class LinuxKernel:
    """The real one. What strikes is one system call for each interface or process: nothing to import, nothing to fork."""

    def __init__(self, *, supervisor: Supervisor, run_dir: Path) -> None:
        self._supervisor = supervisor
        self._run_dir = run_dir
        self.filter = PacketFilter(kernel=self)

    def clock(self) -> int:
        """CLOCK_MONOTONIC in ns."""
        return time.monotonic_ns()

    def yield_processor(self) -> None:
        """Sleep: who is waited for may be waiting for this very processor."""
        time.sleep(0.0005)

    def links(self) -> tuple[str, ...]:
        """Every interface of the container but loopback, sorted."""
        return tuple(sorted(name for _, name in socket.if_nameindex() if name != "lo"))

    def uplinks(self) -> tuple[str, ...]:
        """The interfaces that lead out of the container.

        Those whose other end is in another namespace (`iflink` differs from `ifindex`) and that no bridge of the
        container owns: a pod's veth has a master, a bridge is its own link.
        """

        def leads_out(name: str) -> bool:
            entry = Path("/sys/class/net", name)
            own, other = (int((entry / file).read_text()) for file in ("ifindex", "iflink"))
            return own != other and not (entry / "master").exists()

        return tuple(name for name in self.links() if leads_out(name))

    def set_links(self, names: Sequence[str], *, up: bool) -> None:
        """Set the interfaces up or down, in order."""
        set_up(names, up=up)

    def link_states(self, names: Sequence[str]) -> dict[str, str]:
        """`up` or `down` of each interface, read back."""
        return {name: "up" if is_up else "down" for name, is_up in are_up(names).items()}

    def switch_groups(self, names: Sequence[str], bit: int, *, on: bool) -> None:
        """Set or clear one bit of each interface's group, in order."""
        for name, group in self.groups(names).items():
            set_group(name, group | bit if on else group & ~bit)

    def groups(self, names: Sequence[str]) -> dict[str, int]:
        """Group of each interface, read back."""
        return {name: read_group(name) for name in names}

    def save_routes(self) -> bytes:
        """The main routing table in the dump format of ip-route(8) `save`."""
        return run_ip(["route", "save", "table", "main"])

    def restore_routes(self, saved: bytes) -> None:
        """Add the saved routes that are missing (`restore` passes over those that exist, ip-route(8))."""
        run_ip(["route", "restore"], text=saved)

    def signal_all(self, number: int) -> None:
        """One kill(2) with pid -1: every process but init and, being init, but the sender; all in one system call."""
        try:
            os.kill(-1, number)
        except ProcessLookupError:
            return  # init is alone

    def process_states(self) -> dict[int, str]:
        """State letter of every other process."""
        return {pid: state for pid, (state, _) in _processes().items() if pid != os.getpid()}

    def process_state(self, pid: int) -> str | None:
        """State letter of a process, None when it is gone."""
        found = _read_stat(pid)
        return None if found is None else found[0]

    def children(self, pid: int) -> tuple[int, ...]:
        """Pids of the processes that have this parent."""
        return tuple(child for child, (_, parent) in _processes().items() if parent == pid)

    def require_net_admin(self) -> None:
        """Raise where init may not configure interfaces (capabilities(7))."""
        if not has_net_admin():
            raise KernelError("the container lacks CAP_NET_ADMIN: give its role `cap_add: [NET_ADMIN]`")

    def start_tool(self, argv: Sequence[str]) -> Tool:
        """Start a command that acts when it gets its input."""
        return StartedTool(argv)

    def start_helper(self, module: str) -> Helper:
        """Start a Python module of ours that takes orders."""
        return StartedHelper([sys.executable, "-m", module])

    def neighbours(self, addresses: Sequence[str]) -> dict[str, str]:
        """Link-layer addresses from the kernel's own table, asked for by a datagram to each that is not in it yet."""
        until_ns = self.clock() + RESOLVE_NS
        found = _arp_table()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            for address in addresses:
                if address not in found:
                    with suppress(OSError):
                        handle.sendto(b"", (address, DISCARD_PORT))
        while not set(addresses) <= set(found) and self.clock() < until_ns:
            time.sleep(0.005)
            found = _arp_table()
        return {address: found[address] for address in addresses if address in found}

    def process_pid(self, name: str) -> int | None:
        """Init's process, or one that stands for itself with a pid file (HAProxy outlives its agent)."""
        if name in self._supervisor.processes:
            return self._supervisor.processes[name].pid
        pid_file = self._run_dir / f"{Path(name).name}.pid"
        if not pid_file.exists():
            raise ValueError(f"no process {name!r}; this container has {list(self._supervisor.processes)}")
        text = pid_file.read_text().strip()
        pid = int(text) if text else None
        return pid if pid is not None and self.process_state(pid) not in (None, "Z", "X") else None

    def send_signal(self, pid: int, number: int) -> None:
        """kill(2); a process that has just ended is not an error."""
        self._supervisor.spawner.signal(pid, number)

    def hold(self, name: str) -> None:
        """No restarts until it is released."""
        if name in self._supervisor.processes:
            self._supervisor.hold(name)

    def release(self, name: str) -> None:
        """Start it again if it does not run."""
        if name in self._supervisor.processes:
            self._supervisor.release(name)

    def terminate(self) -> None:
        """SIGTERM to init itself: the loop takes it like the engine's."""
        os.kill(os.getpid(), signal.SIGTERM)

    def read(self, path: str) -> str | None:
        """Text of a file of the container, None when it is not there."""
        try:
            return Path(path).read_text()
        except FileNotFoundError:
            return None

    def find(self, pattern: str) -> tuple[str, ...]:
        """Paths that match (glob(7)), sorted."""
        return tuple(sorted(str(path) for path in Path("/").glob(pattern.lstrip("/"))))


def has_net_admin() -> bool:
    """Whether init may configure interfaces and rules (capabilities(7))."""
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> CAP_NET_ADMIN & 1)


def run_ip(arguments: Sequence[str], *, text: bytes = b"") -> bytes:
    """Run ip(8) with `text` on its standard input and return its output. Raises KernelError."""
    return run_tool(["ip", *arguments], text=text)


def _processes() -> dict[int, tuple[str, int]]:
    """State letter and parent of every process of the container."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {pid: found for pid in pids if (found := _read_stat(pid)) is not None}


def _read_stat(pid: int) -> tuple[str, int] | None:
    """proc(5), `stat`: after the name's closing bracket, the state and the parent; None when the process is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
    return state, int(parent)


def _arp_table() -> dict[str, str]:
    """Resolved neighbours (proc(5), /proc/net/arp: address, type, flags, link-layer address; flag 2 is ATF_COM: complete)."""
    rows = [line.split() for line in Path("/proc/net/arp").read_text().splitlines()[1:]]
    return {row[0]: row[3] for row in rows if int(row[2], 16) & 2}


def signal_number(name: str) -> int:
    """`KILL` or `SIGKILL` -> 9.

    Raises:
        ValueError: no such signal.
    """
    try:
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"].value
    except KeyError:
        raise ValueError(f"unknown signal {name!r}") from None
