"""ServiceCIDR and IPAddress (networking.k8s.io/v1): the network of cluster IPs, and who has which of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from ipaddress import ip_network

from controlplane.field_errors import FieldError, invalid_value, required
from controlplane.kinds.addresses import check_address
from controlplane.kinds.columns import AGE, NAME, join_or_none
from controlplane.kinds.resource import Column, Resource
from controlplane.objects import Object, spec_of
from controlplane.schema.meta import CONDITIONS, kind
from controlplane.schema.types import STRINGS, strings, struct


def check_service_cidr(item: Object, before: Object | None) -> Iterable[FieldError]:
    cidrs = spec_of(item).get("cidrs") or []
    if not cidrs:
        yield required("spec.cidrs", "at least one CIDR required")
    for index, text in enumerate(cidrs):
        try:
            ip_network(text)
        except ValueError:
            yield invalid_value(f"spec.cidrs[{index}]", text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
    if before is not None and spec_of(before) != spec_of(item):
        yield invalid_value("spec.cidrs", cidrs, "field is immutable")


SERVICE_CIDRS = Resource(
    group="networking.k8s.io",
    kind="ServiceCIDR",
    plural="servicecidrs",
    is_namespaced=False,
    schema=kind(
        "ServiceCIDR", spec=struct("ServiceCIDRSpec", cidrs=STRINGS), status=struct("ServiceCIDRStatus", conditions=CONDITIONS)
    ),
    has_status=True,
    validate=check_service_cidr,
    columns=(NAME, Column(name="CIDRs", cell=lambda item, _: join_or_none(spec_of(item).get("cidrs") or ())), AGE),
)


def _show_parent(item: Object, _: datetime) -> str:
    """`resource.group/namespace/name`, as far as there is each (printersinternal, printIPAddress)."""
    parent = spec_of(item).get("parentRef") or {}
    resource = ".".join(part for part in (parent.get("resource"), parent.get("group")) if part)
    return "/".join(part for part in (resource, parent.get("namespace"), parent.get("name")) if part)


def check_ip_address(item: Object, before: Object | None) -> Iterable[FieldError]:
    yield from check_address(str(item["metadata"].get("name", "")), "metadata.name")
    parent = spec_of(item).get("parentRef")
    if not parent:
        yield required("spec.parentRef")
    elif not parent.get("name"):
        yield required("spec.parentRef.name")
    if before is not None and spec_of(before) != spec_of(item):
        yield invalid_value("spec.parentRef", parent, "field is immutable")


IP_ADDRESSES = Resource(
    group="networking.k8s.io",
    kind="IPAddress",
    plural="ipaddresses",
    short_names=("ip",),
    is_namespaced=False,
    # Only the allocator makes them here; nobody else allocates from the network.
    verbs=("get", "list", "watch"),
    schema=kind(
        "IPAddress",
        spec=struct("IPAddressSpec", parentRef=struct("ParentReference", **strings("group resource namespace name"))),
    ),
    validate=check_ip_address,
    columns=(NAME, Column(name="ParentRef", cell=_show_parent)),
)
