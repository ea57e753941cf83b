"""A pod's sandbox: its network namespace, and the host ports that lead into it."""

from __future__ import annotations

import asyncio
import hashlib
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from nodeagent.kubelet.host_ports import map_pod
from nodeagent.kubelet.network import NETNS, NodeNetwork
from nodeagent.kubelet.pod_spec import PodSpec
from nodeagent.kubelet.port_mapper import PortMapper
from nodeagent.proxy.rules import RulesError
from testbed_init.events import EventSink

RULES_RETRY_S = 1.0


class PodSandbox:
    """A pod in the node's own network has neither. `ending`: set when the pod is to end."""

    def __init__(
        self,
        *,
        spec: PodSpec,
        node: str,
        address: IPv4Address,
        pod_cidr: IPv4Network,
        network: NodeNetwork,
        port_mapper: PortMapper,
        events: EventSink,
        ending: asyncio.Event,
    ) -> None:
        self._spec = spec
        self._node = node
        self._address = address
        self._pod_cidr = pod_cidr
        self._network = network
        self._port_mapper = port_mapper
        self._mapped = map_pod(spec, address, pod_cidr)
        self._events = events
        self._ending = ending

    @property
    def namespace(self) -> Path | None:
        """Its file; None: the node's own."""
        return None if self._spec.host_network else NETNS / self._name

    @property
    def _name(self) -> str:
        return f"pod-{self._spec.uid}"

    @property
    def _host_link(self) -> str:
        """15 characters at most (IFNAMSIZ)."""
        return "veth" + hashlib.sha256(self._spec.uid.encode()).hexdigest()[:8]

    async def make(self) -> None:
        """Anew, whatever is there."""
        if not self._spec.host_network:
            await self._network.make_pod(self._name, self._host_link, self._address, self._pod_cidr)
            await self.map_host_ports()

    async def map_host_ports(self) -> None:
        """Does nothing when they are there already. Tried again, as a kubelet does with a sandbox, until the pod is to end."""
        while self._mapped is not None:
            try:
                given_up = await self._port_mapper.add(self._mapped)
            except RulesError as error:
                self._emit_failure("host-ports-failed", error)
            except OSError as error:
                self._emit_failure("flows-failed", error)
                return
            else:
                if given_up:
                    self._events.emit("flows-deleted", node=self._node, flows=given_up)
                return
            if self._ending.is_set():
                return
            await asyncio.sleep(RULES_RETRY_S)

    async def remove(self) -> None:
        """The rules before the namespace that they lead to."""
        await self._unmap_host_ports()
        if not self._spec.host_network:
            await self._network.remove_pod(self._name, self._host_link)

    async def _unmap_host_ports(self) -> None:
        while self._mapped is not None:
            try:
                self._port_mapper.remove(self._mapped.uid)
            except RulesError as error:
                self._emit_failure("host-ports-failed", error)
                await asyncio.sleep(RULES_RETRY_S)
            else:
                return

    def _emit_failure(self, event: str, error: Exception) -> None:
        self._events.emit(event, node=self._node, pod=self._spec.name, error=str(error) or "no answer in time")
