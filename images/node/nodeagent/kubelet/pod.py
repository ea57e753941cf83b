"""One pod from its object's arrival to its deletion: sandbox, program, readiness, graceful end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from nodeagent.api import Api
from nodeagent.kubelet.network import NodeNetwork
from nodeagent.kubelet.pod_program import PodProgram
from nodeagent.kubelet.pod_sandbox import PodSandbox
from nodeagent.kubelet.pod_spec import PodSpec, Readiness
from nodeagent.kubelet.pod_status import Now, PodStatus, delete_object
from nodeagent.kubelet.port_mapper import PortMapper
from nodeagent.kubelet.probing import probe
from nodeagent.kubelet.recorder import Recorder, refer_to_pod
from testbed_init.events import EventSink
from testbed_kube.recording import NORMAL, WARNING

ALIVE_CHECK_S = 0.5


class Pod:
    """Runs one pod; `run` is its whole life, `end` starts the graceful end."""

    def __init__(
        self,
        *,
        spec: PodSpec,
        node: str,
        node_ip: IPv4Address,
        address: IPv4Address | None,
        pod_cidr: IPv4Network,
        network: NodeNetwork,
        port_mapper: PortMapper,
        api: Api,
        recorder: Recorder,
        events: EventSink,
        now: Now,
    ) -> None:
        self.spec = spec
        self.address = node_ip if spec.host_network or address is None else address
        self._node = node
        self._api = api
        self._recorder = recorder
        self._events = events
        self._ending = asyncio.Event()
        self._grace_s = spec.grace_s
        self.sandbox = PodSandbox(
            spec=spec,
            node=node,
            address=self.address,
            pod_cidr=pod_cidr,
            network=network,
            port_mapper=port_mapper,
            events=events,
            ending=self._ending,
        )
        self._program = PodProgram(spec=spec, node=node, address=self.address, namespace=self.sandbox.namespace)
        self._status = PodStatus(spec=spec, node_ip=node_ip, address=self.address, api=api, now=now)

    @property
    def is_ending(self) -> bool:
        return self._ending.is_set()

    def end(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._ending.set()

    def compare(self, item: Mapping[str, Any]) -> None:
        """With what the API holds."""
        if not self.is_ending:
            self._status.compare(item)

    async def run(self) -> None:
        """Until the pod has ended and its object is gone."""
        adopted = self._program.is_running
        await (self.sandbox.map_host_ports() if adopted else self._start())
        self._report("pod-started")
        if adopted:
            self._status.adopt()
        elif self.spec.readiness is None:
            await self._set_ready(True)
        else:
            await self._status.tell()
        watcher = asyncio.create_task(self._watch())
        await self._ending.wait()
        began = asyncio.get_running_loop().time()
        self._report("pod-terminating")
        self._tell_end()
        await asyncio.sleep(min(self.spec.pre_stop_s, self._grace_s))
        await self._program.stop(began + self._grace_s)
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        await self._remove()
        self._report("pod-stopped")
        await delete_object(self._api, self.spec)

    async def _start(self) -> None:
        await self.sandbox.make()
        await self._start_program()

    async def _start_program(self) -> None:
        await self._program.start()
        for container, image in zip(self.spec.containers, self.spec.images, strict=True):
            # pkg/kubelet/images, image_manager.go: what stands for every image is always there.
            present = f'Container image "{image}" already present on machine and can be accessed by the pod'
            self._tell_of(container, NORMAL, "Pulled", present)
            self._tell_of(container, NORMAL, "Created", "Container created")
            self._tell_of(container, NORMAL, "Started", "Container started")

    async def _remove(self) -> None:
        await self.sandbox.remove()
        self._program.remove()

    async def _watch(self) -> None:
        """Readiness, and a start again when the program has ended by itself."""
        probing = asyncio.create_task(self._probe(self.spec.readiness)) if self.spec.readiness else None
        try:
            while True:
                await asyncio.sleep(ALIVE_CHECK_S)
                if not self._program.is_running and not self.is_ending:
                    # In the sandbox that stands, as a kubelet restarts containers (kuberuntime_manager.go, computePodActions): a
                    # new one would have another link address, and neighbours would go on calling the old one for a while.
                    await self._start_program()
                    self._report("pod-started")
        finally:
            if probing is not None:
                probing.cancel()

    async def _probe(self, readiness: Readiness) -> None:
        await asyncio.sleep(readiness.initial_delay_s)
        good = bad = 0
        while True:
            failure = await probe(str(self.address), readiness)
            good, bad = (good + 1, 0) if failure is None else (0, bad + 1)
            if failure is not None:
                self._tell_of(readiness.container, WARNING, "Unhealthy", failure)
            if good >= readiness.success_threshold and not self._status.is_ready:
                await self._set_ready(True)
            elif bad >= readiness.failure_threshold and self._status.is_ready:
                await self._set_ready(False)
            await asyncio.sleep(readiness.period_s)

    async def _set_ready(self, ready: bool) -> None:
        self._status.note(ready=ready)
        self._report("pod-ready" if ready else "pod-not-ready")
        await self._status.tell()

    def _tell_end(self) -> None:
        for container in self.spec.containers:
            self._tell_of(container, NORMAL, "Killing", f"Stopping container {container}")

    def _tell_of(self, container: str, kind: str, reason: str, message: str) -> None:
        self._recorder.record(refer_to_pod(self.spec, container), kind, reason, message)

    def _report(self, event: str) -> None:
        self._events.emit(event, pod=self.spec.name, ip=str(self.address), node=self._node)
