"""A pod for which the node has no address: it stays Pending, and is tried again as a kubelet tries a sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

from nodeagent.api import Api
from nodeagent.kubelet.addresses import Addresses, AddressesSpentError
from nodeagent.kubelet.pod_spec import PodSpec
from nodeagent.kubelet.pod_status import delete_object
from nodeagent.kubelet.recorder import Recorder, refer_to_pod
from testbed_kube.recording import WARNING

RETRY_S = 10.0
"""About the time from one attempt of a kubelet to the next."""


class UnplacedPod:
    """Waits for an address."""

    def __init__(self, *, spec: PodSpec, addresses: Addresses, api: Api, recorder: Recorder) -> None:
        self.spec = spec
        self._addresses = addresses
        self._api = api
        self._recorder = recorder
        self._ending = asyncio.Event()

    @property
    def is_ending(self) -> bool:
        return self._ending.is_set()

    def end(self, _grace_s: float) -> None:
        """Nothing runs that could take its time."""
        self._ending.set()

    def compare(self, _item: Mapping[str, Any]) -> None:
        """It has told nothing."""

    async def wait(self) -> IPv4Address | None:
        """Its address, None when the pod is to end instead; then its object is gone."""
        while not self.is_ending:
            try:
                return self._addresses.take()
            except AddressesSpentError as error:
                message = f"Failed to create pod sandbox: {error}"
                self._recorder.record(refer_to_pod(self.spec), WARNING, "FailedCreatePodSandBox", message)
            ending = asyncio.create_task(self._ending.wait())
            freed = asyncio.create_task(self._addresses.wait_for_release(RETRY_S))
            await asyncio.wait((ending, freed), return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            freed.cancel()
        await delete_object(self._api, self.spec)
        return None
