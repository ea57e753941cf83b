"""The Node object and its lease: registered, kept alive, told how it is (KEP-589)."""

from __future__ import annotations

import asyncio
import datetime
import platform
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from nodeagent.api import LEASES, NODES, Api, ApiError
from nodeagent.kubelet.node_conditions import PRESSURES, READY, Condition, describe_ready
from nodeagent.kubelet.recorder import Recorder, refer_to_node
from nodeagent.settings import Settings
from testbed_init.events import EventSink
from testbed_kube.recording import NORMAL

RETRY_S = 0.1
REGISTERED = Path("/run/testbed/node-registered")
"""Made at the first registration of a life of the node; init empties the directory at every boot."""
UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)

Now = Callable[[], datetime.datetime]


class NodeStatus:
    """Registers and keeps reporting; `ready` is asked before each report."""

    def __init__(
        self,
        *,
        settings: Settings,
        api: Api,
        recorder: Recorder,
        events: EventSink,
        now: Now,
        ready: Callable[[], bool],
        marker: Path = REGISTERED,
    ) -> None:
        self._settings = settings
        self._api = api
        self._recorder = recorder
        self._events = events
        self._now = now
        self._ready = ready
        self._marker = marker
        self._held: Mapping[str, Mapping[str, Any]] = {}
        """Conditions as the API has them, by type."""
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Report at once: readiness has changed."""
        self._wake.set()

    def note(self, node: Mapping[str, Any]) -> None:
        """What the API holds: others write there too, such as that nothing is known of the node."""
        found = (node.get("status") or {}).get("conditions") or ()
        self._held = {str(entry.get("type")): entry for entry in found}

    async def register(self) -> Any:
        """The Node as the API has it, with its podCIDR. Tries until the API answers: without a node there is nothing to do."""
        name = self._settings.node
        # An agent that was restarted finds its rules and pods at work: its node has not ceased to be ready.
        ready = self._marker.exists()
        labels = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": _arch(),
            **self._settings.labels,
        }
        self._tell("Starting", "Starting kubelet.")
        while True:
            try:
                try:
                    await self._report(ready=ready, new={"name": name, "labels": labels})
                except ApiError as error:
                    if error.status != 409:
                        raise
                    self.note(await self._api.get(f"{NODES}/{name}"))
                node = await self._report(ready=ready)
                if (node.get("spec") or {}).get("podCIDR"):
                    self._marker.touch()
                    self._events.emit("node-registered", node=name)
                    return node
            except (*UNREACHABLE, ApiError):
                pass
            await asyncio.sleep(RETRY_S)

    async def keep_lease(self) -> None:
        """For ever. A lease that cannot be renewed is tried again well before the next interval."""
        name = self._settings.node
        while True:
            stamp = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            spec = {"holderIdentity": name, "leaseDurationSeconds": self._settings.lease_duration_s, "renewTime": stamp}
            try:
                try:
                    await self._api.patch(f"{LEASES}/{name}", {"spec": spec})
                except ApiError as error:
                    if error.status != 404:
                        raise
                    metadata = {"name": name, "namespace": "kube-node-lease"}
                    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
                    await self._api.create(LEASES, body)
                await asyncio.sleep(self._settings.lease_renew_s)
            except (*UNREACHABLE, ApiError):
                await asyncio.sleep(min(RETRY_S * 2, self._settings.lease_renew_s))

    async def keep_status(self) -> None:
        """For ever."""
        while True:
            try:
                await self._report(ready=self._ready())
                wait_s = self._settings.status_update_s
            except (*UNREACHABLE, ApiError):
                # A Node that was deleted is not made again: a kubelet registers when it starts, and then never.
                wait_s = RETRY_S
            try:
                await asyncio.wait_for(self._wake.wait(), wait_s)
            except TimeoutError:
                continue
            finally:
                self._wake.clear()

    async def _report(self, *, ready: bool, new: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Write the status, or create the Node of this metadata with it; then tell of what has changed."""
        held = {} if new is not None else self._held
        conditions = (*PRESSURES, describe_ready(is_ready=ready))
        status = self._status(conditions, held)
        if new is not None:
            node = await self._api.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": new, "status": status})
        else:
            node = await self._api.patch_strategic(f"{NODES}/{self._settings.node}/status", {"status": status})
        self.note(node)
        for condition in conditions:
            known = held.get(condition.type)
            # Of the first word on readiness a kubelet makes no event; of the first on pressure it does.
            if condition.type != READY if known is None else known.get("status") != condition.status:
                self._tell(condition.event, f"Node {self._settings.node} status is now: {condition.event}")
        return node

    def _tell(self, reason: str, message: str) -> None:
        self._recorder.record(refer_to_node(self._settings.node), NORMAL, reason, message)

    def _status(self, conditions: Iterable[Condition], held: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        stamp = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        amounts = {"cpu": "2", "memory": "4Gi", "pods": "110"}
        return {
            "addresses": [
                {"type": "InternalIP", "address": str(self._settings.internal_ip)},
                {"type": "Hostname", "address": self._settings.node},
            ],
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [item.render(held.get(item.type), stamp) for item in conditions],
            "nodeInfo": {
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
                "kernelVersion": platform.release(),
                "osImage": "Ingress Testbed node",
                "containerRuntimeVersion": "netns://1",
                "kubeletVersion": "v1.36.0-testbed",
                "kubeProxyVersion": "v1.36.0-testbed",
                "operatingSystem": "linux",
                "architecture": _arch(),
            },
        }


def _arch() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
