"""Rules of Services, with Kubernetes' own messages (kubernetes, pkg/apis/core/validation, ValidateService)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_network

from controlplane.field_errors import FieldError, Rendered, as_go, duplicate, forbidden_field, invalid_value, required
from controlplane.kinds.addresses import check_service_status
from controlplane.kinds.container import check_target_port
from controlplane.kinds.names import check_choice, check_labels, check_name, check_port_number, check_qualified_key
from controlplane.kinds.service_addresses import check_cluster_ips, check_cluster_ips_change, check_external_ips, check_families
from controlplane.kinds.service_type import (
    is_externally_accessible,
    is_headless,
    needs_health_check_port,
    type_of,
)
from controlplane.objects import Object, annotations_of, spec_of

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
POLICIES = ("Cluster", "Local")
DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
AFFINITY_LIMIT_S = 86_400
RANGES_ANNOTATION = "service.beta.kubernetes.io/load-balancer-source-ranges"
ONLY_LOAD_BALANCERS = "may only be used when `type` is 'LoadBalancer'"


def check_service(service: Object, before: Object | None) -> Iterable[FieldError]:
    """In the order of the API server. Wrong addresses are told alone: they are looked at before anything is allocated."""
    wrong = list(check_cluster_ips(service)) or list(check_families(service))
    if wrong:
        yield from wrong
        return
    if before is not None:
        yield from check_cluster_ips_change(service, before)
        yield from _check_change(service, before)
    yield from _check_kind(service)
    yield from _check_ports(service)
    yield from check_labels(spec_of(service).get("selector"), "spec.selector")
    yield from _check_affinity(spec_of(service))
    yield from check_external_ips(service)
    yield from check_choice(spec_of(service).get("type"), TYPES, "spec.type")
    yield from _check_numbers(service)
    yield from _check_source_ranges(service)
    yield from _check_load_balancer(service)
    yield from _check_policies(service)
    yield from check_service_status(service, type_of(service))


def _check_change(service: Object, before: Object) -> Iterator[FieldError]:
    spec, old = spec_of(service), spec_of(before)
    if type_of(before) == type_of(service) == "LoadBalancer" and spec.get("loadBalancerClass") != old.get("loadBalancerClass"):
        yield invalid_value("spec.loadBalancerClass", spec.get("loadBalancerClass"), "may not change once set")
    if needs_health_check_port(before) and needs_health_check_port(service):
        port = old.get("healthCheckNodePort")
        if port and spec.get("healthCheckNodePort") != port:
            yield forbidden_field("spec.healthCheckNodePort", "field is immutable")


def _check_kind(service: Object) -> Iterator[FieldError]:
    """What each type must have and must not have."""
    spec, kind = spec_of(service), type_of(service)
    if not spec.get("ports") and not is_headless(service) and kind != "ExternalName":
        yield required("spec.ports")
    if kind in ("LoadBalancer", "NodePort") and is_headless(service):
        yield invalid_value("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    if kind != "ExternalName":
        return
    for name in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(name):
            yield forbidden_field(f"spec.{name}", "may not be set for ExternalName services")
    # A name may end with a dot, as one that is complete.
    if name := spec.get("externalName", "").removesuffix("."):
        yield from check_name("subdomain", name, "spec.externalName")
    else:
        yield required("spec.externalName")


def _check_ports(service: Object) -> Iterator[FieldError]:
    ports = spec_of(service).get("ports") or []
    names: set[str] = set()
    for index, port in enumerate(ports):
        place, name = f"spec.ports[{index}]", port.get("name", "")
        if name:
            yield from check_name("label", name, f"{place}.name")
            if name in names:
                yield duplicate(f"{place}.name", name)
            names.add(name)
        elif len(ports) > 1:
            yield required(f"{place}.name")
        yield from check_port_number(port.get("port", 0), f"{place}.port")
        yield from check_choice(port.get("protocol"), ("SCTP", "TCP", "UDP"), f"{place}.protocol")
        yield from check_target_port(port.get("targetPort", 0), f"{place}.targetPort")
        if port.get("appProtocol"):
            yield from check_qualified_key(port["appProtocol"], f"{place}.appProtocol")


def _check_numbers(service: Object) -> Iterator[FieldError]:
    """Node ports and ports, each once for a protocol."""
    ports = list(enumerate(spec_of(service).get("ports") or ()))
    if type_of(service) == "ClusterIP":
        for index, port in ports:
            if port.get("nodePort"):
                yield forbidden_field(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")
    seen: set[tuple[object, object]] = set()
    for index, port in ports:
        if not port.get("nodePort"):
            continue
        if (port.get("protocol"), port["nodePort"]) in seen:
            yield duplicate(f"spec.ports[{index}].nodePort", port["nodePort"])
        seen.add((port.get("protocol"), port["nodePort"]))
    seen = set()
    for index, port in ports:
        if (port.get("protocol"), port.get("port")) in seen:
            yield duplicate(f"spec.ports[{index}]", _shown_pair(port))
        seen.add((port.get("protocol"), port.get("port")))


def _shown_pair(port: Object) -> Rendered:
    """Only what is compared is in it."""
    return as_go(Name="", Protocol=port.get("protocol"), AppProtocol=None, Port=port.get("port"), TargetPort=0, NodePort=0)


def _check_affinity(spec: Object) -> Iterator[FieldError]:
    yield from check_choice(spec.get("sessionAffinity"), ("ClientIP", "None"), "spec.sessionAffinity")
    if spec.get("sessionAffinity") == "ClientIP":
        timeout = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
        if timeout is None or not 0 < timeout <= AFFINITY_LIMIT_S:
            place = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
            yield invalid_value(place, timeout, f"must be greater than 0 and less than {AFFINITY_LIMIT_S}")


def _check_source_ranges(service: Object) -> Iterator[FieldError]:
    ranges, annotation = spec_of(service).get("loadBalancerSourceRanges") or [], annotations_of(service).get(RANGES_ANNOTATION)
    if ranges:
        # With a capital letter in the API server too.
        place = "spec.LoadBalancerSourceRanges"
        named = [(f"{place}[{index}]", text) for index, text in enumerate(ranges)]
    elif annotation is not None:
        place = f"metadata.annotations[{RANGES_ANNOTATION}]"
        named = [(place, text) for text in annotation.split(",")] if annotation.strip() else []
    else:
        return
    if type_of(service) != "LoadBalancer":
        yield forbidden_field(place, ONLY_LOAD_BALANCERS)
    for field, text in named:
        if not _is_network(text.strip()):
            yield invalid_value(field, text.strip(), "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")


def _is_network(text: str) -> bool:
    """With the length of its prefix, a number: Go's parser knows no masks."""
    _, _, length = text.partition("/")
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return length.isdecimal()


def _check_load_balancer(service: Object) -> Iterator[FieldError]:
    spec = spec_of(service)
    if type_of(service) == "LoadBalancer":
        if spec.get("loadBalancerClass") is not None:
            yield from check_qualified_key(spec["loadBalancerClass"], "spec.loadBalancerClass")
        return
    for name in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
        if spec.get(name) is not None:
            yield forbidden_field(f"spec.{name}", ONLY_LOAD_BALANCERS)


def _check_policies(service: Object) -> Iterator[FieldError]:
    spec = spec_of(service)
    external = spec.get("externalTrafficPolicy")
    if is_externally_accessible(service):
        yield from check_choice(external, POLICIES, "spec.externalTrafficPolicy")
    elif external is not None:
        yield invalid_value("spec.externalTrafficPolicy", external, "may only be set for externally-accessible services")
    port = spec.get("healthCheckNodePort") or 0
    if port and not needs_health_check_port(service):
        yield invalid_value(
            "spec.healthCheckNodePort",
            port,
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        )
    if spec.get("internalTrafficPolicy") is not None:
        yield from check_choice(spec["internalTrafficPolicy"], POLICIES, "spec.internalTrafficPolicy")
    if spec.get("trafficDistribution") is not None:
        yield from check_choice(spec["trafficDistribution"], DISTRIBUTIONS, "spec.trafficDistribution")
