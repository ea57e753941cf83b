"""Flags and groups of interfaces: one system call for each."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from testbed_init.netfilter_messages import NLM_F_ACK, NLM_F_REQUEST, parse_errors, render_attribute
from testbed_init.tools import KernelError

IFF_UP = 0x1
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFREQ_SIZE_BYTES = 40
"""`struct ifreq` on 64-bit (netdevice(7)): 16 bytes of name, then a union of which the flags are the first 2 bytes."""
RTM_SETLINK, IFLA_GROUP = 19, 27
ANSWER_SIZE = 4096


def set_up(names: Sequence[str], *, up: bool) -> None:
    """Set the interfaces up or down, in order (netdevice(7)). Raises KernelError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        for name in names:
            flags = _flags(handle, name)
            _request(handle, SIOCSIFFLAGS, name, flags | IFF_UP if up else flags & ~IFF_UP)


def are_up(names: Sequence[str]) -> dict[str, bool]:
    """Whether each interface is set up. Raises KernelError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        return {name: bool(_flags(handle, name) & IFF_UP) for name in names}


def read_group(name: str) -> int:
    """The interface's group (ip-link(8)), 0 unless somebody set one. Raises KernelError."""
    try:
        return int(Path("/sys/class/net", name, "netdev_group").read_text(), 0)
    except OSError as error:
        raise KernelError(f"interface {name}: cannot read its group: {error.strerror}") from error


def set_group(name: str, group: int) -> None:
    """One request of rtnetlink(7). Raises KernelError."""
    try:
        link = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, socket.if_nametoindex(name), 0, 0)
        body = link + render_attribute(IFLA_GROUP, struct.pack("=I", group))
        message = struct.pack("=IHHII", 16 + len(body), RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, 0, 0) + body
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as handle:
            handle.sendto(message, (0, 0))
            status = next(parse_errors(handle.recv(ANSWER_SIZE)), 0)
    except OSError as error:
        raise KernelError(f"interface {name}: cannot set its group: {error.strerror}") from error
    if status:
        raise KernelError(f"interface {name}: cannot set its group: {os.strerror(status)}")


def _flags(handle: socket.socket, name: str) -> int:
    answer = _request(handle, SIOCGIFFLAGS, name, 0)
    flags: int = struct.unpack_from("H", answer, 16)[0]
    return flags


def _request(handle: socket.socket, request: int, name: str, flags: int) -> bytes:
    ifreq = struct.pack("16sH", name.encode(), flags).ljust(IFREQ_SIZE_BYTES, b"\0")
    try:
        return fcntl.ioctl(handle, request, ifreq)
    except OSError as error:
        verb = "read" if request == SIOCGIFFLAGS else "set"
        raise KernelError(f"interface {name}: cannot {verb} its flags: {error.strerror}") from error
