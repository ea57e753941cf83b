"""What is told to the API about Ingresses: the address at which they are served, and what is wrong with them."""

from __future__ import annotations

from ipaddress import IPv4Address

from lbagent.api import Api
from lbagent.ingress.reading import Complaint, IngressView
from lbagent.object_events import events_path, render_event

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
        known = {**view.ingresses, **view.refused}
        present = {(known[item.ingress]["metadata"].get("uid", ""), item): item for item in view.complaints}
        self._told &= present.keys()
        for identity, complaint in present.items():
            if identity not in self._told:
                metadata = known[complaint.ingress]["metadata"]
                event = render_event(
                    api_version=API_VERSION,
                    kind="Ingress",
                    metadata=metadata,
                    reason=complaint.reason,
                    message=complaint.message,
                    component=COMPONENT,
                )
                await api.create(events_path(metadata), event)
                self._told |= {identity}


def path_of(key: str) -> str:
    """Where the API has the Ingress of that namespace and name."""
    namespace, name = key.split("/")
    return f"/apis/{API_VERSION}/namespaces/{namespace}/ingresses/{name}"
