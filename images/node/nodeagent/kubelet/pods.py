"""All pods of the node: each object gets a worker, each address is given once at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Address
from typing import Any

from nodeagent.kubelet.addresses import Addresses, AddressesSpentError
from nodeagent.kubelet.pod import Pod
from nodeagent.kubelet.pod_program import running_address
from nodeagent.kubelet.pod_spec import PodSpec, read_pod
from nodeagent.kubelet.unplaced import UnplacedPod

Object = Mapping[str, Any]
MakePod = Callable[[PodSpec, IPv4Address | None], Pod]
"""Without an address for a pod in the node's own network."""
MakeUnplaced = Callable[[PodSpec], UnplacedPod]
OnAdopted = Callable[[Collection[tuple[PodSpec, IPv4Address]]], None]


class Pods:
    """Follows the node's Pod objects."""

    def __init__(self, *, addresses: Addresses, make_pod: MakePod, make_unplaced: MakeUnplaced, on_adopted: OnAdopted) -> None:
        """`on_adopted` is called once, before any pod starts, with those that an earlier life left running."""
        self._addresses = addresses
        self._make_pod = make_pod
        self._make_unplaced = make_unplaced
        self._on_adopted: OnAdopted | None = on_adopted
        self._pods: dict[str, Pod | UnplacedPod] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def on_pods(self, objects: Collection[Object]) -> None:
        present = {item["metadata"]["uid"]: item for item in objects}
        self._begin_new(present)
        for uid, item in present.items():
            deletion = item["metadata"].get("deletionTimestamp")
            pod = self._pods.get(uid)
            if pod is not None and deletion and not pod.is_ending:
                grace = item["metadata"].get("deletionGracePeriodSeconds")
                pod.end(pod.spec.grace_s if grace is None else float(grace))
            elif pod is not None:
                pod.compare(item)
        for uid, pod in self._pods.items():
            if uid not in present and not pod.is_ending:
                pod.end(0.0)

    def _begin_new(self, present: Mapping[str, Object]) -> None:
        new = [
            uid
            for uid, item in present.items()
            if uid not in self._pods and (item.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        ]
        # Pods that an earlier life of this agent left running keep their addresses: all of them, before any other takes one.
        running = {uid: address for uid in new if (address := running_address(uid)) is not None}
        for address in running.values():
            self._addresses.claim(address)
        specs = {uid: read_pod(present[uid]) for uid in new}
        if self._on_adopted is not None:
            self._on_adopted([(specs[uid], address) for uid, address in running.items()])
            self._on_adopted = None
        for uid, spec in specs.items():
            self._begin(uid, spec, running.get(uid))

    def _begin(self, uid: str, spec: PodSpec, running: IPv4Address | None) -> None:
        try:
            address = running or (None if spec.host_network else self._addresses.take())
        except AddressesSpentError:
            unplaced = self._pods[uid] = self._make_unplaced(spec)
            life = self._place(uid, unplaced)
        else:
            pod = self._pods[uid] = self._make_pod(spec, address)
            life = self._live(uid, pod, address)
        task = asyncio.create_task(life, name=f"pod {spec.key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _place(self, uid: str, unplaced: UnplacedPod) -> None:
        try:
            address = await unplaced.wait()
        finally:
            del self._pods[uid]
        if address is not None:
            pod = self._pods[uid] = self._make_pod(unplaced.spec, address)
            await self._live(uid, pod, address)

    async def _live(self, uid: str, pod: Pod, address: IPv4Address | None) -> None:
        try:
            await pod.run()
        finally:
            if address is not None:
                self._addresses.release(address)
            self._pods.pop(uid, None)
