"""The kernel's table of tracked flows: the one effect module of conntrack clean-up, by netlink."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from nodeagent.proxy.conntrack import Flow
from nodeagent.proxy.flow_messages import decode, is_failure, render_deletion, render_dump

NETLINK_NETFILTER = 12  # linux/netlink.h
RECEIVE_BYTES = 65536
BATCH = 64
"""Deletions asked for at once; the answers fit into the socket's buffer by far."""
ANSWER_DEADLINE_S = 5.0


class FlowTable:
    """UDP flows of this network namespace. Works in the event loop piece by piece, so that nothing waits for all of it."""

    async def delete_udp(self, is_stale: Callable[[Flow], bool]) -> int:
        """Delete the flows that are stale; how many they were.

        Raises:
            OSError: the kernel refused, or did not answer in time.
        """
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, NETLINK_NETFILTER) as kernel:
            kernel.bind((0, 0))
            stale = await _find(kernel, is_stale)
            for first in range(0, len(stale), BATCH):
                await _delete(kernel, stale[first : first + BATCH])
        return len(stale)


async def _find(kernel: socket.socket, is_stale: Callable[[Flow], bool]) -> list[Flow]:
    kernel.send(render_dump())
    stale: list[Flow] = []
    while True:
        answer = decode(await _receive(kernel))
        if failure := next((code for code in answer.errors if code), None):
            raise OSError(failure, f"dump of tracked flows: {os.strerror(failure)}")
        stale += filter(is_stale, answer.flows)
        if answer.done:
            return stale


async def _delete(kernel: socket.socket, flows: list[Flow]) -> None:
    kernel.send(b"".join(render_deletion(flow) for flow in flows))
    answered = 0
    while answered < len(flows):
        errors = decode(await _receive(kernel)).errors
        answered += len(errors)
        if failure := next(filter(is_failure, errors), None):
            raise OSError(failure, f"deletion of a tracked flow: {os.strerror(failure)}")


async def _receive(kernel: socket.socket) -> bytes:
    # The kernel has its answer ready whenever it is asked, so that nothing here would ever wait: give way to others by hand.
    await asyncio.sleep(0)
    async with asyncio.timeout(ANSWER_DEADLINE_S):
        return await asyncio.get_running_loop().sock_recv(kernel, RECEIVE_BYTES)
