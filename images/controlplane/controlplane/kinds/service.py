"""Service (core/v1): type, defaults and rules (kubernetes, pkg/apis/core/validation, ValidateService)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import IPv4Address, ip_network

from controlplane.errors import FieldError, duplicate, forbidden_field, invalid_value, required
from controlplane.kinds.addresses import check_service_status, ingress_of
from controlplane.kinds.columns import AGE, NAME, NONE, join_or_none, show_labels
from controlplane.kinds.container import check_target_port
from controlplane.kinds.names import check_choice, check_labels, check_name, check_port_number, check_qualified_key
from controlplane.kinds.resource import Column, Resource
from controlplane.objects import Object, spec_of, status_of
from controlplane.schema.meta import LOAD_BALANCER_STATUS, conditions, kind
from controlplane.schema.types import (
    BOOL,
    INT32,
    INT_OR_STRING,
    STRING,
    STRING_MAP,
    STRINGS,
    ListOf,
    keyed,
    strings,
    struct,
)

_PORT = struct("ServicePort", **strings("name protocol appProtocol"), port=INT32, targetPort=INT_OR_STRING, nodePort=INT32)
_AFFINITY = struct("SessionAffinityConfig", clientIP=struct("ClientIPConfig", timeoutSeconds=INT32))
SERVICE = kind(
    "Service",
    spec=struct(
        "ServiceSpec",
        **strings(
            "clusterIP type sessionAffinity loadBalancerIP externalName externalTrafficPolicy ipFamilyPolicy "
            "loadBalancerClass internalTrafficPolicy trafficDistribution"
        ),
        ports=keyed(_PORT, "port", "port", "protocol"),
        selector=STRING_MAP,
        clusterIPs=ListOf(item=STRING),
        externalIPs=STRINGS,
        loadBalancerSourceRanges=STRINGS,
        healthCheckNodePort=INT32,
        publishNotReadyAddresses=BOOL,
        sessionAffinityConfig=_AFFINITY,
        ipFamilies=ListOf(item=STRING),
        allocateLoadBalancerNodePorts=BOOL,
    ),
    status=struct("ServiceStatus", loadBalancer=LOAD_BALANCER_STATUS, conditions=conditions("Condition")),
)

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
POLICIES = ("Cluster", "Local")
FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
AFFINITY_DEFAULT_S = 10_800
AFFINITY_LIMIT_S = 86_400


def type_of(service: Object) -> str:
    return str(spec_of(service).get("type") or "ClusterIP")


def is_headless(service: Object) -> bool:
    return spec_of(service).get("clusterIP") == "None"


def needs_cluster_ip(service: Object) -> bool:
    return type_of(service) != "ExternalName" and not is_headless(service)


def needs_node_ports(service: Object) -> bool:
    spec = spec_of(service)
    return type_of(service) == "NodePort" or (
        type_of(service) == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False
    )


def may_have_node_ports(service: Object) -> bool:
    return type_of(service) in ("NodePort", "LoadBalancer")


def is_externally_accessible(service: Object) -> bool:
    return may_have_node_ports(service) or bool(spec_of(service).get("externalIPs"))


def needs_health_check_port(service: Object) -> bool:
    return type_of(service) == "LoadBalancer" and spec_of(service).get("externalTrafficPolicy") == "Local"


def default_service(service: Object) -> None:
    spec = service.setdefault("spec", {})
    kind_ = spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        config = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        config.setdefault("timeoutSeconds", AFFINITY_DEFAULT_S)
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in (None, 0, "") and "port" in port:
            port["targetPort"] = port["port"]
        if port.get("nodePort") == 0:
            del port["nodePort"]
    _default_addresses(spec, kind_)
    if kind_ in ("NodePort", "LoadBalancer") or spec.get("externalIPs"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind_ != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind_ == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        if entries := ingress_of(service):
            # A new list: the status of an update of the spec is the committed one.
            shown = [{**entry, "ipMode": entry.get("ipMode") or "VIP"} if entry.get("ip") else entry for entry in entries]
            service["status"] = {**service["status"], "loadBalancer": {**service["status"]["loadBalancer"], "ingress": shown}}


def _default_addresses(spec: Object, kind_: str) -> None:
    # The singular and the plural field mean the same: what the client gave in one is filled into the other.
    if spec.get("clusterIP") == "":
        del spec["clusterIP"]
    if not spec.get("clusterIPs"):
        spec.pop("clusterIPs", None)
    if "clusterIP" in spec and "clusterIPs" not in spec:
        spec["clusterIPs"] = [spec["clusterIP"]]
    elif "clusterIPs" in spec and "clusterIP" not in spec:
        spec["clusterIP"] = spec["clusterIPs"][0]
    if kind_ != "ExternalName":
        spec["ipFamilies"] = spec.get("ipFamilies") or ["IPv4"]
        spec.setdefault("ipFamilyPolicy", "SingleStack")


def prepare_service(service: Object) -> None:
    service["status"] = {"loadBalancer": {}}


def carry_over(service: Object, before: Object) -> None:
    """Keep what was allocated where it is still needed and drop what the new type has no use for, unless the client changed it.

    Source: kubernetes, registry/core/service/strategy.go (patchAllocatedValues, dropTypeDependentFields).
    """
    spec, old = service["spec"], spec_of(before)
    # Who changes the one and leaves the other as it was means the one (registry/core/service/storage, normalizeClusterIPs).
    if (
        spec.get("clusterIP") != old.get("clusterIP")
        and spec.get("clusterIP")
        and spec.get("clusterIPs") == old.get("clusterIPs")
    ):
        spec["clusterIPs"] = [spec["clusterIP"]]
    _keep_allocated(service, before)
    if needs_cluster_ip(before) and not needs_cluster_ip(service) and spec.get("clusterIP") == old.get("clusterIP"):
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            spec.pop(name, None)
    if may_have_node_ports(before) and not may_have_node_ports(service) and _node_ports(spec) <= _node_ports(old):
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
    still_needed = {
        "healthCheckNodePort": needs_health_check_port(service),
        "allocateLoadBalancerNodePorts": type_of(service) == "LoadBalancer",
        "loadBalancerClass": type_of(service) == "LoadBalancer",
        "externalTrafficPolicy": is_externally_accessible(service),
        "internalTrafficPolicy": type_of(service) != "ExternalName",
    }
    for name, is_needed in still_needed.items():
        if not is_needed and spec.get(name) == old.get(name):
            spec.pop(name, None)
    if type_of(before) == "LoadBalancer" != type_of(service):
        service["status"] = {**status_of(service), "loadBalancer": {}}


def _keep_allocated(service: Object, before: Object) -> None:
    spec, old = service["spec"], spec_of(before)
    if needs_cluster_ip(before) and needs_cluster_ip(service) and "clusterIP" not in spec and old.get("clusterIP"):
        spec["clusterIP"], spec["clusterIPs"] = old["clusterIP"], list(old.get("clusterIPs") or [old["clusterIP"]])
    if needs_node_ports(before) and needs_node_ports(service):
        # By name: whatever else of a port changes, those who come to the node are let in where they were.
        taken = _node_ports(spec) & _node_ports(old)
        known = {port.get("name"): port.get("nodePort") for port in old.get("ports") or ()}
        for port in spec.get("ports") or ():
            number = known.get(port.get("name"))
            if not port.get("nodePort") and number and number not in taken:
                port["nodePort"] = number
                taken.add(number)
    if needs_health_check_port(before) and needs_health_check_port(service) and old.get("healthCheckNodePort"):
        spec.setdefault("healthCheckNodePort", old["healthCheckNodePort"])


def _node_ports(spec: Object) -> set[int]:
    return {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}


def check_service(service: Object, before: Object | None) -> Iterable[FieldError]:
    spec = spec_of(service)
    yield from check_choice(spec.get("type"), TYPES, "spec.type")
    if before is not None and needs_health_check_port(before) and needs_health_check_port(service):
        old_port = spec_of(before).get("healthCheckNodePort")
        if old_port and spec.get("healthCheckNodePort") != old_port:
            yield forbidden_field("spec.healthCheckNodePort", "field is immutable")
    yield from _check_ports(service)
    yield from _check_addresses(service, before)
    yield from _check_affinity(spec)
    yield from _check_policies(service)
    yield from _check_load_balancer(service, before)
    yield from check_labels(spec.get("selector"), "spec.selector")
    yield from check_service_status(service, type_of(service))
    if type_of(service) == "ExternalName":
        if spec.get("externalName"):
            yield from check_name("subdomain", spec["externalName"].removesuffix("."), "spec.externalName")
        else:
            yield required("spec.externalName")


def _check_ports(service: Object) -> Iterator[FieldError]:
    spec = spec_of(service)
    ports = spec.get("ports") or []
    if not ports and not is_headless(service) and type_of(service) != "ExternalName":
        yield required("spec.ports")
    names: set[str] = set()
    pairs: set[tuple[object, object]] = set()
    node_ports: set[tuple[object, object]] = set()
    for index, port in enumerate(ports):
        place = f"spec.ports[{index}]"
        name = port.get("name", "")
        if not name:
            if len(ports) > 1:
                yield required(f"{place}.name")
        else:
            yield from check_name("label", name, f"{place}.name")
            if name in names:
                yield duplicate(f"{place}.name", name)
            names.add(name)
        yield from check_port_number(port.get("port", 0), f"{place}.port")
        yield from check_choice(port.get("protocol"), ("SCTP", "TCP", "UDP"), f"{place}.protocol")
        yield from check_target_port(port.get("targetPort", 0), f"{place}.targetPort")
        pair = port.get("protocol"), port.get("port")
        if pair in pairs:
            yield duplicate(place, {"protocol": pair[0], "port": pair[1]})
        pairs.add(pair)
        if port.get("nodePort"):
            if not may_have_node_ports(service):
                yield forbidden_field(f"{place}.nodePort", f"may not be used when `type` is '{type_of(service)}'")
            used = port.get("protocol"), port["nodePort"]
            if used in node_ports:
                yield duplicate(f"{place}.nodePort", port["nodePort"])
            node_ports.add(used)


def _check_addresses(service: Object, before: Object | None) -> Iterator[FieldError]:
    spec = spec_of(service)
    addresses = spec.get("clusterIPs") or []
    if type_of(service) == "ExternalName":
        if addresses:
            yield forbidden_field("spec.clusterIPs", "may not be set when `type` is 'ExternalName'")
        return
    if addresses and addresses[0] != spec.get("clusterIP"):
        yield invalid_value("spec.clusterIPs[0]", addresses[0], "first value must match `clusterIP`")
    if addresses and addresses[0] == "None" and may_have_node_ports(service):
        yield invalid_value("spec.clusterIPs[0]", "None", "may not be set to 'None' for LoadBalancer services")
    for index, text in enumerate(addresses):
        if text != "None" and not _is_ipv4(text):
            yield invalid_value(
                f"spec.clusterIPs[{index}]", text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            )
    if len(addresses) > 1:
        yield invalid_value("spec.clusterIPs", addresses, "may only hold one address: the testbed's cluster is IPv4 only")
    if spec.get("ipFamilyPolicy") == "RequireDualStack":
        why = "this cluster is not configured for dual-stack services"
        yield invalid_value("spec.ipFamilyPolicy", "RequireDualStack", why)
    yield from check_choice(spec.get("ipFamilyPolicy"), FAMILY_POLICIES, "spec.ipFamilyPolicy")
    if spec.get("ipFamilies", ["IPv4"]) != ["IPv4"]:
        yield invalid_value("spec.ipFamilies[0]", spec["ipFamilies"][0], "not configured on this cluster")
    for index, text in enumerate(spec.get("externalIPs") or ()):
        place = f"spec.externalIPs[{index}]"
        if not _is_ipv4(text):
            yield invalid_value(place, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
        elif (
            (address := IPv4Address(text)).is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast
        ):
            yield invalid_value(place, text, _why_not_external(address))
    if before is not None and needs_cluster_ip(before) and type_of(before) != "ExternalName":
        old = spec_of(before)
        if old.get("clusterIP") and old["clusterIP"] != spec.get("clusterIP"):
            yield invalid_value("spec.clusterIPs[0]", spec.get("clusterIPs") or [], "may not change once set")


def _why_not_external(address: IPv4Address) -> str:
    if address.is_unspecified:
        return "may not be unspecified (0.0.0.0)"
    if address.is_loopback:
        return "may not be in the loopback range (127.0.0.0/8)"
    if address.is_link_local:
        return "may not be in the link-local range (169.254.0.0/16)"
    return "may not be in the link-local multicast range (224.0.0.0/24)"


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def _check_affinity(spec: Object) -> Iterator[FieldError]:
    yield from check_choice(spec.get("sessionAffinity"), ("ClientIP", "None"), "spec.sessionAffinity")
    if spec.get("sessionAffinity") == "ClientIP":
        timeout = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
        if timeout is None or not 0 < timeout <= AFFINITY_LIMIT_S:
            place = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
            yield invalid_value(place, timeout, f"must be greater than 0 and less than {AFFINITY_LIMIT_S}")


def _check_policies(service: Object) -> Iterator[FieldError]:
    spec = spec_of(service)
    external = spec.get("externalTrafficPolicy")
    if external is not None:
        if not is_externally_accessible(service):
            yield invalid_value("spec.externalTrafficPolicy", external, "may only be set for externally-accessible services")
        else:
            yield from check_choice(external, POLICIES, "spec.externalTrafficPolicy")
    elif is_externally_accessible(service):
        yield required("spec.externalTrafficPolicy")
    if spec.get("internalTrafficPolicy") is not None:
        yield from check_choice(spec["internalTrafficPolicy"], POLICIES, "spec.internalTrafficPolicy")
    if spec.get("trafficDistribution") is not None:
        yield from check_choice(spec["trafficDistribution"], DISTRIBUTIONS, "spec.trafficDistribution")
    port = spec.get("healthCheckNodePort") or 0
    if port and not needs_health_check_port(service):
        yield invalid_value(
            "spec.healthCheckNodePort",
            port,
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        )


def _check_load_balancer(service: Object, before: Object | None) -> Iterator[FieldError]:
    spec = spec_of(service)
    for index, text in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        place = f"spec.loadBalancerSourceRanges[{index}]"
        if type_of(service) != "LoadBalancer":
            yield forbidden_field("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'")
        try:
            ip_network(text.strip(), strict=False)
        except ValueError:
            yield invalid_value(place, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
    class_name = spec.get("loadBalancerClass")
    was_one = before is not None and type_of(before) == type_of(service) == "LoadBalancer"
    if was_one and class_name != spec_of(before or {}).get("loadBalancerClass"):
        yield invalid_value("spec.loadBalancerClass", class_name, "may not change once set")
    if type_of(service) == "LoadBalancer" and class_name is not None:
        yield from check_qualified_key(class_name, "spec.loadBalancerClass")
    if type_of(service) != "LoadBalancer":
        for name in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if spec.get(name) is not None:
                yield forbidden_field(f"spec.{name}", "may only be used when `type` is 'LoadBalancer'")


def _show_external(service: Object, _: datetime) -> str:
    spec = spec_of(service)
    addresses = list(spec.get("externalIPs") or ())
    match type_of(service):
        case "ExternalName":
            return str(spec.get("externalName", ""))
        case "LoadBalancer":
            assigned = [entry.get("ip") or entry.get("hostname") or "" for entry in ingress_of(service)]
            return join_or_none([*assigned, *addresses]) if assigned or addresses else "<pending>"
    return join_or_none(addresses)


def _show_ports(service: Object, _: datetime) -> str:
    texts = []
    for port in spec_of(service).get("ports") or ():
        node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
        texts.append(f"{port.get('port')}{node_port}/{port.get('protocol')}")
    return join_or_none(texts)


def _show_cluster_ip(service: Object, _: datetime) -> str:
    return str(spec_of(service).get("clusterIP") or NONE)


SERVICES = Resource(
    kind="Service",
    plural="services",
    short_names=("svc",),
    categories=("all",),
    schema=SERVICE,
    has_status=True,
    creates_on_update=True,
    selectable={"spec.clusterIP": "", "spec.type": ""},
    default=default_service,
    validate=check_service,
    prepare_create=prepare_service,
    prepare_update=carry_over,
    name_rule="dns1035",
    columns=(
        NAME,
        Column(name="Type", cell=lambda service, _: type_of(service)),
        Column(name="Cluster-IP", cell=_show_cluster_ip),
        Column(name="External-IP", cell=_show_external),
        Column(name="Port(s)", cell=_show_ports),
        AGE,
        Column(name="Selector", cell=lambda service, _: show_labels(spec_of(service).get("selector")), priority=1),
    ),
)
