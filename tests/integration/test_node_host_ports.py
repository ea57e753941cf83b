"""Host ports and pods in the node's own namespace: by real connections in the kernel, and by the whole node on a pod's life."""

import itertools

import docker
import httpx
import pytest

from cluster_lab import cluster
from lab_container import run_lab

pytestmark = pytest.mark.integration

CLIENT, BRIDGE, NODE_IP = "10.100.0.9", "10.0.1.1", "10.100.0.2"
HOST_PORT, NETWORK_PORT = 8000, 8001
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module", params=["nftables", "iptables"])
def lab(request):
    return request.param, run_lab("host_ports_lab.py", "node_lab.py", arguments=[request.param])


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("nobody's port", "ECONNREFUSED"),
        # The client's address is kept, whatever address of the node it calls.
        ("client", f"pod-a {CLIENT}"),
        ("another address of the node", f"pod-a {CLIENT}"),
        ("another host's address", "ECONNREFUSED"),
        ("node at its own address", f"pod-a {NODE_IP}"),
        # Masqueraded: no pod can answer to 127.0.0.1, or to itself through the node.
        ("node at 127.0.0.1", f"pod-a {BRIDGE}"),
        ("the pod itself", f"pod-a {BRIDGE}"),
        ("hostIP", f"pod-a {CLIENT}"),
        ("same port at another hostIP", f"pod-b {CLIENT}"),
        ("port of 127.0.0.1 at 127.0.0.1", f"pod-a {BRIDGE}"),
        ("port of 127.0.0.1 from outside", "ECONNREFUSED"),
        ("TCP of a number", f"pod-a {CLIENT}"),
        ("UDP of the same number", f"pod-b {CLIENT}"),
        ("removed", "ECONNREFUSED"),
    ],
)
def test_host_port_leads_where_the_portmap_plugin_leads(lab, what, expected):
    assert lab[1][what] == expected


def test_pod_that_calls_a_host_port_of_its_own_node_keeps_its_address_in_nftables_mode(lab):
    """The plugin's iptables rules masquerade the whole network of the node's pods, those of nftables the pod itself."""
    mode, seen = lab
    if mode == "nftables" and not seen["bridged packets are tracked"]:
        pytest.skip("br_netfilter is not loaded")
    assert seen["another pod of the node"] == {"nftables": "pod-a 10.0.1.3", "iptables": f"pod-a {BRIDGE}"}[mode]


def test_restart_of_the_agent_is_not_noticed_and_clears_what_did_not_live_to_see_it(lab):
    _, seen = lab
    assert seen["established over a restart of the agent"] == [f"pod-a {CLIENT}"] * 2
    assert seen["after a restart of the agent"] == f"pod-a {CLIENT}"
    assert seen["pod that did not live to see it"] == "ECONNREFUSED"
    assert seen["rules after the restart"] == seen["rules of one pod"]


def test_removal_leaves_no_rule_and_no_connection_broken(lab):
    _, seen = lab
    assert seen["rules after"] == seen["rules before"] != seen["rules of one pod"]
    assert seen["established without the rule"] == f"pod-a {CLIENT}"


def test_udp_client_that_asked_too_early_is_led_to_the_pod_because_its_flow_is_given_up(lab):
    _, seen = lab
    assert seen["UDP flow given up"] == f"pod-a {CLIENT}"
    assert seen["UDP flow left alone"] == "timed out"


@pytest.mark.parametrize(
    ("what", "nftables", "iptables"),
    [
        ("program in the node", f"host-net {CLIENT}", f"host-net {CLIENT}"),
        ("program in the node, from a pod", "host-net 10.0.1.2", "host-net 10.0.1.2"),
        # The rules come first, also those that refuse.
        ("number of a node port without endpoints", "ECONNREFUSED", "ECONNREFUSED"),
        ("number of a node port", f"pod-a {BRIDGE}", f"pod-a {BRIDGE}"),
        # Node ports are at the primary address, or at every one of the node's.
        ("number of a node port at the bridge", f"host-net {CLIENT}", f"pod-a {BRIDGE}"),
        ("number of a node port at 127.0.0.1", "host-net 127.0.0.1", f"pod-a {BRIDGE}"),
    ],
)
def test_node_port_wins_over_a_program_in_the_node_on_the_same_port(lab, what, nftables, iptables):
    mode, seen = lab
    assert seen[what] == {"nftables": nftables, "iptables": iptables}[mode]


@pytest.fixture(scope="module")
def testbed():
    client = docker.from_env()
    try:
        with cluster(client) as found:
            yield found
    finally:
        client.close()


names = (f"web-{number}" for number in itertools.count(1))


def create(testbed, *, host_network=False, **port):
    name = next(names)
    container = {
        "name": "web",
        "image": "nginx",
        "ports": [{"name": "http", **port}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
    }
    spec = {"containers": [container], "hostNetwork": host_network, "terminationGracePeriodSeconds": 1}
    testbed.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    return name


def delete(testbed, name):
    testbed.delete(f"{PODS}/{name}")
    testbed.node.wait_event("pod-stopped", pod=name)


def call(testbed, port):
    """Who answers, and whose address it saw."""
    answer = httpx.get(f"http://{testbed.node_ip}:{port}/", timeout=1.0, trust_env=False).json()
    return answer["pod"], answer["client"]


def list_tables(testbed):
    return testbed.node.run("nft", "list", "tables")


def test_pod_has_its_host_port_as_long_as_it_lives(testbed):
    before = testbed.node.run("nft", "list", "ruleset")
    name = create(testbed, containerPort=8080, hostPort=HOST_PORT)
    testbed.node.wait_event("pod-ready", pod=name)
    pod, client = call(testbed, HOST_PORT)
    assert (pod, client.rpartition(".")[0]) == (name, testbed.node_ip.rpartition(".")[0]), "this machine's address there"
    delete(testbed, name)
    with pytest.raises(httpx.ConnectError):
        call(testbed, HOST_PORT)
    assert testbed.node.run("nft", "list", "ruleset") == before


def test_agent_that_is_killed_leaves_the_host_port_serving_and_finds_it_again(testbed):
    name = create(testbed, containerPort=8080, hostPort=HOST_PORT)
    testbed.node.wait_event("pod-ready", pod=name)
    rules = testbed.node.run("nft", "list", "table", "ip", "cni_hostport")
    assert testbed.node.ctl(op="signal", process="agent", signal="KILL")["ok"]
    testbed.node.wait_event("process-exited", process="agent", status=-9)
    assert call(testbed, HOST_PORT)[0] == name
    # Reported by the new agent, which has put the rules in order by then.
    testbed.node.wait_event("pod-started", pod=name, count=2)
    assert call(testbed, HOST_PORT)[0] == name
    assert testbed.node.run("nft", "list", "table", "ip", "cni_hostport") == rules
    delete(testbed, name)
    assert "cni_hostport" not in list_tables(testbed)


def test_pod_in_the_nodes_namespace_is_at_the_nodes_address_and_keeps_the_port_from_others(testbed):
    name = create(testbed, host_network=True, containerPort=NETWORK_PORT)
    testbed.node.wait_event("pod-ready", pod=name)
    second = create(testbed, host_network=True, containerPort=NETWORK_PORT)
    status = testbed.api.get(f"{PODS}/{name}").json()["status"]
    assert (status["podIP"], status["hostIP"]) == (testbed.node_ip, testbed.node_ip)
    assert call(testbed, NETWORK_PORT)[0] == name
    assert "cni_hostport" not in list_tables(testbed), "no rule is needed"
    (condition,) = testbed.api.get(f"{PODS}/{second}").json()["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("PodScheduled", "False")
    assert "free ports" in condition["message"]
    delete(testbed, name)
    testbed.node.wait_event("pod-ready", pod=second)
    assert call(testbed, NETWORK_PORT)[0] == second
    delete(testbed, second)
