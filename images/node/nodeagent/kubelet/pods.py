"""All pods of the node: each object gets a worker, each address is given once at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from nodeagent.kubelet.pod import Pod, running_address
from nodeagent.kubelet.pod_spec import PodSpec, read_pod

Object = Mapping[str, Any]
MakePod = Callable[[PodSpec, IPv4Address], Pod]
OnAdopted = Callable[[Collection[tuple[PodSpec, IPv4Address]]], None]


class Addresses:
    """Pod addresses of the CIDR: .2 up, in turn, so that a new pod is not taken for the one that just left."""

    def __init__(self, pod_cidr: IPv4Network) -> None:
        self._cidr = pod_cidr
        self._next = 0
        self._taken: set[IPv4Address] = set()

    def take(self) -> IPv4Address:
        """Raises RuntimeError when all are taken."""
        count = self._cidr.num_addresses - 3  # network, bridge, broadcast
        for _ in range(count):
            address = self._cidr[2 + self._next % count]
            self._next += 1
            if address not in self._taken:
                self._taken.add(address)
                return address
        raise RuntimeError(f"no free pod address in {self._cidr}")

    def claim(self, address: IPv4Address) -> None:
        self._taken.add(address)

    def release(self, address: IPv4Address) -> None:
        self._taken.discard(address)


class Pods:
    """Follows the node's Pod objects."""

    def __init__(self, *, addresses: Addresses, make_pod: MakePod, on_adopted: OnAdopted) -> None:
        """`on_adopted` is called once, before any pod starts, with those that an earlier life left running."""
        self._addresses = addresses
        self._make_pod = make_pod
        self._on_adopted: OnAdopted | None = on_adopted
        self._pods: dict[str, Pod] = {}
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
            self._begin(uid, spec, running.get(uid) or self._addresses.take())

    def _begin(self, uid: str, spec: PodSpec, address: IPv4Address) -> None:
        pod = self._make_pod(spec, address)
        self._pods[uid] = pod
        task = asyncio.create_task(self._live(uid, pod, address), name=f"pod {spec.key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, uid: str, pod: Pod, address: IPv4Address) -> None:
        try:
            await pod.run()
        finally:
            self._addresses.release(address)
            self._pods.pop(uid, None)
