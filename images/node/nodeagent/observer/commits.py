"""When the kernel's nftables were last committed, by whomever: a socket on netlink, and what a follower asks of it."""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol, Self

from nodeagent.observer.generations import ADD_MEMBERSHIP, GROUP_NFTABLES, NETLINK_NETFILTER, SOL_NETLINK, count_commits
from testbed_init.events import Clock

RECEIVE_BYTES = 1 << 16
BUFFER_BYTES = 1 << 21
"""A first sync of many services is one burst; what does not fit only costs one more reading."""


class Commits(Protocol):
    """Instants of the monotonic clock in nanoseconds. Each commit is told once, by whichever is asked first."""

    def told_ns(self) -> int | None:
        """The last commit of those that wait to be told; None without one."""

    async def next_ns(self) -> int:
        """Of the next commit, as soon as it is told."""


class KernelCommits:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, NETLINK_NETFILTER)

    def __enter__(self) -> Self:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._socket.bind((0, 0))
        self._socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, GROUP_NFTABLES)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def told_ns(self) -> int | None:
        told_ns = None
        while True:
            try:
                commits = count_commits(self._socket.recv(RECEIVE_BYTES))
            except BlockingIOError:
                return told_ns
            except OSError:  # ENOBUFS: messages were lost, so that something was committed
                commits = 1
            if commits:
                told_ns = self._clock()

    async def next_ns(self) -> int:
        loop = asyncio.get_running_loop()
        while True:
            try:
                commits = count_commits(await loop.sock_recv(self._socket, RECEIVE_BYTES))
            except OSError:  # ENOBUFS, as above
                commits = 1
            if commits:
                return self._clock()
