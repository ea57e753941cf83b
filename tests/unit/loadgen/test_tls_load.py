"""What the client is told of a path with TLS: the address to call, and who may sign."""

import json
from dataclasses import replace

from loadtests.load_file import decode_load
from orchestrator.loadgen.load_file import render_load_file
from orchestrator.model.plan import Expectation, LoadClassPlan, LoadPlan, PathPlan
from orchestrator.planner.load import SENDER_REACH_RPS, TLS_REACH_RPS

SECURED = LoadClassPlan(
    path="ingress",
    connection_class="new",
    url="https://shop.example.org/",
    rate_rps=50.0,
    connections=1,
    connect_to="198.18.0.3",
    ca_file="/etc/testbed/pki/ca.crt",
)


def test_address_and_authority_reach_the_client() -> None:
    load = LoadPlan(duration_s=1.0, timeout_s=1.0, in_flight_limit=10, seed=1, classes=(SECURED,))
    (found,) = decode_load(json.loads(render_load_file(load))).classes
    assert (found.url, found.connect_to, found.ca_file) == (SECURED.url, SECURED.connect_to, SECURED.ca_file)


def test_sender_reaches_less_with_tls() -> None:
    assert all(TLS_REACH_RPS[name] < reach for name, reach in SENDER_REACH_RPS.items())


def test_probe_is_told_what_the_load_is_told() -> None:
    path = PathPlan(name="ingress", kind="ingress", url="", expect=Expectation.OK, service="default/a", entry_nodes=())
    assert path.probe_options == ()
    secured = replace(path, connect_to="198.18.0.3", ca_file="/ca.crt")
    assert secured.probe_options == ("--connect-to", "198.18.0.3", "--ca-file", "/ca.crt")
