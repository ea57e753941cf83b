"""Which senders the rules take for pods, and what that changes; in both modes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from node_world import (
    AT_HERE,
    AT_THERE,
    CLIENT,
    CLUSTER_IP,
    HERE,
    LOCAL,
    NETWORKS,
    NODE,
    NODE_IP,
    NODE_PORT,
    POD,
    POD_ELSEWHERE,
    PORT,
    THERE,
    service,
    slice_of,
    trace,
)

from nodeagent.proxy.fate import Fate
from nodeagent.proxy.local_pods import MODES, DetectLocalMode, LocalPods, detect_local
from nodeagent.proxy.services import read_service_ports

BRIDGE = "cbr0"
SENDERS = {
    "a pod here": (POD, BRIDGE),
    "a pod elsewhere": (POD_ELSEWHERE, "eth0"),
    "outside": (CLIENT, "eth0"),
    "the node itself": (NODE_IP, ""),
}
TAKEN_FOR_PODS = {
    "ClusterCIDR": {"a pod here", "a pod elsewhere"},
    "NodeCIDR": {"a pod here"},
    "BridgeInterface": {"a pod here"},
    "InterfaceNamePrefix": {"a pod here"},
    "none": set(),
}


def fate(mode: str, sender: str, dst: str, number: int, *, spec: dict[str, Any] | None = None, **network: Any) -> Fate:
    ports = read_service_ports([service(**(spec or {}))], [slice_of(HERE, THERE)], NODE)
    src, interface = SENDERS[sender]
    itself = sender == "the node itself"
    tracer = trace(mode, ports, network=dataclasses.replace(NETWORKS[mode], **network))
    return tracer.packet(src, dst, "tcp", number, from_node_itself=itself, came_in_by=interface)


def pods_of(detection: DetectLocalMode) -> LocalPods | None:
    return detect_local(detection, cluster_cidr="10.0.0.0/16", node_cidr="10.0.1.0/24", bridge=BRIDGE)


@pytest.mark.parametrize("mode", ["nftables", "iptables"])
@pytest.mark.parametrize("detection", MODES)
@pytest.mark.parametrize("sender", SENDERS)
def test_who_is_no_pod_reaches_cluster_ips_masqueraded(mode: str, detection: DetectLocalMode, sender: str) -> None:
    """Without detection nobody is."""
    keeps_address = sender in TAKEN_FOR_PODS[detection] or detection == "none"
    seen = fate(mode, sender, CLUSTER_IP, PORT, local_pods=pods_of(detection))
    assert seen.targets == (AT_HERE, AT_THERE)
    assert seen.masqueraded_targets == (() if keeps_address else seen.targets)


@pytest.mark.parametrize("mode", ["nftables", "iptables"])
@pytest.mark.parametrize("detection", MODES)
@pytest.mark.parametrize("sender", SENDERS)
def test_only_pods_and_the_node_have_the_short_cut_around_policy_local(
    mode: str, detection: DetectLocalMode, sender: str
) -> None:
    seen = fate(mode, sender, NODE_IP, NODE_PORT, spec=LOCAL, local_pods=pods_of(detection))
    inside = sender in TAKEN_FOR_PODS[detection] or sender == "the node itself"
    assert seen.targets == ((AT_HERE, AT_THERE) if inside else (AT_HERE,))
    assert seen.masqueraded == (sender == "the node itself")


@pytest.mark.parametrize("mode", ["nftables", "iptables"])
@pytest.mark.parametrize("sender", SENDERS)
def test_masquerade_all_hides_pods_too_on_the_way_to_cluster_ips(mode: str, sender: str) -> None:
    assert fate(mode, sender, CLUSTER_IP, PORT, masquerade_all=True).masqueraded


@pytest.mark.parametrize("mode", ["nftables", "iptables"])
def test_masquerade_all_leaves_policy_local_its_clients(mode: str) -> None:
    assert not fate(mode, "outside", NODE_IP, NODE_PORT, spec=LOCAL, masquerade_all=True).masqueraded_targets


def test_node_cidr_has_to_be_known() -> None:
    with pytest.raises(ValueError, match="NodeCIDR needs the node's pod CIDR"):
        detect_local("NodeCIDR", cluster_cidr="10.0.0.0/16", node_cidr=None, bridge=BRIDGE)
