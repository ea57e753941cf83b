"""What the node reads of a Pod object, and the configuration of the pod's program."""

from __future__ import annotations

import json
import re
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from nodeagent.kubelet.addresses import Addresses, AddressesSpentError
from nodeagent.kubelet.nginx import render_nginx
from nodeagent.kubelet.pod_spec import HostPort, PodSpec, Readiness, read_pod

GOLDEN = """\
daemon on;
master_process on;
worker_processes 1;
worker_rlimit_nofile 16384;
pid /run/pods/u/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
  # A kept-alive connection is the client's to end, not ours after 1,000 requests.
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  client_body_temp_path /run/pods/u/body;
  proxy_temp_path /run/pods/u/proxy;
  fastcgi_temp_path /run/pods/u/fastcgi;
  uwsgi_temp_path /run/pods/u/uwsgi;
  scgi_temp_path /run/pods/u/scgi;
  default_type application/json;
  server {
    listen 0.0.0.0:80 backlog=4096;
    location / { return 200 '{"pod": "web-1", "node": "node-1", "pod_ip": "10.0.1.2", "client": "$remote_addr", "port": 80}'; }
  }
  server {
    listen 0.0.0.0:8080 backlog=4096;
    location / { return 200 '{"pod": "web-1", "node": "node-1", "pod_ip": "10.0.1.2", "client": "$remote_addr", "port": 8080}'; }
  }
}
"""


def pod(*containers: dict[str, Any], **spec: Any) -> PodSpec:
    return read_pod({"metadata": {"name": "web-1", "uid": "u"}, "spec": {"containers": list(containers), **spec}})


def probed(probe: dict[str, Any]) -> Readiness | None:
    ports = [{"name": "http", "containerPort": 8080}]
    return pod({"name": "a"}, {"name": "b", "ports": ports, "readinessProbe": probe}).readiness


def test_nginx_configuration_has_one_server_for_each_port() -> None:
    text = render_nginx(pod="web-1", node="node-1", pod_ip="10.0.1.2", ports=(80, 8080), directory="/run/pods/u")
    assert text == GOLDEN


def test_nginx_answers_json_that_names_the_pod_and_the_client() -> None:
    text = render_nginx(pod="p", node="n", pod_ip="10.100.0.2", ports=(81,), directory="/d")
    (body,) = re.findall(r"return 200 '(.*)';", text)
    assert json.loads(body) == {"pod": "p", "node": "n", "pod_ip": "10.100.0.2", "client": "$remote_addr", "port": 81}


def test_bare_pod_has_kubernetes_defaults() -> None:
    assert pod() == PodSpec(
        namespace="default",
        name="web-1",
        uid="u",
        ports=(),
        host_network=False,
        readiness=None,
        pre_stop_s=0.0,
        grace_s=30.0,
        containers=(),
    )


def test_pod_is_read_over_all_its_containers() -> None:
    first = {"name": "a", "ports": [{"containerPort": 80}], "lifecycle": {"preStop": {"sleep": {"seconds": 2}}}}
    second = {"name": "b", "ports": [{"containerPort": 81}], "lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}
    found = pod(first, second, {"name": "c", "lifecycle": {"preStop": None}}, hostNetwork=True, terminationGracePeriodSeconds=0)
    assert (found.ports, found.pre_stop_s, found.grace_s) == ((80, 81), 5.0, 0.0)
    assert (found.containers, found.host_network, found.key) == (("a", "b", "c"), True, "default/web-1")


def test_program_listens_once_on_each_tcp_port() -> None:
    """Port 53 of a name server is there twice, and nginx takes an address once."""
    ports = [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}, {"containerPort": 80}]
    assert pod({"name": "a", "ports": ports}, {"name": "b", "ports": [{"containerPort": 80}]}).ports == (53, 80)


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({"containerPort": 80}, ()),
        ({"containerPort": 80, "hostPort": 0}, ()),
        ({"containerPort": 80, "hostPort": 8000}, (HostPort(protocol="tcp", address=None, port=8000, container_port=80),)),
        (
            {"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "0.0.0.0"},
            (HostPort(protocol="udp", address=None, port=53, container_port=53),),
        ),
        (
            {"containerPort": 80, "hostPort": 8000, "hostIP": "127.0.0.1"},
            (HostPort(protocol="tcp", address=IPv4Address("127.0.0.1"), port=8000, container_port=80),),
        ),
        ({"containerPort": 80, "hostPort": 8000, "hostIP": "2001:db8::1"}, ()),
        ({"containerPort": 80, "hostPort": 8000, "hostIP": "::"}, ()),
    ],
)
def test_host_ports_are_those_of_the_containers_in_our_address_family(
    port: dict[str, Any], expected: tuple[HostPort, ...]
) -> None:
    assert pod({"name": "a", "ports": [port]}).host_ports == expected


DEFAULTS: dict[str, Any] = {
    "initial_delay_s": 0.0,
    "period_s": 10.0,
    "timeout_s": 1.0,
    "success_threshold": 1,
    "failure_threshold": 3,
    "container": "b",
}


def test_probe_of_a_port_that_no_container_declares_has_no_port() -> None:
    probe = probed({"httpGet": {"port": "nowhere"}})
    assert probe is not None
    assert (probe.port, probe.port_name) == (None, "nowhere")


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        ({"httpGet": {"port": 80}}, Readiness(port=80, path="/", **DEFAULTS)),
        ({"httpGet": {"port": "http", "path": "/ready"}}, Readiness(port=8080, path="/ready", port_name="http", **DEFAULTS)),
        ({"tcpSocket": {"port": "http"}}, Readiness(port=8080, path=None, port_name="http", **DEFAULTS)),
        ({"httpGet": None, "tcpSocket": {"port": 80}}, Readiness(port=80, path=None, **DEFAULTS)),
        ({"exec": {"command": ["true"]}}, None),
        (
            {
                "tcpSocket": {"port": 1},
                "initialDelaySeconds": 2,
                "periodSeconds": 3,
                "timeoutSeconds": 4,
                "successThreshold": 5,
                "failureThreshold": 6,
            },
            Readiness(
                port=1,
                path=None,
                initial_delay_s=2.0,
                period_s=3.0,
                timeout_s=4.0,
                success_threshold=5,
                failure_threshold=6,
                container="b",
            ),
        ),
    ],
    ids=str,
)
def test_readiness_probe(probe: dict[str, Any], expected: Readiness | None) -> None:
    assert probed(probe) == expected


def test_addresses_are_given_in_turn_so_that_a_new_pod_is_not_taken_for_the_one_that_left() -> None:
    addresses = Addresses(IPv4Network("10.0.1.0/29"))
    first = [addresses.take() for _ in range(2)]
    assert first == [IPv4Address("10.0.1.2"), IPv4Address("10.0.1.3")]
    addresses.release(first[0])
    assert [str(addresses.take()) for _ in range(4)] == ["10.0.1.4", "10.0.1.5", "10.0.1.6", "10.0.1.2"]


def test_no_address_is_given_twice_and_the_end_of_them_is_told() -> None:
    addresses = Addresses(IPv4Network("10.0.1.0/29"))
    addresses.claim(IPv4Address("10.0.1.3"))
    assert [str(addresses.take()) for _ in range(4)] == ["10.0.1.2", "10.0.1.4", "10.0.1.5", "10.0.1.6"]
    said = "failed to allocate for range 0: no IP addresses available in range set: 10.0.1.2-10.0.1.6"
    with pytest.raises(AddressesSpentError, match=re.escape(said)):
        addresses.take()
    addresses.release(IPv4Address("10.0.1.5"))
    assert addresses.take() == IPv4Address("10.0.1.5")


def test_pod_that_expects_proxy_headers_listens_for_them_and_believes_them() -> None:
    text = render_nginx(pod="p", node="n", pod_ip="10.0.1.2", ports=(80,), directory="/d", proxy_protocol=True)
    assert "listen 0.0.0.0:80 backlog=4096 proxy_protocol;" in text
    assert re.search(r"set_real_ip_from 0\.0\.0\.0/0;\n  real_ip_header proxy_protocol;\n  server {", text)


@pytest.mark.parametrize(("annotation", "expects"), [({}, False), ({"ingress-testbed.io/proxy-protocol": "true"}, True)])
def test_annotation_makes_pod_and_probe_speak_the_proxy_protocol(annotation: dict[str, str], expects: bool) -> None:
    container = {"name": "a", "readinessProbe": {"httpGet": {"port": 80}}}
    spec = read_pod({"metadata": {"name": "p", "uid": "u", "annotations": annotation}, "spec": {"containers": [container]}})
    assert spec.readiness is not None
    assert (spec.proxy_protocol, spec.readiness.proxy_protocol) == (expects, expects)
