"""What is told to the API about Ingresses: the address at which they are served, and what is wrong with them."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

from lbagent.api import Api
from lbagent.ingress.reading import Complaint, IngressView, Object

COMPONENT = "ingress-controller"
API_VERSION = "networking.k8s.io/v1"


class Teller:
    """Tells each thing once; a complaint that went and came back is told again."""

    def __init__(self, address: IPv4Address) -> None:
        self._addresses = [{"ip": str(address)}]
        self._told: frozenset[tuple[str, Complaint]] = frozenset()

    async def tell(self, view: IngressView, api: Api) -> None:
        """Statuses first, then events.

        Raises:
            ApiError: what was not told is told at the next attempt.
        """
        for key, ingress in view.ingresses.items():
            shown = (ingress.get("status") or {}).get("loadBalancer") or {}
            if shown.get("ingress") != self._addresses:
                await api.patch(f"{path_of(key)}/status", {"status": {"loadBalancer": {"ingress": self._addresses}}})
        present = {(view.ingresses[item.ingress]["metadata"].get("uid", ""), item): item for item in view.complaints}
        self._told &= present.keys()
        for identity, complaint in present.items():
            if identity not in self._told:
                namespace = complaint.ingress.partition("/")[0]
                now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251  what people read
                event = render_event(complaint, view.ingresses[complaint.ingress], now)
                await api.create(f"/api/v1/namespaces/{namespace}/events", event)
                self._told |= {identity}


def path_of(key: str) -> str:
    """Where the API has the Ingress of that namespace and name."""
    namespace, name = key.split("/")
    return f"/apis/{API_VERSION}/namespaces/{namespace}/ingresses/{name}"


def render_event(complaint: Complaint, ingress: Object, now: str) -> Mapping[str, Any]:
    """The Event (core/v1). Its name follows from what it says about which version, so that telling it twice makes one."""
    metadata = ingress["metadata"]
    said = "/".join((metadata.get("uid", ""), metadata.get("resourceVersion", ""), complaint.reason, complaint.message))
    namespace, name = complaint.ingress.split("/")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name[:230]}.{hashlib.sha256(said.encode()).hexdigest()[:16]}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": "Ingress",
            "namespace": namespace,
            "name": name,
            "uid": metadata.get("uid", ""),
            "resourceVersion": metadata.get("resourceVersion", ""),
        },
        "reason": complaint.reason,
        "message": complaint.message,
        "type": "Warning",
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": "",
    }
