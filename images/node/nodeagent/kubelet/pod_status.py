"""What the API is told of a pod, until it has taken it: its status, and in the end that it is gone."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from typing import Any

import aiohttp

from nodeagent.api import Api, ApiError, pod_path
from nodeagent.kubelet.pod_spec import PodSpec

RETRY_S = 0.1

Now = Callable[[], datetime.datetime]


class PodStatus:
    """Readiness and since when, and whether the API knows."""

    def __init__(self, *, spec: PodSpec, node_ip: IPv4Address, address: IPv4Address, api: Api, now: Now) -> None:
        self._spec = spec
        self._node_ip = node_ip
        self._address = address
        self._api = api
        self._now = now
        self._started_at = self._ready_since = now()
        self.is_ready = False
        self._told = False
        """Whether the API has taken the latest status."""
        self._retelling: asyncio.Task[None] | None = None

    def adopt(self) -> None:
        """It served before this agent came, whose earlier life has told so; its probe says otherwise when it must."""
        self.is_ready = self._told = True

    def note(self, *, ready: bool) -> None:
        self.is_ready = ready
        self._ready_since = self._now()

    def compare(self, item: Mapping[str, Any]) -> None:
        """Say again how the pod is when the API holds something else: a node that was cut off has its pods marked not ready."""
        conditions = (item.get("status") or {}).get("conditions") or ()
        held = next((entry.get("status") == "True" for entry in conditions if entry.get("type") == "Ready"), None)
        if self._told and held is not None and held != self.is_ready:
            self._told = False
            self._retelling = asyncio.create_task(self.tell())

    async def tell(self) -> None:
        """Until the API has taken it, or has no such pod."""
        self._told = False
        while True:
            try:
                await self._api.patch(f"{pod_path(self._spec.namespace, self._spec.name)}/status", {"status": self._render()})
            except ApiError as error:
                if error.status == 404:
                    return
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            else:
                self._told = True
                return
            await asyncio.sleep(RETRY_S)

    def _render(self) -> dict[str, Any]:
        ready = "True" if self.is_ready else "False"
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
            "podIP": str(self._address),
            "podIPs": [{"ip": str(self._address)}],
            "startTime": started,
            "conditions": conditions,
            "containerStatuses": [
                {
                    "name": name,
                    "ready": self.is_ready,
                    "started": True,
                    "restartCount": 0,
                    "image": "nginx",
                    "imageID": "",
                    "state": {"running": {"startedAt": started}},
                }
                for name in self._spec.containers
            ],
        }


async def delete_object(api: Api, spec: PodSpec) -> None:
    """Tell the API that the pod has ended, until it has heard."""
    while True:
        try:
            await api.delete_now(pod_path(spec.namespace, spec.name), spec.uid)
        except (ApiError, aiohttp.ClientError, TimeoutError, OSError):
            await asyncio.sleep(RETRY_S)
        else:
            return
