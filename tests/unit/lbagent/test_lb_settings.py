"""Settings of the load balancer: decoded strictly, rendered exactly."""

import json
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from test_lb_load_balancers import balanced

from lbagent.decoding import SettingsError
from lbagent.frontends import Check
from lbagent.frontends.backend import render_server_options
from lbagent.frontends.options import TcpOptions
from lbagent.load_balancers import EXTERNAL_IP, find_load_balancers
from lbagent.render import Paths, render_config
from lbagent.servers import Server
from lbagent.settings import Settings, decode_settings

GOLDEN = Path(__file__).parent / "golden"
PATHS = Paths.under(Path("/run/testbed"))

FRONTEND = {
    "name": "nodeport",
    "bind": "198.18.0.3:80",
    "service": "default/service-test",
    "port": "http",
    "mode": "tcp",
    "haproxy": {"inter_ms": 500, "fall": 2, "rise": 2},
}
SETTINGS = {
    "api_url": "https://10.100.0.5:6443",
    "token": "secret",
    "public_ip": "198.18.0.3",
    "frontends": [FRONTEND],
}


def decode(**changes: object) -> Settings:
    return decode_settings(json.dumps({"container": "loadbalancer", "role": "loadbalancer", "settings": SETTINGS | changes}))


def decode_with(**changes: object) -> Settings:
    return decode(frontends=[FRONTEND | changes])


def decode_haproxy(**options: object) -> Settings:
    return decode_with(haproxy=options)


@pytest.mark.parametrize(
    ("settings", "servers", "golden"),
    [
        (decode(), {}, "first-start.cfg"),
        (
            decode(),
            {
                "nodeport": (
                    Server(name="node-2", address=IPv4Address("10.100.0.3"), port=32213),
                    Server(name="node-1", address=IPv4Address("10.100.0.2"), port=32213),
                    Server(name="node-3", address=IPv4Address("10.100.0.4"), port=32213, drain=True),
                )
            },
            "restart-with-servers.cfg",
        ),
        (
            decode(
                threads=2,
                frontends=[
                    FRONTEND
                    | {
                        "haproxy": {
                            "inter_ms": 1000,
                            "fastinter_ms": 200,
                            "downinter_ms": 400,
                            "fall": 3,
                            "rise": 1,
                            "check_timeout_ms": 300,
                            "connect_timeout_ms": 250,
                            "client_timeout_ms": 3600000,
                            "server_timeout_ms": 3600000,
                            "retries": 5,
                            "redispatch": -1,
                            "balance": "source",
                            "shutdown_sessions_on_down": True,
                            "send_proxy_v2": True,
                        }
                    },
                    FRONTEND | {"name": "unchecked", "bind": "198.18.0.3:8001", "haproxy": {"checks": False, "redispatch": 0}},
                ],
            ),
            {"unchecked": (Server(name="node-1", address=IPv4Address("10.100.0.2"), port=32213),)},
            "every-option.cfg",
        ),
        (
            decode(
                frontends=[
                    FRONTEND | {"name": check, "bind": f"198.18.0.3:{8000 + place}", "haproxy": {"check": check, **options}}
                    for place, (check, options) in enumerate(
                        [
                            ("tcp", {"observe": "layer4", "error_limit": 2, "on_error": "mark-down", "balance": "first"}),
                            ("http-healthz", {}),
                            ("health-check-node-port", {}),
                            ("agent", {"agent_inter_ms": 500}),
                        ]
                    )
                ]
            ),
            {
                "http-healthz": (Server(name="node-1", address=IPv4Address("10.100.0.2"), port=32213, check_port=10256),),
                "agent": (Server(name="node-1", address=IPv4Address("10.100.0.2"), port=32213),),
                "tcp": (Server(name="node-1", address=IPv4Address("10.100.0.2"), port=32213),),
            },
            "every-check.cfg",
        ),
    ],
)
def test_haproxy_cfg_is_rendered_as_in_the_golden_file(settings, servers, golden):
    assert render_config(settings, PATHS, settings.frontends, servers) == (GOLDEN / golden).read_text()


def test_the_contract_s_example_is_decoded():
    settings = decode()
    (backend,) = settings.backends()
    assert (settings.container, settings.api_url, settings.public_ip) == (
        "loadbalancer",
        "https://10.100.0.5:6443",
        IPv4Address("198.18.0.3"),
    )
    assert (backend.name, backend.service, backend.port) == ("nodeport", "default/service-test", "http")
    assert backend.server_options == ("check", "inter", "500ms", "fall", "2", "rise", "2")
    assert backend.checks
    assert backend.starts_down
    assert settings.restart_haproxy is False


def test_without_checks_a_server_has_no_check_and_starts_up():
    (backend,) = decode_haproxy(checks=False, starts_down=True, shutdown_sessions_on_down=True).backends()
    assert (backend.server_options, backend.checks, backend.starts_down) == ((), False, False)


def test_defaults_are_haproxy_s_own():
    assert render_server_options(TcpOptions(), "default/service-test") == ("check", "inter", "2000ms", "fall", "3", "rise", "2")


def test_haproxy_cfg_of_load_balancers_is_rendered_as_in_the_golden_file():
    named = {"name": "loadbalancer", "service": "default/web", "port": "http", "mode": "loadbalancer", "haproxy": {"fall": 2}}
    settings = decode(frontends=[FRONTEND, named])
    services = {
        "default/web": balanced(
            externalTrafficPolicy="Local", healthCheckNodePort=30500, loadBalancerSourceRanges=["198.18.0.0/25", "10.0.0.0/8"]
        ),
        "default/other": balanced("other", annotations={EXTERNAL_IP: "198.18.0.129"}),
    }
    balancers = find_load_balancers(services, settings.services)
    frontends = (*settings.frontends, *(frontend for item in balancers for frontend in item.frontends))
    assert render_config(settings, PATHS, frontends, {}) == (GOLDEN / "load-balancers.cfg").read_text()


def test_load_balancer_s_entry_has_no_address_of_its_own():
    entry = {"name": "lb", "service": "default/web", "port": None, "mode": "loadbalancer", "haproxy": {"check": "tcp"}}
    settings = decode(frontends=[entry])
    (named,) = settings.services
    assert settings.frontends == ()
    assert (named.name, named.service, named.port, named.options) == ("lb", "default/web", None, TcpOptions(check=Check.TCP))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: decode(surprise=1), "settings: unknown keys ['surprise']"),
        (lambda: decode(token=""), "settings: ['token'] must be non-empty strings"),
        (lambda: decode(public_ip="somewhere"), "settings.public_ip: Expected 4 octets in 'somewhere'"),
        (lambda: decode(frontends={}), "settings.frontends: must be a list, got {}"),
        (lambda: decode(frontends=[FRONTEND, FRONTEND]), "settings.frontends: names must be unique"),
        (lambda: decode(threads=0), "settings.threads: must be an integer above 0, got 0"),
        (lambda: decode(restart_haproxy="yes"), "settings.restart_haproxy: must be true or false, got 'yes'"),
        (
            lambda: decode_with(mode="http"),
            "settings.frontends[0].mode: must be one of ['ingress', 'loadbalancer', 'tcp'], got 'http'",
        ),
        (lambda: decode_with(name="a b"), "settings.frontends[0].name: must consist of letters, digits and _.:-"),
        (lambda: decode_with(bind="198.18.0.3"), "settings.frontends[0].bind: must be IPv4:port, got '198.18.0.3'"),
        (lambda: decode_with(bind="198.18.0.3:0"), "settings.frontends[0].bind: must be IPv4:port"),
        (lambda: decode_with(service="service-test"), "settings.frontends[0].service: must be namespace/name"),
        (lambda: decode_with(port=1.5), "settings.frontends[0].port: must be the name or number of a service port"),
        (lambda: decode_with(color="red"), "settings.frontends[0]: unknown keys ['color']"),
        (
            lambda: decode_haproxy(intr_ms=5),
            "settings.frontends[0].haproxy: unknown keys ['intr_ms']; allowed: ['agent_inter_ms'",
        ),
        (lambda: decode_haproxy(inter_ms="5"), "settings.frontends[0].haproxy.inter_ms: must be an integer, got '5'"),
        (lambda: decode_haproxy(inter_ms=True), "settings.frontends[0].haproxy.inter_ms: must be an integer, got True"),
        (lambda: decode_haproxy(checks=1), "settings.frontends[0].haproxy.checks: must be true or false, got 1"),
        (lambda: decode_haproxy(fastinter_ms="x"), "haproxy.fastinter_ms: must be an integer or null, got 'x'"),
        (lambda: decode_haproxy(fall=0), "settings.frontends[0].haproxy: fall must be at least 1, got 0"),
        (lambda: decode_haproxy(redispatch=-2), "settings.frontends[0].haproxy: redispatch must be at least -1, got -2"),
        (lambda: decode_haproxy(balance="static-rr"), "haproxy.balance: must be one of ['roundrobin', 'leastconn', 'first'"),
        (lambda: decode_haproxy(check="ping"), "haproxy.check: must be one of ['tcp', 'http-healthz'"),
        (lambda: decode_haproxy(observe="layer7"), "haproxy.observe: layer7 is for mode ingress; allowed: none, layer4"),
        (lambda: decode_haproxy(retry_on="503"), "haproxy.retry_on: is for mode ingress, which reads HTTP"),
        (lambda: decode_haproxy(retry_on="often"), "haproxy: retry_on: often; allowed: 401, 403"),
        (lambda: decode_haproxy(observe="layer4", checks=False), "settings.frontends[0].haproxy: observe needs checks"),
        (lambda: decode_haproxy(error_limit=0), "settings.frontends[0].haproxy: error_limit must be at least 1, got 0"),
        (lambda: decode_with(mode="loadbalancer"), "settings.frontends[0]: unknown keys ['bind']"),
        (
            lambda: decode(frontends=[FRONTEND, {"name": "nodeport", "service": "a/b", "mode": "loadbalancer"}]),
            "settings.frontends: names must be unique",
        ),
        (lambda: decode_settings("["), "config: not JSON"),
        (lambda: decode_settings("[]"), "config: must be an object, got []"),
        (lambda: decode_settings('{"container": "lb"}'), "settings: must be an object, got None"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(build, message):
    with pytest.raises(SettingsError) as caught:
        build()
    assert message in str(caught.value)
