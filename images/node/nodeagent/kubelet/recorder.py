"""Events of the kubelet, written behind everything else: whoever records one never waits for the API."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from nodeagent.api import Api, ApiError
from nodeagent.kubelet.pod_spec import PodSpec
from testbed_kube.recording import Correlator, repetition_of

COMPONENT = "kubelet"
WAITING_LIMIT = 1000
"""More are dropped (client-go, tools/record: a full channel drops)."""
ATTEMPTS = 12
RETRY_S = 10.0
"""Both as client-go's; an answer of the API, whatever it says, is final."""

Object = Mapping[str, Any]


class Recorder:
    """`record` takes note, `run` writes."""

    def __init__(self, *, node: str, api: Api, now: Callable[[], datetime.datetime]) -> None:
        self._api = api
        self._now = now
        self._correlator = Correlator(component=COMPONENT, host=node)
        self._waiting: asyncio.Queue[Object] = asyncio.Queue(WAITING_LIMIT)

    def record(self, subject: Object, kind: str, reason: str, message: str) -> None:
        """`subject` is an ObjectReference."""
        if self._waiting.full():
            return
        event = self._correlator.correlate(subject, kind, reason, message, self._now())
        if event is not None:
            self._waiting.put_nowait(event)

    async def run(self) -> None:
        """For ever."""
        while True:
            event = await self._waiting.get()
            for _ in range(ATTEMPTS):
                try:
                    await self._write(event)
                except ApiError:
                    break
                except (aiohttp.ClientError, TimeoutError, OSError):
                    await asyncio.sleep(RETRY_S)
                else:
                    break

    async def _write(self, event: Object) -> None:
        path = f"/api/v1/namespaces/{event['metadata']['namespace']}/events"
        if event["count"] > 1:
            try:
                await self._api.patch(f"{path}/{event['metadata']['name']}", repetition_of(event))
            except ApiError as error:
                if error.status != 404:
                    raise
            else:
                return
        await self._api.create(path, event)


def refer_to_pod(spec: PodSpec, container: str = "") -> Object:
    """The ObjectReference of the pod, or of one of its containers (pkg/kubelet/container, GenerateContainerRef)."""
    subject = {"apiVersion": "v1", "kind": "Pod", "namespace": spec.namespace, "name": spec.name, "uid": spec.uid}
    return {**subject, "fieldPath": f"spec.containers{{{container}}}"} if container else subject


def refer_to_node(name: str) -> Object:
    """The kubelet knows its Node by name only, and gives that as the uid (pkg/kubelet, nodeRef)."""
    return {"apiVersion": "v1", "kind": "Node", "namespace": "", "name": name, "uid": name}
