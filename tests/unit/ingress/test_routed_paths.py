"""Paths that the gateway routes, and the virtual IP: what each plans, and what it refuses."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network

import pytest
from pydantic import BaseModel, ValidationError

from orchestrator.contracts import IngressPath, PathParts, PlanContext, ServiceFacts, ServicePortFacts
from orchestrator.ingress.bgp import Bgp
from orchestrator.ingress.static_ecmp import StaticEcmp
from orchestrator.ingress.static_route import StaticRoute
from orchestrator.ingress.vip import Vip
from orchestrator.model import routing
from orchestrator.planner.routing import check_routing
from orchestrator.render.bird import Announcement, Bfd

NODES = {f"node-{number}": IPv4Address(f"10.100.0.{number + 1}") for number in (1, 2, 3)}
HTTP = ServicePortFacts(name="http", port=80, node_port=None)


def facts(name: str, cluster_ip: str | None, *external_ips: str) -> ServiceFacts:
    return ServiceFacts(
        name=name,
        namespace="default",
        service_type="ClusterIP",
        cluster_ip=None if cluster_ip is None else IPv4Address(cluster_ip),
        ports=(HTTP,),
        external_ips=tuple(IPv4Address(item) for item in external_ips),
    )


SERVICES = [
    facts("web", "10.3.241.152"),
    facts("outside", "10.3.241.153", "203.0.113.10"),
    facts("inside", "10.3.241.154", "10.100.0.77"),
    facts("floating", None),
]
CONTEXT = PlanContext(
    nodes=NODES,
    all_nodes=NODES,
    services={item.name: item for item in SERVICES},
    service_network=IPv4Network("10.3.240.0/20"),
    pod_network=IPv4Network("10.0.0.0/16"),
    gateway_on_clients=IPv4Address("198.18.0.1"),
    gateway_on_nodes=IPv4Address("10.100.0.1"),
    loadbalancer=IPv4Address("198.18.0.3"),
    duration_s=30.0,
    controlplane=IPv4Address("10.100.0.250"),
    client=IPv4Address("198.18.0.2"),
    virtual_addresses=(IPv4Address("10.100.0.251"),),
    networks=(IPv4Network("10.100.0.0/24"), IPv4Network("198.18.0.0/24")),
)


def plan(kind: IngressPath, name: str = "path", index: int = 0, **options: object) -> PathParts:
    decoded: BaseModel = kind.options.model_validate(options)
    return kind.plan(name, decoded, CONTEXT, index)


def test_ecmp_leads_to_every_node_at_the_start_by_one_multipath_route() -> None:
    parts = plan(StaticEcmp(), service="web")
    assert parts.path.url == "http://10.3.241.152:80/"
    assert parts.gateway_routes == ({"to": "10.3.241.152/32", "nexthops": ["10.100.0.2", "10.100.0.3", "10.100.0.4"]},)
    assert parts.path.entry_nodes == ("node-1", "node-2", "node-3")


@pytest.mark.parametrize(("hash_by", "policy"), [("l3", "0"), ("l3l4", "1")])
def test_ecmp_s_hash_is_the_kernel_s_policy(hash_by: str, policy: str) -> None:
    parts = plan(StaticEcmp(), service="web", next_hops=["node-3", "node-1"], hash=hash_by)
    assert parts.gateway_sysctls == {"net.ipv4.fib_multipath_hash_policy": policy}
    assert parts.gateway_routes[0]["nexthops"] == ["10.100.0.4", "10.100.0.2"]


def test_bgp_announces_the_cluster_ip_with_the_defaults_of_the_article() -> None:
    parts = plan(Bgp(), service="web")
    assert parts.announcements == (
        Announcement(path="path", prefix=IPv4Network("10.3.241.152/32"), hold_time_s=9, keepalive_s=3, bfd=None, is_shared=True),
    )
    assert parts.gateway_routes == ()


def test_bgp_announces_an_external_ip_that_the_service_declares() -> None:
    parts = plan(Bgp(), service="outside", address="external_ip", bfd={"interval": "50ms", "multiplier": 5}, ecmp=False)
    (announcement,) = parts.announcements
    assert (str(announcement.prefix), parts.path.url) == ("203.0.113.10/32", "http://203.0.113.10:80/")
    assert announcement.bfd == Bfd(interval_ms=50, multiplier=5)
    assert parts.gateway_sysctls == {}


def test_vip_is_an_external_ip_of_its_service_in_the_node_network() -> None:
    parts = plan(Vip(), service="web", vrrp={"advert_interval": "100ms", "preempt": False})
    (virtual,) = parts.virtual_addresses
    assert (str(virtual.address), virtual.advert_interval_s, virtual.is_preempting) == ("10.100.0.251", 0.1, False)
    assert parts.external_ips == {"default/web": (IPv4Address("10.100.0.251"),)}
    assert parts.path.url == "http://10.100.0.251:80/"


@pytest.mark.parametrize("kind", [StaticEcmp(), Bgp(), Vip()], ids=lambda kind: kind.kind)
def test_metrics_read_from_the_plan_what_the_path_put_there(kind: IngressPath) -> None:
    found = routing.routing_of(plan(kind, service="web").path)
    assert found is not None
    assert found.kind == kind.kind.replace("vip", "vrrp")


@pytest.mark.parametrize(
    ("kind", "index", "options", "message"),
    [
        (StaticEcmp(), 0, {"service": "floating"}, "service: default/floating has no fixed spec.clusterIP"),
        (StaticEcmp(), 0, {"service": "web", "next_hops": ["node-9"]}, "next_hops: no such node 'node-9' at the start"),
        (StaticEcmp(), 0, {"service": "web", "next_hops": ["node-1", "node-1"]}, "next_hops: names a node twice"),
        (Bgp(), 0, {"service": "web", "address": "external_ip"}, "address: default/web has no spec.externalIPs"),
        (
            Bgp(),
            0,
            {"service": "inside", "address": "external_ip"},
            "address: 10.100.0.77 of default/inside lies in 10.100.0.0/24",
        ),
        (Vip(), 1, {"service": "web"}, "the node network has 1 virtual addresses"),
    ],
)
def test_what_cannot_be_planned_is_refused(kind: IngressPath, index: int, options: Mapping[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        plan(kind, index=index, **options)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Bgp(), {"hold_time": "2s", "keepalive": "1s"}, "allowed: 3s or more"),
        (Bgp(), {"hold_time": "9500ms"}, "allowed: whole seconds"),
        (Bgp(), {"hold_time": "9s", "keepalive": "9s"}, "allowed: less than hold_time, 9s"),
        (Bgp(), {"bfd": {"multiplier": 0}}, "greater than or equal to 1"),
        (Vip(), {"vrrp": {"advert_interval": "15ms"}}, "steps of 10ms"),
        (Vip(), {"vrrp": {"advert_interval": "41s"}}, "10ms to 40.95s"),
        (StaticEcmp(), {"hash": "l2"}, "'l3' or 'l3l4'"),
    ],
)
def test_intervals_that_the_protocols_do_not_know_are_refused(
    kind: IngressPath, options: Mapping[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        kind.options.model_validate(options)


def test_two_hash_policies_need_two_gateways() -> None:
    parts = [plan(StaticEcmp(), "a", service="web", hash="l3"), plan(Bgp(), "b", service="outside")]
    with pytest.raises(ValueError, match="path 'a' sets it differently; allowed: the same hash"):
        check_routing(parts)
    check_routing([parts[0], plan(Bgp(), "b", service="outside", hash="l3")])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (plan(StaticRoute(), "a", service="web"), plan(StaticEcmp(), "b", service="web")),
        (plan(StaticEcmp(), "a", service="web"), plan(Bgp(), "b", service="web")),
        (plan(Bgp(), "a", service="web"), plan(Bgp(), "b", service="web", hold_time="30s")),
        (plan(StaticEcmp(), "a", service="web"), plan(StaticEcmp(), "b", service="web", next_hops=["node-1"])),
    ],
)
def test_two_routes_to_one_address_are_refused(first: PathParts, second: PathParts) -> None:
    with pytest.raises(ValueError, match=r"path 'a' leads to 10\.3\.241\.152 by another route"):
        check_routing([first, second])


def test_paths_to_services_of_their_own_disturb_nobody() -> None:
    check_routing(
        [plan(StaticRoute(), "a", service="web"), plan(StaticEcmp(), "b", service="outside"), plan(Vip(), "c", service="web")]
    )
    check_routing([plan(StaticEcmp(), "a", service="web"), plan(StaticEcmp(), "b", service="web")])


def test_two_bfd_settings_between_the_same_neighbours_are_refused() -> None:
    parts = [
        plan(Bgp(), "a", service="web", bfd={"interval": "100ms"}),
        plan(Bgp(), "b", service="outside", bfd={"interval": "200ms"}),
    ]
    with pytest.raises(ValueError, match="paths 'a' and 'b' set it differently"):
        check_routing(parts)
