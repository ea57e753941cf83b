"""Everything init asks of the kernel, in one place; faults and the loop see it through the `Kernel` protocol."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

IFF_UP = 0x1
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
CAP_NET_ADMIN = 12
IFREQ_SIZE_BYTES = 40
"""`struct ifreq` on 64-bit (netdevice(7)): 16 bytes of name, then a union of which the flags are the first 2 bytes."""


class KernelError(OSError):
    """A kernel request failed; the message says which and on what."""


class Kernel(Protocol):
    """The effects that faults are made of."""

    def clock(self) -> int:
        """CLOCK_MONOTONIC in ns."""

    def links(self) -> tuple[str, ...]:
        """Every interface of the container but loopback, sorted."""

    def uplinks(self) -> tuple[str, ...]:
        """The interfaces that lead out of the container, sorted."""

    def set_links(self, names: Sequence[str], *, up: bool) -> None:
        """Set the interfaces up or down, in order."""

    def link_states(self, names: Sequence[str]) -> dict[str, str]:
        """`up` or `down` of each interface, read back."""

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


class LinuxKernel:
    """The real one. Interfaces by ioctl (netdevice(7)): one system call each, nothing to import, nothing to fork."""

    def clock(self) -> int:
        """CLOCK_MONOTONIC in ns."""
        return time.monotonic_ns()

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
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            for name in names:
                flags = _link_flags(handle, name)
                wanted = flags | IFF_UP if up else flags & ~IFF_UP
                _link_request(handle, SIOCSIFFLAGS, name, wanted)

    def link_states(self, names: Sequence[str]) -> dict[str, str]:
        """`up` or `down` of each interface, read back."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            return {name: "up" if _link_flags(handle, name) & IFF_UP else "down" for name in names}

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
        """State letter of every other process (proc(5), third field of `stat`, after the name's closing bracket)."""
        states = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    stat = (entry / "stat").read_text()
                except OSError:
                    continue  # gone between the listing and the reading
                states[int(entry.name)] = stat[stat.rindex(")") + 2]
        return states

    def require_net_admin(self) -> None:
        """Raise where init may not configure interfaces (capabilities(7))."""
        if not has_net_admin():
            raise KernelError("the container lacks CAP_NET_ADMIN: give its role `cap_add: [NET_ADMIN]`")


def has_net_admin() -> bool:
    """Whether init may configure interfaces and rules (capabilities(7))."""
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> CAP_NET_ADMIN & 1)


def run_ip(arguments: Sequence[str], *, text: bytes = b"") -> bytes:
    """Run ip(8) with `text` on its standard input and return its output. Raises KernelError."""
    return run_tool(["ip", *arguments], text=text)


def run_tool(argv: Sequence[str], *, text: bytes = b"") -> bytes:
    """Run a command with `text` on its standard input and return its output.

    posix_spawn and files in memory: `subprocess` alone takes as long to import as the rest of init.

    Raises:
        KernelError: with the command line, the exit status and what it wrote to standard error.
    """
    with (
        os.fdopen(os.memfd_create("stdin"), "w+b") as stdin,
        os.fdopen(os.memfd_create("stdout"), "w+b") as stdout,
        os.fdopen(os.memfd_create("stderr"), "w+b") as stderr,
    ):
        stdin.write(text)
        stdin.seek(0)
        streams = [(os.POSIX_SPAWN_DUP2, file.fileno(), fd) for fd, file in enumerate((stdin, stdout, stderr))]
        pid = os.posix_spawnp(argv[0], list(argv), os.environ, file_actions=streams)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        stdout.seek(0)
        stderr.seek(0)
        if status != 0:
            raise KernelError(f"`{' '.join(argv)}` gave {status}: {stderr.read().decode(errors='replace').strip()}")
        return stdout.read()


def signal_number(name: str) -> int:
    """`KILL` or `SIGKILL` -> 9.

    Raises:
        ValueError: no such signal.
    """
    try:
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"].value
    except KeyError:
        raise ValueError(f"unknown signal {name!r}") from None


def _link_flags(handle: socket.socket, name: str) -> int:
    answer = _link_request(handle, SIOCGIFFLAGS, name, 0)
    flags: int = struct.unpack_from("H", answer, 16)[0]
    return flags


def _link_request(handle: socket.socket, request: int, name: str, flags: int) -> bytes:
    ifreq = struct.pack("16sH", name.encode(), flags).ljust(IFREQ_SIZE_BYTES, b"\0")
    try:
        return fcntl.ioctl(handle, request, ifreq)
    except OSError as error:
        verb = "read" if request == SIOCGIFFLAGS else "set"
        raise KernelError(f"interface {name}: cannot {verb} its flags: {error.strerror}") from error
