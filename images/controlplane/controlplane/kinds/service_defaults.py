"""What the API fills in of a Service, and what it keeps or drops when one changes.

Source: kubernetes, pkg/apis/core/v1/defaults.go, registry/core/service/strategy.go and storage (normalizeClusterIPs,
patchAllocatedValues, initIPFamilyFields).
"""

from __future__ import annotations

from controlplane.kinds.addresses import ingress_of
from controlplane.kinds.service_type import (
    is_externally_accessible,
    is_headless,
    may_have_node_ports,
    needs_cluster_ip,
    needs_health_check_port,
    needs_node_ports,
    type_of,
)
from controlplane.objects import Object, spec_of, status_of

AFFINITY_DEFAULT_S = 10_800


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


def prepare_service(service: Object) -> None:
    """A new one has no status, and all of its addresses if it has the first."""
    service["status"] = {"loadBalancer": {}}
    spec = service["spec"]
    _drop_empty_addresses(spec)
    # Not the other way round: who names several names the first one too.
    if "clusterIP" in spec and "clusterIPs" not in spec:
        spec["clusterIPs"] = [spec["clusterIP"]]
    _default_families(service)


def carry_over(service: Object, before: Object) -> None:
    """Keep what was allocated where it is needed and drop what the new type has no use for, unless the client changed it."""
    spec, old = service["spec"], spec_of(before)
    _drop_empty_addresses(spec)
    _match_cluster_ips(spec, old)
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
    if type_of(service) != "ExternalName" and type_of(before) != "ExternalName":
        spec.setdefault("ipFamilyPolicy", old.get("ipFamilyPolicy") or "SingleStack")
    _default_families(service)


def _drop_empty_addresses(spec: Object) -> None:
    for name in ("clusterIP", "clusterIPs"):
        if not spec.get(name):
            spec.pop(name, None)


def _match_cluster_ips(spec: Object, old: Object) -> None:
    """Who changes the one field and leaves the other as it was, or out, means the one."""
    is_same = spec.get("clusterIPs") == old.get("clusterIPs")
    if spec.get("clusterIP") == old.get("clusterIP"):
        if "clusterIPs" not in spec and old.get("clusterIPs"):
            spec["clusterIPs"] = list(old["clusterIPs"])
    elif "clusterIP" in spec:
        if is_same or "clusterIPs" not in spec:
            spec["clusterIPs"] = [spec["clusterIP"]]
    elif is_same:
        spec.pop("clusterIPs", None)


def _default_families(service: Object) -> None:
    """Of one address family, but for a Service without addresses and endpoints of ours, which may be of any."""
    spec = service["spec"]
    if type_of(service) == "ExternalName":
        return
    is_of_any = is_headless(service) and not spec.get("selector")
    spec.setdefault("ipFamilyPolicy", "RequireDualStack" if is_of_any else "SingleStack")
    families = list(spec.get("ipFamilies") or ["IPv4"])
    if is_of_any and len(families) == 1 and spec["ipFamilyPolicy"] != "SingleStack":
        families.append("IPv6" if families == ["IPv4"] else "IPv4")
    spec["ipFamilies"] = families


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
