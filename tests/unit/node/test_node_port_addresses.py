"""At which addresses of the node node ports are: kube-proxy's `--nodeport-addresses`, in both modes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from node_iptables_model import Kernel
from node_world import (
    BRIDGE_IP,
    CLIENT,
    CLUSTER_IP,
    HERE,
    LOCAL,
    MODES,
    NETWORKS,
    NODE,
    NODE_IP,
    NODE_PORT,
    POD,
    PORT,
    THERE,
    Endpoint,
    service,
    slice_of,
    trace,
)

from nodeagent.proxy.iptables.chains import LAST
from nodeagent.proxy.iptables.writer import IptablesRules
from nodeagent.proxy.nftables import NftablesRules
from nodeagent.proxy.node_ports import NodePortAddresses, read_node_port_networks
from nodeagent.proxy.ruleset import SETS, TABLE, Ruleset, render_ruleset
from nodeagent.proxy.services import ServicePort, read_service_ports
from nodeagent.proxy.transaction import render_transaction
from nodeagent.settings import Settings, SettingsError, read_settings

LOOPBACK = "127.0.0.1"
ADDRESSES = (LOOPBACK, NODE_IP, BRIDGE_IP)


def ports(*endpoints: Endpoint, **spec: Any) -> tuple[ServicePort, ...]:
    return read_service_ports([service(**spec)], [slice_of(*endpoints)], NODE)


def chosen(setting: Any, mode: str, addresses: Iterable[str] = ADDRESSES) -> tuple[str, ...] | None:
    networks = read_node_port_networks(setting, mode)
    return NodePortAddresses(node_ip=NODE_IP, networks=networks, read=lambda: addresses).now()


def served(setting: Any, mode: str, *endpoints: Endpoint, **spec: Any) -> dict[str, str]:
    """What becomes of packets to the node port at each address; to the loopback address the node itself sends them."""
    network = dataclasses.replace(NETWORKS[mode], node_port_ips=chosen(setting, mode))
    tracer = trace(mode, ports(*endpoints, **spec), network=network)
    senders = {address: LOOPBACK if address == LOOPBACK else CLIENT for address in ADDRESSES}
    fates = {
        address: tracer.packet(sender, address, "tcp", NODE_PORT, from_node_itself=sender == LOOPBACK)
        for address, sender in senders.items()
    }
    return {address: fate.verdict for address, fate in fates.items()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("setting", "at"),
    [
        ("primary", {NODE_IP}),
        ("all", {NODE_IP, BRIDGE_IP, LOOPBACK}),
        (["0.0.0.0/0"], {NODE_IP, BRIDGE_IP, LOOPBACK}),
        (["10.100.0.0/24", "0.0.0.0/0"], {NODE_IP, BRIDGE_IP, LOOPBACK}),
        (["10.100.0.0/24"], {NODE_IP}),
        (["10.0.0.0/16"], {BRIDGE_IP}),
        (["10.0.0.0/8"], {NODE_IP, BRIDGE_IP}),
        (["10.100.0.3/32", "10.0.1.1/32"], {BRIDGE_IP}),
        (["127.0.0.0/8", "10.100.0.0/24"], {NODE_IP, LOOPBACK}),
        (["192.0.2.0/24"], set()),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),  # workers must name them alike
)
def test_node_ports_are_at_the_nodes_addresses_that_are_named(mode: str, setting: Any, at: set[str]) -> None:
    """At a loopback address in iptables mode alone."""
    at = at - {LOOPBACK} if mode == "nftables" else at
    assert served(setting, mode, HERE, THERE) == {address: "dnat" if address in at else "accept" for address in ADDRESSES}


@pytest.mark.parametrize("mode", MODES)
def test_everywhere_is_at_every_address_of_this_node_and_not_on_the_way_to_another(mode: str) -> None:
    tracer = trace(mode, ports(HERE), network=dataclasses.replace(NETWORKS[mode], node_port_ips=None))
    assert tracer.packet(CLIENT, BRIDGE_IP, "tcp", NODE_PORT).verdict == "dnat"
    assert tracer.packet(CLIENT, "10.100.0.3", "tcp", NODE_PORT).verdict == "accept"


@pytest.mark.parametrize(("mode", "default"), [("nftables", "primary"), ("iptables", "all")])
def test_each_mode_has_its_own_default(mode: str, default: str) -> None:
    assert read_node_port_networks(None, mode) == read_node_port_networks(default, mode)


@pytest.mark.parametrize("spec", [{}, LOCAL], ids=["no endpoint", "no local endpoint"])
def test_a_node_port_that_cannot_be_served_is_refused_where_it_would_be_served_in_nftables_mode(spec: dict[str, Any]) -> None:
    """In iptables mode it is refused at every address of the node, whatever the setting (pkg/proxy/iptables)."""
    endpoints = (THERE,) if spec else ()
    refused = "drop" if spec else "reject"
    assert served(["10.0.0.0/16"], "nftables", *endpoints, **spec) == {
        LOOPBACK: "accept",
        NODE_IP: "accept",
        BRIDGE_IP: refused,
    }
    assert {served(["10.0.0.0/16"], "iptables", *endpoints, **spec)[address] for address in (NODE_IP, BRIDGE_IP)} == {refused}


@pytest.mark.parametrize("mode", MODES)
def test_addresses_of_services_are_served_whatever_the_nodes_are(mode: str) -> None:
    network = dataclasses.replace(NETWORKS[mode], node_port_ips=())
    assert trace(mode, ports(HERE), network=network).packet(POD, CLUSTER_IP, "tcp", PORT).verdict == "dnat"


@pytest.mark.parametrize("setting", ["every", "10.0.0.0/8", ["10.0.0.1/8"], ["here"]], ids=str)
def test_what_is_neither_a_name_nor_networks_is_refused(setting: Any) -> None:
    with pytest.raises(ValueError, match=r"allowed: primary, all, or a list of networks|has host bits set|Expected 4 octets"):
        read_node_port_networks(setting, "nftables")


def settings(tmp_path: Path, setting: Any) -> Settings:
    proxy = {"mode": "nftables", "node_port_addresses": setting, "min_sync_period_s": 1.0, "sync_period_s": 30.0}
    kubelet = {"lease_renew_s": 10.0, "lease_duration_s": 40, "status_update_s": 10.0}
    names = {"node": NODE, "internal_ip": NODE_IP, "api_url": "https://10.100.0.5:6443", "token": "t"}
    networks = {"cluster_cidr": "10.0.0.0/16", "service_cidr": "10.3.240.0/20"}
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"settings": {**names, **networks, "kube_proxy": proxy, "kubelet": kubelet}}))
    return read_settings(file)


@pytest.mark.parametrize(("setting", "networks"), [(None, None), (["10.0.0.0/8"], (IPv4Network("10.0.0.0/8"),))], ids=str)
def test_setting_of_the_node_is_read(tmp_path: Path, setting: Any, networks: Any) -> None:
    assert settings(tmp_path, setting).node_port_networks == networks


@pytest.mark.parametrize("setting", ["every", ["10.0.0.1/8"], 5], ids=str)
def test_setting_of_the_node_that_cannot_be_read_names_its_key(tmp_path: Path, setting: Any) -> None:
    with pytest.raises(SettingsError, match=r"^settings\.kube_proxy\.node_port_addresses: "):
        settings(tmp_path, setting)


def test_only_networks_wait_for_the_nodes_addresses() -> None:
    def depend(setting: Any) -> bool:
        return NodePortAddresses(node_ip=NODE_IP, networks=read_node_port_networks(setting, "iptables")).depend_on_interfaces

    assert [depend(item) for item in (None, "all", "primary", ["10.0.0.0/8"])] == [False, False, False, True]


def test_the_set_of_addresses_is_not_there_where_every_one_is_meant() -> None:
    everywhere = dataclasses.replace(NETWORKS["nftables"], node_port_ips=None)
    tables = [render_transaction(None, render_ruleset((), network)) for network in (NETWORKS["nftables"], everywhere)]
    assert [f"add set {TABLE} nodeport-ips {{ type {SETS['nodeport-ips']}; }}" in text.splitlines() for text in tables] == [
        True,
        False,
    ]
    assert "@nodeport-ips" not in tables[1]


class Transactions:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def apply(self, transaction: str) -> None:
        self.texts.append(transaction)


def test_addresses_are_looked_for_at_every_full_sync_in_nftables_mode() -> None:
    """A new one is found by the next start, or after a failure; a change of a Service looks for none."""
    addresses = [NODE_IP]
    where = NodePortAddresses(node_ip=NODE_IP, networks=(IPv4Network("10.0.0.0/8"),), read=lambda: tuple(addresses))
    kernel = Transactions()

    def start() -> NftablesRules:
        return NftablesRules(NETWORKS["nftables"], kernel, node_port_ips=where.now)

    rules = start()
    rules.sync(ports(HERE))
    addresses.append(BRIDGE_IP)
    rules.sync(ports(HERE, THERE))
    assert not any(BRIDGE_IP in text for text in kernel.texts)
    start().sync(ports(HERE))
    assert f"add element {TABLE} nodeport-ips {{ {BRIDGE_IP}, {NODE_IP} }}" in kernel.texts[-1].splitlines()


def test_addresses_are_looked_for_at_every_sync_in_iptables_mode() -> None:
    addresses = [NODE_IP]
    where = NodePortAddresses(node_ip=NODE_IP, networks=(IPv4Network("10.0.0.0/8"),), read=lambda: tuple(addresses))
    kernel = Kernel()
    rules = IptablesRules(NETWORKS["iptables"], kernel, node_port_ips=where.now)
    for found in ((NODE_IP,), (BRIDGE_IP, NODE_IP)):
        addresses[:] = found
        rules.sync(ports(HERE))
        assert kernel.chains["nat"]["KUBE-SERVICES"][1:] == [f"-d {address}/32 {LAST} -j KUBE-NODEPORTS" for address in found]


def test_what_cannot_be_read_leaves_no_address() -> None:
    assert chosen(["10.0.0.0/8"], "nftables", ()) == ()
    empty = render_ruleset((), dataclasses.replace(NETWORKS["nftables"], node_port_ips=()))
    assert isinstance(empty, Ruleset)
    assert empty.elements["nodeport-ips"] == {}
