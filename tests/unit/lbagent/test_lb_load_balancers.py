"""Services of type LoadBalancer: which of them get a frontend, where, and with what settings."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from lbagent.frontends import Check
from lbagent.frontends.options import TcpOptions
from lbagent.frontends.service import ServiceFrontend
from lbagent.frontends.tcp import TcpFrontend
from lbagent.load_balancers import EXTERNAL_IP, SERVED_IP, LoadBalancer, find_load_balancers, read_service
from testbed_kube.watch import UNREADABLE

HTTP = {"name": "http", "port": 80, "nodePort": 32213, "protocol": "TCP"}
METRICS = {"name": "metrics", "port": 9090, "nodePort": 32214}
ADDRESS = "198.18.0.128"
FRONTEND = TcpFrontend(
    name="default:web:80", bind=f"{ADDRESS}:80", service="default/web", port=80, options=TcpOptions(), sources=()
)


def balanced(name: str = "web", *, ports=(HTTP,), annotations=None, deleting=False, **spec) -> dict:
    metadata = {
        "namespace": "default",
        "name": name,
        "annotations": {EXTERNAL_IP: ADDRESS} if annotations is None else annotations,
    }
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": metadata, "spec": {"type": "LoadBalancer", "ports": list(ports)} | spec}


def found(*services: dict, named: tuple[ServiceFrontend, ...] = ()) -> tuple[LoadBalancer, ...]:
    return find_load_balancers({f"default/{item['metadata']['name']}": item for item in services}, named)


def test_service_with_an_address_has_a_frontend_for_each_port():
    (balancer,) = found(balanced(ports=(HTTP, METRICS)))
    assert (balancer.namespace, balancer.name, balancer.address) == ("default", "web", IPv4Address(ADDRESS))
    assert balancer.frontends == (
        FRONTEND,
        replace(FRONTEND, name="default:web:9090", bind=f"{ADDRESS}:9090", port=9090),
    )


@pytest.mark.parametrize(
    "service",
    [
        pytest.param(balanced(annotations={}), id="no address yet"),
        pytest.param(balanced(type="NodePort"), id="not a load balancer any more"),
        pytest.param(balanced(loadBalancerClass="example.com/other"), id="somebody else's"),
        pytest.param(balanced(deleting=True), id="being deleted"),
        pytest.param(balanced(ports=(HTTP, {"port": 81})), id="a port without node port"),
        pytest.param(balanced(ports=({**HTTP, "protocol": "UDP"},)), id="UDP"),
    ],
)
def test_what_cannot_or_must_not_be_served_has_no_frontend(service):
    assert found(service) == ()


@pytest.mark.parametrize(
    ("annotations", "is_told"),
    [
        ({EXTERNAL_IP: ADDRESS}, False),
        ({EXTERNAL_IP: ADDRESS, SERVED_IP: "198.18.0.129"}, False),
        ({EXTERNAL_IP: ADDRESS, SERVED_IP: ADDRESS}, True),
    ],
)
def test_address_is_told_once_and_anew_when_it_changes(annotations, is_told):
    assert found(balanced(annotations=annotations))[0].is_told is is_told


@pytest.mark.parametrize("port", ["http", 80, None])
def test_plan_names_a_service_port_and_gives_its_settings(port):
    options = TcpOptions(inter_ms=500, fall=2)
    named = ServiceFrontend(name="lb", service="default/web", port=port, options=options)
    (balancer,) = found(balanced(), named=(named,))
    assert balancer.frontends == (replace(FRONTEND, name="lb", options=options),)


def test_further_settings_of_one_port_are_served_at_an_address_of_their_own():
    first = ServiceFrontend(name="slow", service="default/web", port="http", options=TcpOptions())
    address, options = IPv4Address("198.18.0.192"), TcpOptions(fall=2)
    second = ServiceFrontend(name="fast", service="default/web", port="http", options=options, address=address)
    for named in ((first, second), (second, first)):
        (balancer,) = found(balanced(), named=named)
        assert balancer.frontends == (
            replace(FRONTEND, name="slow"),
            replace(FRONTEND, name="fast", bind="198.18.0.192:80", options=options),
        )
        assert (balancer.address, balancer.further) == (IPv4Address(ADDRESS), {address})
    assert found(balanced(ports=({**HTTP, "name": "other"},)), named=(second,))[0].further == frozenset()


def test_settings_of_another_port_or_service_are_not_taken():
    named = (
        ServiceFrontend(name="a", service="default/web", port="metrics", options=TcpOptions(fall=9)),
        ServiceFrontend(name="b", service="default/other", port="http", options=TcpOptions(fall=9)),
    )
    assert found(balanced(), named=named)[0].frontends == (FRONTEND,)


@pytest.mark.parametrize(
    ("chosen", "check"),
    [(None, Check.HEALTH_CHECK_NODE_PORT), (Check.TCP, Check.TCP), (Check.HTTP_HEALTHZ, Check.HTTP_HEALTHZ)],
)
def test_policy_local_is_checked_at_the_health_check_node_port_unless_told_otherwise(chosen, check):
    named = ServiceFrontend(name="lb", service="default/web", port=None, options=TcpOptions(check=chosen))
    (balancer,) = found(balanced(externalTrafficPolicy="Local", healthCheckNodePort=30500), named=(named,))
    assert balancer.frontends[0].check is check


@pytest.mark.parametrize(
    ("ranges", "sources"),
    [
        (["198.18.0.0/24", " 10.1.2.3/8"], ("198.18.0.0/24", "10.0.0.0/8")),
        (["198.18.0.0/24", "0.0.0.0/0"], ()),
        (["2001:db8::/64", "10.0.0.0/8"], ("10.0.0.0/8",)),
    ],
)
def test_source_ranges_are_enforced_by_the_frontend(ranges, sources):
    assert found(balanced(loadBalancerSourceRanges=ranges))[0].frontends[0].sources == sources


def test_several_services_keep_their_own_addresses():
    balancers = found(balanced("b"), balanced("a", annotations={EXTERNAL_IP: "198.18.0.129"}))
    assert [(item.name, item.frontends[0].bind) for item in balancers] == [("a", "198.18.0.129:80"), ("b", "198.18.0.128:80")]


def test_service_with_an_address_that_is_none_cannot_be_read():
    assert len(read_service(balanced())) == 1
    with pytest.raises(UNREADABLE):
        read_service(balanced(annotations={EXTERNAL_IP: "foo"}))
