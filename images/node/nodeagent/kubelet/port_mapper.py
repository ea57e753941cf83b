"""Keeps the rules of the host ports: one transaction when a pod comes or goes, and UDP flows that know better given up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from nodeagent.kubelet.host_ports import MappedPod, render_nftables
from nodeagent.kubelet.host_ports_iptables import render_iptables
from nodeagent.proxy.conntrack import Flow
from nodeagent.proxy.iptables.tools import Tools
from nodeagent.proxy.nftables import Transactions


class Mappings(Protocol):
    """The kernel's rules of host ports."""

    def write(self, pods: Sequence[MappedPod]) -> None:
        """Make them those of these pods, at once and altogether. Raises RulesError; nothing has changed then."""
        ...


class Flows(Protocol):
    """Tracked flows of the node's namespace."""

    async def delete_udp(self, is_stale: Callable[[Flow], bool]) -> int: ...


class NftablesMappings:
    """Implements Mappings."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def write(self, pods: Sequence[MappedPod]) -> None:
        self._transactions.apply(render_nftables(pods))


class IptablesMappings:
    """Implements Mappings."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def write(self, pods: Sequence[MappedPod]) -> None:
        if text := render_iptables(pods, self._tools.save()["nat"]):
            self._tools.restore(text)


class PortMapper:
    """The host ports of all pods of the node."""

    def __init__(self, *, mappings: Mappings, flows: Flows) -> None:
        self._mappings = mappings
        self._flows = flows
        self._pods: dict[str, MappedPod] = {}
        self._is_written = False

    def start(self, running: Iterable[MappedPod]) -> None:
        """Clear what an earlier life of the agent left, but for the pods that still run. Raises RulesError."""
        self._pods = {pod.uid: pod for pod in running}
        self._write()

    async def add(self, pod: MappedPod) -> int:
        """Lead the pod's host ports to it; how many UDP flows to those ports were given up. Idempotent.

        A UDP client that asked before the pod was there has a flow that leads nowhere, and would keep it as long as it sends. Any
        flow to the port's number is hit, whatever its destination, as in the plugin.

        Raises:
            RulesError: nothing has changed.
            OSError: the rules stand, and the flows could not be given up.
        """
        if self._is_written and self._pods.get(pod.uid) == pod:
            return 0
        self._pods[pod.uid] = pod
        self._write()
        numbers = {port.port for port in pod.ports if port.protocol == "udp"}
        return await self._flows.delete_udp(lambda flow: flow.destination[1] in numbers) if numbers else 0

    def remove(self, uid: str) -> None:
        """Idempotent. Raises RulesError; nothing has changed then."""
        if self._pods.pop(uid, None) is not None or not self._is_written:
            self._write()

    def _write(self) -> None:
        self._is_written = False
        self._mappings.write(tuple(self._pods.values()))
        self._is_written = True
