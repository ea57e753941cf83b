"""One pod from its object's arrival to its deletion: namespace, nginx, readiness, graceful end."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import aiohttp

from nodeagent.api import Api, ApiError, pod_path
from nodeagent.kubelet.host_ports import map_pod
from nodeagent.kubelet.network import NETNS, NodeNetwork
from nodeagent.kubelet.nginx import render_nginx
from nodeagent.kubelet.pod_spec import PodSpec, Readiness
from nodeagent.kubelet.port_mapper import PortMapper
from nodeagent.kubelet.probing import probe
from nodeagent.kubelet.recorder import Recorder, refer_to_pod
from nodeagent.proxy.rules import RulesError
from testbed_init.events import EventSink
from testbed_kube.recording import NORMAL, WARNING

STATE = Path("/run/testbed/pods")
ADDRESS = "address"
POLL_S = 0.05
ALIVE_CHECK_S = 0.5
START_DEADLINE_S = 10.0
RULES_RETRY_S = 1.0

Now = Callable[[], datetime.datetime]


class PodError(Exception):
    """A pod's program did not start."""


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
        self._node_ip = node_ip
        self._pod_cidr = pod_cidr
        self._network = network
        self._port_mapper = port_mapper
        self._mapped = map_pod(spec, self.address, pod_cidr)
        self._api = api
        self._recorder = recorder
        self._events = events
        self._now = now
        self._started_at = now()
        self._ready = False
        self._ready_since = self._started_at
        self._ending = asyncio.Event()
        self._told = False
        """Whether the API has taken the latest status."""
        self._retelling: asyncio.Task[None] | None = None
        self._grace_s = spec.grace_s

    def end(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._ending.set()

    def compare(self, item: Mapping[str, Any]) -> None:
        """Say again how the pod is when the API holds something else: a node that was cut off has its pods marked not ready."""
        conditions = (item.get("status") or {}).get("conditions") or ()
        told = next((entry.get("status") == "True" for entry in conditions if entry.get("type") == "Ready"), None)
        if self._told and told is not None and told != self._ready and not self.is_ending:
            self._told = False
            self._retelling = asyncio.create_task(self._post_status())

    @property
    def is_ending(self) -> bool:
        return self._ending.is_set()

    @property
    def _directory(self) -> Path:
        return STATE / self.spec.uid

    @property
    def _namespace(self) -> str:
        return f"pod-{self.spec.uid}"

    @property
    def _host_link(self) -> str:
        """15 characters at most (IFNAMSIZ)."""
        return "veth" + hashlib.sha256(self.spec.uid.encode()).hexdigest()[:8]

    async def run(self) -> None:
        """Until the pod has ended and its object is gone."""
        adopted = self._pid() is not None
        await (self._map_host_ports() if adopted else self._start())
        self._report("pod-started")
        if adopted:
            self._ready = self._told = True  # it served before this agent came; its probe says otherwise when it must
        elif self.spec.readiness is None:
            await self._set_ready(True)
        else:
            await self._post_status()
        watcher = asyncio.create_task(self._watch())
        await self._ending.wait()
        began = asyncio.get_running_loop().time()
        self._report("pod-terminating")
        self._tell_end()
        await asyncio.sleep(min(self.spec.pre_stop_s, self._grace_s))
        await self._stop(began + self._grace_s)
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        await self._remove()
        self._report("pod-stopped")
        await delete_object(self._api, self.spec)

    async def _start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        argv = ["nginx", "-e", "stderr", "-c", str(self._directory / "nginx.conf")]
        if not self.spec.host_network:
            await self._network.make_pod(self._namespace, self._host_link, self.address, self._pod_cidr)
            await self._map_host_ports()
            argv = ["nsenter", f"--net={NETNS / self._namespace}", *argv]
        text = render_nginx(
            pod=self.spec.name,
            node=self._node,
            pod_ip=str(self.address),
            ports=self.spec.ports or (80,),
            directory=str(self._directory),
            proxy_protocol=self.spec.proxy_protocol,
        )
        (self._directory / "nginx.conf").write_text(text, encoding="utf-8")
        (self._directory / ADDRESS).write_text(str(self.address), encoding="ascii")
        # nginx puts itself into the background when it listens: it then belongs to PID 1 and survives this agent.
        process = await asyncio.create_subprocess_exec(*argv, stderr=None)
        status = await asyncio.wait_for(process.wait(), START_DEADLINE_S)
        if status != 0:
            raise PodError(f"nginx of {self.spec.key} ended with status {status}")
        for container, image in zip(self.spec.containers, self.spec.images, strict=True):
            # pkg/kubelet/images, image_manager.go: what stands for every image is always there.
            present = f'Container image "{image}" already present on machine and can be accessed by the pod'
            self._tell_of(container, NORMAL, "Pulled", present)
            self._tell_of(container, NORMAL, "Created", "Container created")
            self._tell_of(container, NORMAL, "Started", "Container started")

    def _tell_end(self) -> None:
        for container in self.spec.containers:
            self._tell_of(container, NORMAL, "Killing", f"Stopping container {container}")

    def _tell_of(self, container: str, kind: str, reason: str, message: str) -> None:
        self._recorder.record(refer_to_pod(self.spec, container), kind, reason, message)

    async def _map_host_ports(self) -> None:
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
            if self.is_ending:
                return
            await asyncio.sleep(RULES_RETRY_S)

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
        self._events.emit(event, node=self._node, pod=self.spec.name, error=str(error) or "no answer in time")

    async def _watch(self) -> None:
        """Readiness, and a start again when the program has ended by itself."""
        probing = asyncio.create_task(self._probe(self.spec.readiness)) if self.spec.readiness else None
        try:
            while True:
                await asyncio.sleep(ALIVE_CHECK_S)
                if self._pid() is None and not self.is_ending:
                    await self._start()
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
            if good >= readiness.success_threshold and not self._ready:
                await self._set_ready(True)
            elif bad >= readiness.failure_threshold and self._ready:
                await self._set_ready(False)
            await asyncio.sleep(readiness.period_s)

    async def _set_ready(self, ready: bool) -> None:
        self._ready = ready
        self._ready_since = self._now()
        self._report("pod-ready" if ready else "pod-not-ready")
        await self._post_status()

    async def _post_status(self) -> None:
        self._told = False
        while True:
            try:
                await self._api.patch(f"{pod_path(self.spec.namespace, self.spec.name)}/status", {"status": self._status()})
            except ApiError as error:
                if error.status == 404:
                    return
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            else:
                self._told = True
                return
            await asyncio.sleep(POLL_S * 2)

    def _status(self) -> dict[str, Any]:
        ready = "True" if self._ready else "False"
        started, changed = (f"{item:%Y-%m-%dT%H:%M:%SZ}" for item in (self._started_at, self._ready_since))
        conditions = [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": started},
            {"type": "Initialized", "status": "True", "lastTransitionTime": started},
            {"type": "ContainersReady", "status": ready, "lastTransitionTime": changed},
            {"type": "Ready", "status": ready, "lastTransitionTime": changed},
        ]
        return {
            "phase": "Running",
            "hostIP": str(self._node_ip),
            "podIP": str(self.address),
            "podIPs": [{"ip": str(self.address)}],
            "startTime": started,
            "conditions": conditions,
            "containerStatuses": [
                {
                    "name": name,
                    "ready": self._ready,
                    "started": True,
                    "restartCount": 0,
                    "image": "nginx",
                    "imageID": "",
                    "state": {"running": {"startedAt": started}},
                }
                for name in self.spec.containers
            ],
        }

    async def _stop(self, deadline: float) -> None:
        """SIGQUIT, on which nginx finishes what it is answering (nginx(8)); SIGKILL when the grace period is over."""
        loop = asyncio.get_running_loop()
        self._signal(signal.SIGQUIT)
        while self._pid() is not None and loop.time() < deadline:
            await asyncio.sleep(POLL_S)
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if (pid := self._pid()) is not None:
            os.kill(pid, number)

    def _pid(self) -> int | None:
        return running_pid(self.spec.uid)

    async def _remove(self) -> None:
        await self._unmap_host_ports()
        if not self.spec.host_network:
            await self._network.remove_pod(self._namespace, self._host_link)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _report(self, event: str) -> None:
        self._events.emit(event, pod=self.spec.name, ip=str(self.address), node=self._node)


async def delete_object(api: Api, spec: PodSpec) -> None:
    """Tell the API that the pod has ended, until it has heard."""
    while True:
        try:
            await api.delete_now(pod_path(spec.namespace, spec.name), spec.uid)
        except (ApiError, aiohttp.ClientError, TimeoutError, OSError):
            await asyncio.sleep(POLL_S * 2)
        else:
            return


def running_pid(uid: str) -> int | None:
    """The running nginx of this very pod: its configuration stands on its command line."""
    try:
        pid = int((STATE / uid / "nginx.pid").read_text(encoding="ascii"))
        argv = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if uid.encode() in argv else None


def running_address(uid: str) -> IPv4Address | None:
    """The address of a pod that runs already, None when it does not."""
    if running_pid(uid) is None:
        return None
    try:
        return IPv4Address((STATE / uid / ADDRESS).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
