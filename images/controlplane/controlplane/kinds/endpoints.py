"""EndpointSlice (discovery.k8s.io/v1) and Endpoints (core/v1)."""

from __future__ import annotations

from datetime import datetime

from controlplane.kinds.columns import AGE, NAME, NONE
from controlplane.kinds.endpoint_rules import check_endpoints, check_slice
from controlplane.kinds.resource import Column, Resource
from controlplane.objects import Object
from controlplane.schema.meta import OBJECT_REFERENCE, kind
from controlplane.schema.types import BOOL, INT32, STRING, STRING_MAP, ListOf, struct

_REFERENCE = struct("ForNode", name=STRING)
_ENDPOINT = struct(
    "Endpoint",
    addresses=ListOf(item=STRING, stays_empty=True),
    conditions=struct("EndpointConditions", ready=BOOL, serving=BOOL, terminating=BOOL),
    hostname=STRING,
    targetRef=OBJECT_REFERENCE,
    deprecatedTopology=STRING_MAP,
    nodeName=STRING,
    zone=STRING,
    hints=struct("EndpointHints", forZones=ListOf(item=_REFERENCE), forNodes=ListOf(item=_REFERENCE)),
)
_PORT = struct("EndpointPort", name=STRING, protocol=STRING, port=INT32, appProtocol=STRING)
ENDPOINT_SLICE = kind(
    "EndpointSlice",
    addressType=STRING,
    endpoints=ListOf(item=_ENDPOINT, stays_empty=True),
    ports=ListOf(item=_PORT, stays_empty=True),
)

SERVICE_LABEL = "kubernetes.io/service-name"
MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"


def default_slice(item: Object) -> None:
    item.setdefault("endpoints", [])
    item.setdefault("ports", [])
    for endpoint in item["endpoints"]:
        endpoint.setdefault("conditions", {})
    for port in item["ports"]:
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _shorten(texts: list[str], empty: str, join: str = ",") -> str:
    if not texts:
        return empty
    more = f" + {len(texts) - 3} more..." if len(texts) > 3 else ""
    return join.join(texts[:3]) + more


def _show_slice_ports(item: Object, _: datetime) -> str:
    texts = [str(port["port"]) if port.get("port") is not None else "*" for port in item.get("ports") or ()]
    return _shorten(texts, "<unset>")


def _show_slice_endpoints(item: Object, _: datetime) -> str:
    return _shorten([text for entry in item.get("endpoints") or () for text in entry.get("addresses") or ()], "<unset>")


ENDPOINT_SLICES = Resource(
    group="discovery.k8s.io",
    kind="EndpointSlice",
    plural="endpointslices",
    schema=ENDPOINT_SLICE,
    has_generation=True,
    default=default_slice,
    validate=check_slice,
    columns=(
        NAME,
        Column(name="AddressType", cell=lambda item, _: item.get("addressType", "")),
        Column(name="Ports", cell=_show_slice_ports),
        Column(name="Endpoints", cell=_show_slice_endpoints),
        AGE,
    ),
)

_ADDRESS = struct("EndpointAddress", ip=STRING, hostname=STRING, nodeName=STRING, targetRef=OBJECT_REFERENCE)
ENDPOINTS_KIND = kind(
    "Endpoints",
    subsets=ListOf(
        item=struct(
            "EndpointSubset",
            addresses=ListOf(item=_ADDRESS),
            notReadyAddresses=ListOf(item=_ADDRESS),
            ports=ListOf(item=_PORT),
        )
    ),
)


def default_endpoints(item: Object) -> None:
    for subset in item.get("subsets") or ():
        for port in subset.get("ports") or ():
            port.setdefault("protocol", "TCP")


def _show_endpoints(item: Object, _: datetime) -> str:
    texts = []
    for subset in item.get("subsets") or ():
        ports = [f":{port['port']}" for port in subset.get("ports") or () if port.get("port")] or [""]
        texts += [f"{entry.get('ip')}{port}" for port in ports for entry in subset.get("addresses") or ()]
    # Subsets of addresses that are not ready show as nothing, no subset as none (printers, formatEndpoints).
    return _shorten(texts, "" if item.get("subsets") else NONE)


ENDPOINTS = Resource(
    kind="Endpoints",
    plural="endpoints",
    short_names=("ep",),
    schema=ENDPOINTS_KIND,
    creates_on_update=True,
    default=default_endpoints,
    validate=check_endpoints,
    columns=(NAME, Column(name="Endpoints", cell=_show_endpoints), AGE),
)
