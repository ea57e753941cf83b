"""What EndpointSlices and Endpoints may say (kubernetes, pkg/apis/discovery/validation, pkg/apis/core/validation)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from controlplane.field_errors import FieldError, duplicate, invalid_value, required, unsupported
from controlplane.kinds.addresses import NOT_AN_ADDRESS, check_unicast
from controlplane.kinds.names import (
    check_choice,
    check_label_value,
    check_labels,
    check_name,
    check_port_number,
    check_qualified_key,
)
from controlplane.objects import Object

ENDPOINTS_LIMIT = 1000
ADDRESSES_LIMIT = 100
PORTS_LIMIT = 20_000
TOPOLOGY_LIMIT = 16
HINTS_LIMIT = 8
CheckText = Callable[[str, str], Iterable[FieldError]]


def check_slice(item: Object, before: Object | None) -> Iterable[FieldError]:
    address_type = item.get("addressType")
    if not address_type:
        yield required("addressType")
    elif address_type not in ("FQDN", "IPv4", "IPv6"):
        yield unsupported("addressType", address_type, ("FQDN", "IPv4", "IPv6"))
    if len(item["endpoints"]) > ENDPOINTS_LIMIT:
        yield _too_many("endpoints", len(item["endpoints"]), ENDPOINTS_LIMIT)
    else:
        for index, endpoint in enumerate(item["endpoints"]):
            yield from _check_endpoint(endpoint, str(address_type), f"endpoints[{index}]")
    if len(item["ports"]) > PORTS_LIMIT:
        yield _too_many("ports", len(item["ports"]), PORTS_LIMIT)
    else:
        yield from _check_slice_ports(item["ports"])
    if before is not None and before.get("addressType") != address_type:
        yield invalid_value("addressType", address_type or "", "field is immutable")


def _check_slice_ports(ports: list[Object]) -> Iterator[FieldError]:
    names: set[str] = set()
    for index, port in enumerate(ports):
        name = port["name"]
        if name:
            yield from check_name("label", name, f"ports[{index}].name")
        if name in names:
            yield duplicate(f"ports[{index}].name", name)
        names.add(name)
        if port.get("port") is not None:
            yield from check_port_number(port["port"], f"ports[{index}].port")
        yield from check_choice(port["protocol"], ("SCTP", "TCP", "UDP"), f"ports[{index}].protocol")
        if (protocol := port.get("appProtocol")) is not None:
            yield from check_qualified_key(protocol, f"ports[{index}].appProtocol")


def _too_many(field: str, count: int, limit: int) -> FieldError:
    return FieldError(reason="FieldValueTooMany", field=field, message=f"Too many: {count}: must have at most {limit} items")


def _check_endpoint(endpoint: Object, address_type: str, field: str) -> Iterator[FieldError]:
    addresses = endpoint.get("addresses") or []
    if not addresses:
        yield required(f"{field}.addresses", "must contain at least 1 address")
    elif len(addresses) > ADDRESSES_LIMIT:
        yield _too_many(f"{field}.addresses", len(addresses), ADDRESSES_LIMIT)
    for index, text in enumerate(addresses):
        place = f"{field}.addresses[{index}]"
        if address_type == "IPv4":
            yield from _check_address(IPv4Address, text, place, "must be an IPv4 address")
        elif address_type == "IPv6":
            yield from _check_address(IPv6Address, text, place, "must be an IPv6 address")
        elif address_type == "FQDN":
            yield from _check_domain(text, place)
    if node := endpoint.get("nodeName"):
        yield from check_name("subdomain", node, f"{field}.nodeName")
    topology = endpoint.get("deprecatedTopology") or {}
    if len(topology) > TOPOLOGY_LIMIT:
        yield _too_many(f"{field}.deprecatedTopology", len(topology), TOPOLOGY_LIMIT)
    yield from check_labels(topology, f"{field}.deprecatedTopology")
    if endpoint.get("hostname"):
        yield from check_name("label", endpoint["hostname"], f"{field}.hostname")
    hints = endpoint.get("hints") or {}
    yield from _check_hints(hints.get("forZones") or (), check_label_value, f"{field}.hints.forZones")
    yield from _check_hints(hints.get("forNodes") or (), partial(check_name, "subdomain"), f"{field}.hints.forNodes")


def _check_domain(text: str, field: str) -> Iterator[FieldError]:
    """A name with a domain, as clients ask for it (apimachinery, IsFullyQualifiedDomainName)."""
    if not text:
        yield required(field)
        return
    name = text.removesuffix(".")
    if errors := list(check_name("subdomain", name, field)):
        yield from errors
    elif "." not in name:
        yield invalid_value(field, name, "should be a domain with at least two segments separated by dots")


def _check_hints(hints: Collection[Object], check: CheckText, field: str) -> Iterator[FieldError]:
    """Names of zones or nodes (discovery/validation, validateHints)."""
    if len(hints) > HINTS_LIMIT:
        yield _too_many(field, len(hints), HINTS_LIMIT)
        return
    seen: set[str] = set()
    for index, hint in enumerate(hints):
        name = hint.get("name", "")
        if name in seen:
            yield duplicate(f"{field}[{index}].name", name)
        seen.add(name)
        yield from check(name, f"{field}[{index}].name")


def _check_address(parse: Any, text: str, field: str, message: str) -> Iterator[FieldError]:
    if _is(parse, text):
        yield from check_unicast(text, field)
    else:
        yield invalid_value(field, text, message)


def _is(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return "%" not in text


def check_endpoints(item: Object, before: Object | None) -> Iterable[FieldError]:
    for number, subset in enumerate(item.get("subsets") or ()):
        place = f"subsets[{number}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield required(place, "must specify `addresses` or `notReadyAddresses`")
        for group in ("addresses", "notReadyAddresses"):
            for index, entry in enumerate(subset.get(group) or ()):
                yield from _check_entry(entry, f"{place}.{group}[{index}]")
        yield from _check_ports(subset.get("ports") or [], f"{place}.ports")


def _check_entry(entry: Object, field: str) -> Iterator[FieldError]:
    """core/validation, validateEndpointAddress; stricter in that an address is one of IPv4."""
    text = entry.get("ip", "")
    is_address = _is(IPv4Address, text)
    if not is_address:
        yield invalid_value(f"{field}.ip", text, NOT_AN_ADDRESS)
    for name, rule in (("hostname", "label"), ("nodeName", "subdomain")):
        if entry.get(name):
            yield from check_name(rule, entry[name], f"{field}.{name}")
    if is_address:
        yield from check_unicast(text, f"{field}.ip")
    elif not _is(ip_address, text):
        yield invalid_value(f"{field}.ip", text, "must be a valid IP address")


def _check_ports(ports: list[Object], field: str) -> Iterator[FieldError]:
    for index, port in enumerate(ports):
        place = f"{field}[{index}]"
        if port.get("name"):
            yield from check_name("label", port["name"], f"{place}.name")
        elif len(ports) > 1:
            yield required(f"{place}.name")
        yield from check_port_number(port.get("port", 0), f"{place}.port")
        yield from check_choice(port.get("protocol"), ("SCTP", "TCP", "UDP"), f"{place}.protocol")
        if (protocol := port.get("appProtocol")) is not None:
            yield from check_qualified_key(protocol, f"{place}.appProtocol")
