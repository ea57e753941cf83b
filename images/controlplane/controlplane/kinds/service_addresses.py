"""Rules of a Service's cluster IPs, address families and external IPs, of a cluster that has IPv4 only.

Source: kubernetes, pkg/apis/core/validation (ValidateServiceClusterIPsRelatedFields, validateUpgradeDowngradeClusterIPs),
registry/core/service/storage/alloc.go (initIPFamilyFields).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from controlplane.field_errors import FieldError, duplicate, invalid_value, unsupported
from controlplane.kinds.addresses import check_address, check_unicast
from controlplane.kinds.names import check_choice
from controlplane.kinds.service_type import is_headless, type_of
from controlplane.objects import Object, spec_of

FAMILIES = ("IPv4", "IPv6")
FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
PLACE = "spec.clusterIPs"


def check_cluster_ips(service: Object) -> Iterator[FieldError]:
    """As they are given, whatever the cluster has."""
    if type_of(service) == "ExternalName":
        return
    spec = spec_of(service)
    first, addresses = spec.get("clusterIP"), spec.get("clusterIPs") or []
    if addresses and not first:
        yield invalid_value(PLACE, addresses, "must be empty when `clusterIP` is not specified")
    elif addresses and addresses[0] != first:
        yield invalid_value(PLACE, addresses, "first value must match `clusterIP`")
    families = spec.get("ipFamilies") or []
    for index, family in enumerate(families):
        if family not in FAMILIES:
            yield unsupported(f"spec.ipFamilies[{index}]", family, FAMILIES)
        if family in families[:index]:
            yield duplicate(f"spec.ipFamilies[{index}]", family)
    yield from check_choice(spec.get("ipFamilyPolicy"), FAMILY_POLICIES, "spec.ipFamilyPolicy")
    wrong = list(_check_addresses(addresses))
    yield from wrong
    if len(addresses) > 2:
        yield invalid_value(PLACE, addresses, "may only hold up to 2 values")
    if wrong:
        return
    if len(addresses) > 1 and sorted(ip_address(text).version for text in addresses) != [4, 6]:
        yield invalid_value(PLACE, addresses, "may specify no more than one IP for each IP family")
    if not is_headless(service):
        for index, (text, family) in enumerate(zip(addresses, families, strict=False)):
            if family in FAMILIES and f"IPv{ip_address(text).version}" != family:
                yield invalid_value(
                    f"{PLACE}[{index}]", text, f"expected an {family} value as indicated by `ipFamilies[{index}]`"
                )


def _check_addresses(addresses: list[str]) -> Iterator[FieldError]:
    for index, text in enumerate(addresses):
        if index == 0 and text == "None":
            if len(addresses) > 1:
                yield invalid_value(PLACE, addresses, "'None' must be the first and only value")
        else:
            yield from check_address(text, f"{PLACE}[{index}]")


def check_families(service: Object) -> Iterator[FieldError]:
    """Against what the cluster has. A Service without addresses and endpoints of ours may be of any family."""
    spec = spec_of(service)
    if type_of(service) == "ExternalName":
        return
    policy, families, place = spec.get("ipFamilyPolicy"), spec.get("ipFamilies") or [], "spec.ipFamilyPolicy"
    if policy == "SingleStack":
        for count, what in ((len(spec.get("clusterIPs") or ()), "cluster IPs"), (len(families), "IP families")):
            if count == 2:
                why = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
                yield invalid_value(place, policy, why)
    if is_headless(service) and not spec.get("selector"):
        return
    if policy == "RequireDualStack":
        yield invalid_value(place, policy, "this cluster is not configured for dual-stack services")
    for index, family in enumerate(families):
        if family != "IPv4":
            yield invalid_value(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")


def check_cluster_ips_change(service: Object, before: Object) -> Iterator[FieldError]:
    """What was allocated stays; Services without an address may come to one, and lose it with their type."""
    if "ExternalName" in (type_of(service), type_of(before)) or (is_headless(service) and is_headless(before)):
        return
    addresses, old = spec_of(service).get("clusterIPs") or [], spec_of(before).get("clusterIPs") or []
    if old and not addresses:
        yield invalid_value(f"{PLACE}[0]", addresses, "primary clusterIP can not be unset")
    elif old and addresses[0] != old[0]:
        yield invalid_value(f"{PLACE}[0]", addresses, "may not change once set")


def check_external_ips(service: Object) -> Iterator[FieldError]:
    for index, text in enumerate(spec_of(service).get("externalIPs") or ()):
        wrong = list(check_address(text, f"spec.externalIPs[{index}]"))
        yield from wrong or check_unicast(text, f"spec.externalIPs[{index}]")
