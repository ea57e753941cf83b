"""Service (core/v1) as a resource of the API: what kubectl shows of it, and which functions fill in and check it."""

from __future__ import annotations

from datetime import datetime

from controlplane.kinds.addresses import ingress_of
from controlplane.kinds.columns import AGE, NAME, NONE, join_or_none, show_labels
from controlplane.kinds.resource import Column, Resource
from controlplane.kinds.service_defaults import carry_over, default_service, prepare_service
from controlplane.kinds.service_rules import check_service
from controlplane.kinds.service_type import SERVICE, type_of
from controlplane.objects import Object, spec_of


def _show_external(service: Object, _: datetime) -> str:
    spec = spec_of(service)
    addresses = list(spec.get("externalIPs") or ())
    match type_of(service):
        case "ExternalName":
            return str(spec.get("externalName", ""))
        case "LoadBalancer":
            assigned = sorted({entry.get("ip") or entry.get("hostname") or "" for entry in ingress_of(service)} - {""})
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
