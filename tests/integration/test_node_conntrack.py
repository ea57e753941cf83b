"""What becomes of UDP flows and TCP connections when endpoints change: real sockets, real kernel, both modes (`conntrack_lab.py`)."""

import docker
import pytest

from cluster_lab import SERVICES, SLICES, cluster, endpoint, endpoint_slice, service
from lab_container import run_lab

pytestmark = pytest.mark.integration

SEND = """
import socket, sys
flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
flow.bind(("", 20000))
flow.sendto(b"?", (sys.argv[1], 80))
"""


@pytest.fixture(scope="module", params=["nftables", "iptables"])
def seen(request):
    return run_lab("conntrack_lab.py", "node_lab.py", arguments=[request.param])


@pytest.mark.parametrize("way", ["cluster IP", "external IP", "load balancer IP", "node port", "cluster IP from the node"])
def test_flow_moves_to_the_new_endpoint_when_its_own_is_replaced(seen, way):
    assert seen["replaced"][way] == ["pod-a", "pod-b"]


def test_flow_that_is_none_of_a_service_stays_where_it_was(seen):
    assert seen["replaced"]["pod itself"] == ["pod-a", "pod-a"]
    # Those of the service, and the one of somebody else that has the number of its node port.
    assert seen["deleted when replaced"] == [6]


def test_flow_of_somebody_else_to_the_number_of_the_node_port_is_given_up_too(seen):
    assert seen["foreign flow to the number of the node port"] == [1, 0]


def test_flow_goes_on_when_no_endpoint_is_left_and_new_ones_are_refused(seen):
    assert seen["without endpoints"] == ["pod-b", "pod-b"]
    assert seen["new without endpoints"] == "refused"


def test_flow_moves_when_there_is_an_endpoint_again(seen):
    assert seen["endpoint again"] == ["pod-a", "pod-a"]


def test_flow_stays_with_an_endpoint_that_leaves_until_it_serves_no_more(seen):
    assert seen["leaving"] == ["pod-a", ["pod-b"]]
    assert seen["left"] == "pod-b"


def test_load_balancer_address_over_udp_has_policy_and_source_ranges_and_the_node_port_no_ranges(seen):
    assert seen["policy Local, open for the client"] == [["pod-b"], ["pod-b"]]
    assert seen["policy Local, open for others"] == [["no answer"], ["pod-b"]]


def test_policies_and_the_end_of_the_service_move_no_flow(seen):
    assert seen["policy"] == "pod-b"
    assert seen["service deleted"][0] == "pod-b"
    assert seen["service deleted"][2] == 0
    assert seen["new when the service is deleted"] == "no answer"


def test_tcp_connection_survives_the_removal_of_its_endpoint_and_of_all(seen):
    assert seen["connection when replaced"] == ["pod-a 10.0.1.1", "pod-a 10.0.1.1", "pod-b 10.0.1.1"]
    assert seen["connection without endpoints"] == "pod-a 10.0.1.1"
    assert seen["service deleted"][1] == "pod-a 10.0.1.1"


def test_all_of_many_flows_are_given_up_at_once(seen):
    assert seen["many"] == [1000]
    assert seen["failed"] == []


def test_more_endpoints_than_a_slice_holds_are_all_used(seen):
    """250 in three slices, 1,500 flows: fewer than 240 of them would be a matter of 10^-9."""
    used = set(seen["many endpoints"])
    assert used <= {f"10.0.2.{number}" for number in range(1, 251)}
    assert len(used) >= 240


def test_agent_gives_up_flows_when_the_api_replaces_their_endpoint():
    client = docker.from_env()
    udp = {"name": "echo", "port": 80, "protocol": "UDP"}
    endpoints = {**endpoint_slice("echo", endpoint("10.0.0.9")), "ports": [{**udp, "port": 8080}]}
    with cluster(client, objects=[service("echo", ports=[udp]), endpoints]) as lab:
        address = lab.api.get(f"{SERVICES}/echo").json()["spec"]["clusterIP"]
        lab.node.run("ip", "route", "add", "default", "via", lab.controlplane.address)  # looked up before the translation
        lab.node.run("python3", "-c", SEND, address)
        assert "src=10.0.0.9" in lab.node.run("conntrack", "-L", "-p", "udp", "-d", address)
        lab.patch(f"{SLICES}/echo-x", {"endpoints": [endpoint("10.0.0.10")]})
        assert lab.node.wait_event("flows-deleted")["fields"]["flows"] == 1
        assert lab.node.run("conntrack", "-L", "-p", "udp", "-d", address) == ""
    client.close()
