"""The node's rules in the real kernel: pods with nginx, a client in a namespace of its own, real connections (`node_lab.py`).

The modules are those of this source tree; kernel, libnftables, nginx and pyroute2 those of the image.
"""

import pytest

from lab_container import run_lab
from nodeagent.proxy.nftables import NftablesRules

pytestmark = pytest.mark.integration

CLIENT, BRIDGE = "10.100.0.9", "10.0.1.1"


@pytest.fixture(scope="module", params=["nftables", "iptables"])
def lab(request):
    return request.param, run_lab("node_lab.py", arguments=[request.param])


@pytest.fixture
def seen(lab):
    return lab[1]


def pods(client):
    return [f"pod-a {client}", f"pod-b {client}"]


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        # Masqueraded, a pod sees the node's address on the bridge.
        ("cluster IP from a client", pods(BRIDGE)),
        ("cluster IP from the node", pods(BRIDGE)),
        ("node port", pods(BRIDGE)),
        ("node port from a pod", pods(BRIDGE)),
        ("node port from the node", pods(BRIDGE)),
        ("service port at the node's address", "ECONNREFUSED"),
        ("address that no service has", "timed out"),
        ("node port without endpoints", "ECONNREFUSED"),
        ("cluster IP without endpoints", "ECONNREFUSED"),
        ("policy Local", pods(CLIENT)),
        ("policy Local without local endpoints", "timed out"),
        ("policy Local without endpoints", "ECONNREFUSED"),
        ("load balancer IP", f"pod-a {CLIENT}"),
        ("external IP", f"pod-a {CLIENT}"),
        ("load balancer IP for others only", "timed out"),
        ("external IP beside source ranges", f"pod-a {CLIENT}"),
    ],
)
def test_connection_goes_where_kubernetes_says(seen, what, expected):
    assert seen[what] == expected


@pytest.mark.parametrize(
    ("what", "nftables", "iptables"),
    [
        # The primary address alone, or every one of the node's.
        ("node port at the bridge's address", "ECONNREFUSED", pods(BRIDGE)),
        # Refused by a rule, or left to routing, where nobody answers.
        ("unknown port at the cluster IP", "ECONNREFUSED", "timed out"),
    ],
)
def test_the_two_modes_differ_where_kube_proxys_do(lab, what, nftables, iptables):
    mode, seen = lab
    expected = {"nftables": nftables, "iptables": iptables}[mode]
    assert seen[what] in expected if isinstance(expected, list) else seen[what] == expected


def test_pod_keeps_its_address_on_the_way_to_a_cluster_ip_unless_it_reaches_itself(seen):
    """pod-a asks. That pod-b's answer is translated back although both are on one bridge is br_netfilter's work."""
    if not seen["bridged packets are tracked"]:
        pytest.skip("br_netfilter is not loaded")
    assert seen["cluster IP from a pod"] == [f"pod-a {BRIDGE}", "pod-b 10.0.1.2"]


def test_established_connection_keeps_its_endpoint_when_that_is_removed(seen):
    assert seen["established over a change"] == [f"pod-a {BRIDGE}", f"pod-a {BRIDGE}", f"pod-b {BRIDGE}"]
    assert seen["established without endpoints"] == f"pod-a {BRIDGE}"


def test_affinity_holds_also_when_its_time_out_is_changed(seen):
    assert len(seen["affinity of 60 s"]) == 1
    assert seen["affinity of 30 s"] == seen["affinity of 60 s"]


def test_kernel_holds_the_same_after_every_change_as_after_a_fresh_start(seen):
    assert seen["contents after every change"] == seen["contents afresh"]
    assert any(name.startswith(("chain firewall-", "KUBE-FW-")) for name in seen["contents afresh"])


def test_rules_that_somebody_flushed_are_missed_and_written_again(lab):
    mode, seen = lab
    if mode == "nftables":
        assert not NftablesRules.checks_for_damage  # as kube-proxy's
        return
    assert seen["intact before the damage"]
    assert not seen["intact after the damage"]
    assert seen["contents after the damage"] == seen["contents afresh"]
