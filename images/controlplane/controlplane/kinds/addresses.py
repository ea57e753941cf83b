"""Rules for IP addresses, with Kubernetes' own messages (pkg/apis/core/validation, pkg/apis/networking/validation)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from controlplane.errors import FieldError, invalid_value
from controlplane.kinds.names import check_name
from controlplane.objects import Object, status_of

NOT_AN_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
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


def check_load_balancer_status(item: Object) -> Iterator[FieldError]:
    """`status.loadBalancer` of a Service or an Ingress: whoever follows it writes rules for these addresses."""
    for index, entry in enumerate((status_of(item).get("loadBalancer") or {}).get("ingress") or ()):
        place = f"status.loadBalancer.ingress[{index}]"
        if entry.get("ip"):
            yield from check_address(entry["ip"], f"{place}.ip")
        if host := entry.get("hostname"):
            yield from check_name("subdomain", host, f"{place}.hostname")
            if is_address(host):
                yield invalid_value(f"{place}.hostname", host, NOT_A_NAME)
