"""Rules for IP addresses, with Kubernetes' own messages (pkg/apis/core/validation, pkg/apis/networking/validation)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

from controlplane.field_errors import FieldError, forbidden_field, invalid_value
from controlplane.kinds.names import check_choice, check_name
from controlplane.objects import Object, status_of

NOT_AN_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
LINK_MULTICAST = (ip_network("224.0.0.0/24"), ip_network("ff02::/16"))
NOT_A_NAME = "must be a DNS name, not an IP address"


def is_address(text: Any) -> bool:
    """An IPv4 or IPv6 address without a zone, which Go's parser does not know either."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def check_address(text: str, field: str) -> Iterator[FieldError]:
    if not is_address(text):
        yield invalid_value(field, text, NOT_AN_ADDRESS)


def check_unicast(text: str, field: str) -> Iterator[FieldError]:
    """Of endpoints and external IPs, once it is an address: none that means the node itself or its links."""
    address = ip_address(text)
    if address.is_unspecified:
        yield invalid_value(field, text, f"may not be unspecified ({text})")
    if address.is_loopback:
        yield invalid_value(field, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if address.is_link_local:
        yield invalid_value(field, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if any(address in network for network in LINK_MULTICAST if network.version == address.version):
        yield invalid_value(field, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")


def check_load_balancer_status(item: Object) -> Iterator[FieldError]:
    """`status.loadBalancer` of a Service or an Ingress: whoever follows it writes rules for these addresses."""
    for index, entry in enumerate(ingress_of(item)):
        place = f"status.loadBalancer.ingress[{index}]"
        if entry.get("ip"):
            yield from check_address(entry["ip"], f"{place}.ip")
        if host := entry.get("hostname"):
            yield from check_name("subdomain", host, f"{place}.hostname")
            if is_address(host):
                yield invalid_value(f"{place}.hostname", host, NOT_A_NAME)


def check_service_status(service: Object, kind: str) -> Iterator[FieldError]:
    """core/validation, ValidateLoadBalancerStatus; `kind` is the Service's type."""
    place, entries = "status.loadBalancer.ingress", ingress_of(service)
    if entries and kind != "LoadBalancer":
        yield forbidden_field(place, "may only be used when `spec.type` is 'LoadBalancer'")
        return
    yield from check_load_balancer_status(service)
    for index, entry in enumerate(entries):
        field, mode = f"{place}[{index}].ipMode", entry.get("ipMode")
        if mode and not entry.get("ip"):
            yield forbidden_field(field, "may not be specified when `ip` is not set")
        elif mode:
            yield from check_choice(mode, ("Proxy", "VIP"), field)


def ingress_of(item: Object) -> list[Object]:
    """Where a load balancer serves it."""
    found: list[Object] = (status_of(item).get("loadBalancer") or {}).get("ingress") or []
    return found
