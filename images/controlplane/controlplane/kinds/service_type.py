"""Service (core/v1): its fields, and what follows from its type (kubernetes, pkg/api/service/util.go)."""

from __future__ import annotations

from controlplane.objects import Object, spec_of
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
