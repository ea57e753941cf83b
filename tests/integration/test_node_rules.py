"""The node's rules in the real kernel: pods with nginx, a client in a namespace of its own, real connections (`node_rules_lab.py`).

The modules are those of this source tree; kernel, libnftables, nginx and pyroute2 those of the image.
"""

import pytest

from lab_container import run_lab

pytestmark = pytest.mark.integration

CLIENT, BRIDGE, NODE = "10.100.0.9", "10.0.1.1", "10.100.0.2"
POD_A, ELSEWHERE = "10.0.1.2", "10.0.2.2"


@pytest.fixture(scope="module", params=["nftables", "iptables"])
def lab(request):
    return request.param, run_lab("node_rules_lab.py", "node_lab.py", arguments=[request.param], deadline_s=90)


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
        ("node port of a pod elsewhere", f"pod-elsewhere {NODE}"),
        ("policy Local", pods(CLIENT)),
        ("policy Local without local endpoints", "timed out"),
        ("policy Local without local endpoints from a pod", f"pod-elsewhere {POD_A}"),
        ("policy Local without local endpoints from the node", f"pod-elsewhere {NODE}"),
        ("policy Local without local endpoints at the cluster IP", f"pod-elsewhere {POD_A}"),
        ("policy Local without endpoints", "ECONNREFUSED"),
        ("internal policy Local", ["pod-a 10.0.1.3"]),
        ("internal policy Local at the node port", [f"pod-a {BRIDGE}", f"pod-elsewhere {NODE}"]),
        ("internal policy Local without local endpoints", "timed out"),
        ("internal policy Local without endpoints", "ECONNREFUSED"),
        ("datagram to a service without endpoints", "ECONNREFUSED"),
        # A reject in the output hook is the sender's own error (netfilter, NF_DROP).
        ("datagram to a service without endpoints from the node", "not sent: EPERM"),
        ("one ready and one leaving", [f"pod-b {BRIDGE}"]),
        ("one leaving and one not ready", [f"pod-a {BRIDGE}"]),
        ("one not ready", "ECONNREFUSED"),
        ("policy Local, one leaving here and one ready elsewhere", [f"pod-a {CLIENT}"]),
        ("one meant for the zone", [f"pod-a {BRIDGE}"]),
        ("none meant for the zone", pods(BRIDGE)),
        ("load balancer IP", f"pod-a {CLIENT}"),
        ("external IP", f"pod-a {CLIENT}"),
        ("published although not ready", [f"pod-a {BRIDGE}"]),
        ("pod that reaches itself by the short cut", f"pod-a {BRIDGE}"),
        ("pod that reaches itself by internal policy Local", f"pod-a {BRIDGE}"),
        ("masquerade-all and policy Local", [f"pod-a {CLIENT}"] * 4),
        ("load balancer IP for others only", "timed out"),
        ("external IP beside source ranges", f"pod-a {CLIENT}"),
    ],
)
def test_connection_goes_where_kubernetes_says(seen, what, expected):
    assert seen[what] == expected


def test_policies_conditions_ranges_and_affinity_hold_all_at_once(seen):
    assert seen["everything"] == {
        "client to load balancer IP": f"pod-a {CLIENT}",
        "client to external IP": f"pod-a {CLIENT}",
        "client to node port": f"pod-a {CLIENT}",
        "pod to external IP": "pod-elsewhere 10.0.1.3",
        "pod to load balancer IP": "timed out",
        "pod to cluster IP": "pod-a 10.0.1.3",
        "node to node port": f"pod-elsewhere {NODE}",
        "node to load balancer IP": "timed out",
    }


@pytest.mark.parametrize(
    ("what", "nftables", "iptables"),
    [
        # The primary address alone, or every one of the node's.
        ("node port at the bridge's address", "ECONNREFUSED", pods(BRIDGE)),
        # Refused by a rule, or left to routing, where nobody answers.
        ("unknown port at the cluster IP", "ECONNREFUSED", "timed out"),
        # Dropped where it leaves the node, which its sender is told, or likewise.
        ("datagram to an address that no service has from the node", "not sent: EPERM", "timed out"),
        # Masqueraded for every endpoint, or for those of the node alone.
        ("pod that reaches itself through another node", "timed out", f"pod-elsewhere {NODE}"),
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


def test_affinity_goes_with_its_endpoint(seen):
    assert set(seen["affinity to an endpoint that went"]) == {seen["other endpoint"]}


def test_affinity_is_each_ports_own_and_one_for_all_its_addresses(seen):
    first, *others = seen["affinity of two ports"]
    assert sorted(first) == pods(BRIDGE)
    assert others == [first] * len(others)


def test_affinity_is_each_nodes_own(seen):
    """A client that comes through two nodes is led to one endpoint by the one and to another by the other, again and again."""
    first, *others = seen["affinity of two nodes"]
    assert sorted(answer.split()[0] for answer in first) == ["pod-a", "pod-b"]
    assert [answer.split()[1] for answer in first] == [BRIDGE, "10.100.3.3"]
    assert others == [first] * len(others)


def test_masquerade_takes_source_ports_at_random_and_what_is_not_masqueraded_keeps_its_own(seen):
    masqueraded, kept = seen["ports of masqueraded connections"], seen["ports of connections that keep their source"]
    # One of 64,512 that is its own by chance is no sign of anything.
    assert len(masqueraded) >= 2
    assert sum(port == seen_by_pod for port, seen_by_pod in masqueraded) < len(masqueraded)
    assert kept
    assert all(port == seen_by_pod for port, seen_by_pod in kept)


def test_affinity_is_refreshed_by_new_connections_and_not_by_old_ones(seen):
    assert len(seen["affinity of 1 s, asked every 0.6 s"]) == 1
    assert seen["affinity of 1 s, one connection in use"]


@pytest.mark.parametrize(
    ("mode", "pod_elsewhere_keeps"),
    [("ClusterCIDR", True), ("NodeCIDR", False), ("BridgeInterface", False), ("InterfaceNamePrefix", False)],
)
def test_who_is_not_taken_for_a_pod_is_masqueraded_at_the_cluster_ip(seen, mode, pod_elsewhere_keeps):
    assert seen[f"detect-local {mode}"] == {
        "pod": f"pod-elsewhere {POD_A}",
        "pod elsewhere": f"pod-a {ELSEWHERE if pod_elsewhere_keeps else BRIDGE}",
        "client": f"pod-a {BRIDGE}",
        "node": f"pod-a {BRIDGE}",
    }


def test_without_detection_of_pods_nobody_is_masqueraded_at_the_cluster_ip(seen):
    found = seen["detect-local none"]
    assert found == {
        "pod": f"pod-elsewhere {POD_A}",
        "pod elsewhere": f"pod-a {ELSEWHERE}",
        "client": f"pod-a {CLIENT}",
        "node": f"pod-a {NODE}",
    }


def test_masquerade_all_hides_pods_too(seen):
    assert seen["masquerade-all"] == {
        "pod": f"pod-elsewhere {NODE}",
        "pod elsewhere": f"pod-a {BRIDGE}",
        "client": f"pod-a {BRIDGE}",
        "node": f"pod-a {BRIDGE}",
    }


@pytest.mark.parametrize(
    ("where", "served"),
    [
        ("the primary address", {"node"}),
        ("every address", {"node", "bridge", "loopback"}),
        ("a network of pods", {"bridge"}),
        ("networks of nodes and loopback", {"node", "loopback"}),
    ],
)
def test_node_ports_are_at_the_addresses_that_are_named(lab, where, served):
    """At a loopback address in iptables mode alone."""
    mode, seen = lab
    expected = served - {"loopback"} if mode == "nftables" else served
    assert seen[f"node ports at {where}"] == [
        f"pod-a {BRIDGE}" if place in expected else "ECONNREFUSED" for place in ("node", "bridge", "loopback")
    ]


def test_kernel_holds_the_same_after_every_change_as_after_a_fresh_start(seen):
    assert seen["contents after every change"] == seen["contents afresh"]
    assert any(name.startswith(("chain firewall-", "KUBE-FW-")) for name in seen["contents afresh"])


def test_rules_that_somebody_flushed_are_missed_and_written_again(lab):
    mode, seen = lab
    if mode == "iptables":
        assert seen["intact before the damage"]
        assert not seen["intact after the damage"]
    else:
        # Nobody looks: it stays away while nothing changes, a change fails, and the one behind it writes the whole table.
        assert seen["table that somebody deleted"] == [False, "failed", False, True]
    assert seen["contents after the damage"] == seen["contents afresh"]


def test_iptables_restore_that_waits_tells_what_it_refuses_and_is_replaced(lab):
    mode, seen = lab
    if mode != "iptables":
        pytest.skip("it has no program to wait")
    assert "iptables-restore: line " in seen["words of a refusal"]
    assert "No chain/target/match by that name" in seen["words of a refusal"]
    assert seen["chains beside a refusal"] == ["AFTER", "BEFORE", "FIRST"]
