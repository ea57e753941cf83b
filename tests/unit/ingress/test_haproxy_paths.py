"""Paths through HAProxy at layer 4: what each plans, and what it refuses."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from pydantic import BaseModel, ValidationError

from lbagent.frontends.options import TcpOptions
from orchestrator.contracts import IngressPath, PlanContext, ServiceFacts, ServicePortFacts
from orchestrator.ingress.haproxy import HaproxyOptions, HttpHaproxyOptions
from orchestrator.ingress.loadbalancer import LoadBalancer
from orchestrator.ingress.nodeport import NodePort
from orchestrator.model.plan import PathPlan


def facts(
    name: str, service_type: str = "LoadBalancer", *, is_local: bool = False, external_ip: str | None = None
) -> ServiceFacts:
    return ServiceFacts(
        name=name,
        namespace="default",
        service_type=service_type,
        cluster_ip=None,
        ports=(
            ServicePortFacts(name="http", port=80, node_port=None),
            ServicePortFacts(name="", port=81, node_port=None),
            ServicePortFacts(name="dns", port=53, node_port=None, protocol="UDP"),
        ),
        external_ip=None if external_ip is None else IPv4Address(external_ip),
        is_local=is_local,
    )


SERVICES = [
    facts("balanced", external_ip="198.18.0.128"),
    facts("local", is_local=True, external_ip="198.18.0.129"),
    facts("plain", "NodePort"),
    facts("inside", "ClusterIP"),
]
CONTEXT = PlanContext(
    nodes={"node-1": IPv4Address("10.100.0.2")},
    all_nodes={"node-1": IPv4Address("10.100.0.2")},
    services={item.name: item for item in SERVICES},
    service_network=IPv4Network("10.3.240.0/20"),
    pod_network=IPv4Network("10.0.0.0/16"),
    gateway_on_clients=IPv4Address("198.18.0.1"),
    gateway_on_nodes=IPv4Address("10.100.0.1"),
    loadbalancer=IPv4Address("198.18.0.3"),
    duration_s=30.0,
    controlplane=IPv4Address("10.100.0.250"),
    client=IPv4Address("198.18.0.2"),
)


def plan(kind: IngressPath, index: int = 0, **options: object) -> tuple[PathPlan, dict[str, object]]:
    decoded: BaseModel = kind.options.model_validate(options)
    parts = kind.plan("path", decoded, CONTEXT, index)
    (frontend,) = parts.frontends
    return parts.path, dict(frontend)


def test_load_balancer_is_called_at_the_service_s_own_address() -> None:
    path, frontend = plan(LoadBalancer(), service="balanced", haproxy={"inter": "500ms"})
    assert (path.url, path.frontend, path.entry_nodes) == ("http://198.18.0.128:80/", "path", ())
    assert {key: frontend[key] for key in ("name", "service", "port", "mode")} == {
        "name": "path",
        "service": "default/balanced",
        "port": "http",
        "mode": "loadbalancer",
    }
    assert "bind" not in frontend, "the address is the control plane's to assign"


def test_second_nodeport_path_listens_beside_the_first_with_settings_of_its_own() -> None:
    first, _ = plan(NodePort(), 0, service="plain", haproxy={"fall": 2})
    second, frontend = plan(NodePort(), 1, service="plain", haproxy={"fall": 9, "observe": "layer4", "on_error": "mark-down"})
    assert (first.url, second.url) == ("http://198.18.0.3:80/", "http://198.18.0.3:8001/")
    assert isinstance(first.settings["haproxy"], dict)
    assert isinstance(second.settings["haproxy"], dict)
    assert (first.settings["haproxy"]["fall"], second.settings["haproxy"]["fall"]) == (2, 9)
    assert frontend["haproxy"] == {**second.settings["haproxy"], "check": None}


@pytest.mark.parametrize(
    ("service", "check", "needed"),
    [
        ("balanced", None, False),
        ("local", None, True),
        ("local", "tcp", True),
        ("local", "health-check-node-port", True),
        # kube-proxy is healthy on a node without pods too: its server is up, and what it gets is dropped.
        ("local", "http-healthz", False),
    ],
)
def test_node_must_have_a_pod_of_its_own_where_the_policy_and_the_check_say_so(
    service: str, check: str | None, needed: bool
) -> None:
    path, _ = plan(LoadBalancer(), service=service, haproxy={"check": check})
    assert path.settings["needs_local_endpoint"] is needed


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (LoadBalancer(), {"service": "plain"}, "service: default/plain has type NodePort and no external address"),
        (LoadBalancer(), {"service": "balanced", "port": "dns"}, "port: dns of default/balanced is UDP; allowed: TCP"),
        (
            LoadBalancer(),
            {"service": "balanced", "haproxy": {"check": "health-check-node-port"}},
            "haproxy.check: default/balanced has no healthCheckNodePort",
        ),
        (
            NodePort(),
            {"service": "plain", "haproxy": {"check": "health-check-node-port"}},
            "haproxy.check: default/plain has no healthCheckNodePort",
        ),
        (NodePort(), {"service": "inside"}, "service: default/inside has type ClusterIP; allowed: NodePort, LoadBalancer"),
    ],
)
def test_what_the_service_cannot_do_is_refused(kind: IngressPath, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(kind, **options)


@pytest.mark.parametrize(
    "options", [{"observe": "layer4", "checks": False}, {"retry_on": "all-retryable-errors"}, {"balance": "static-rr"}]
)
def test_settings_that_haproxy_would_ignore_or_refuse_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HaproxyOptions.model_validate(options)


def test_every_setting_reaches_the_agent_under_the_name_it_knows() -> None:
    options = HaproxyOptions.model_validate({"fastinter": "100ms", "downinter": "200ms", "check_timeout": "300ms"})
    known = set(TcpOptions.__dataclass_fields__)
    assert set(options.to_settings()) == known - {"starts_down", "agent_port", "retry_on"}


def test_what_haproxy_does_with_requests_alone_can_be_set_where_it_reads_them() -> None:
    options = HttpHaproxyOptions.model_validate({"observe": "layer7", "retry_on": ["conn-failure", "503"]})
    assert options.to_settings()["retry_on"] == "conn-failure 503"
    assert options.to_settings()["observe"] == "layer7"
    assert HttpHaproxyOptions().to_settings() == HaproxyOptions().to_settings()
    for wrong in ({"retry_on": ["often"]}, {"retry_on": "503"}):
        with pytest.raises(ValidationError):
            HttpHaproxyOptions.model_validate(wrong)
    with pytest.raises(ValidationError):
        HaproxyOptions.model_validate({"observe": "layer7"})


def test_defaults_are_the_agent_s() -> None:
    defaults = {name: getattr(TcpOptions(), name) for name in HaproxyOptions().to_settings()}
    assert HaproxyOptions().to_settings() == defaults
