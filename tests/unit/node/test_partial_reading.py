"""Only what changed is read and rendered again, and what comes of it is what reading and rendering everything gives."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from node_iptables_model import Kernel
from node_world import IPTABLES_NETWORK, NETWORK, NODE, service, slice_of

from nodeagent.proxy.iptables.chains import TablesRenderer
from nodeagent.proxy.iptables.writer import IptablesRules
from nodeagent.proxy.ruleset import RulesetRenderer, render_ruleset
from nodeagent.proxy.services import ServicePortReader, read_service_ports

NAMES = ("api", "db", "web")
HTTP = {"name": "http", "port": 80, "nodePort": 32213, "protocol": "TCP"}
HTTPS = {"name": "https", "port": 443, "nodePort": 32214, "protocol": "TCP"}


class Cluster:
    """What a watch keeps: objects by name, each replaced as a whole, in the order in which they came."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.services: dict[str, Any] = {}
        self.slices: dict[str, Any] = {}

    def step(self) -> None:
        """One event of a watch."""
        name = self._random.choice(NAMES)
        match self._random.randrange(6):
            case 0:
                self.services.pop(name, None)
            case 1:
                self.slices.pop(f"{name}-{self._random.randrange(2)}", None)
            case 2 | 3:
                spec = self._random.choice([{}, {"externalTrafficPolicy": "Local"}, {"sessionAffinity": "ClientIP"}])
                ports = self._random.choice([[HTTP], [HTTPS], [HTTPS, HTTP]])
                self.services[name] = service(name=name, clusterIP=f"10.3.241.{NAMES.index(name)}", ports=ports, **spec)
            case _:
                hosts = self._random.sample(range(2, 5), k=self._random.randrange(3))
                endpoints = [(f"10.0.1.{host}", NODE, {"ready": self._random.random() < 0.8}) for host in hosts]
                # One in five moves to another Service, as a changed label has it.
                owner = self._random.choice(NAMES) if self._random.random() < 0.2 else name
                self.slices[f"{name}-{self._random.randrange(2)}"] = slice_of(*endpoints, name=owner)


@pytest.mark.parametrize("seed", range(20))
def test_after_every_event_the_ports_and_the_kernel_are_as_after_a_fresh_start(seed: int) -> None:
    cluster, reader, changed, renderer = Cluster(seed), ServicePortReader(NODE), Kernel(), RulesetRenderer()
    writer = IptablesRules(IPTABLES_NETWORK, changed)
    for _ in range(40):
        cluster.step()
        services, slices = tuple(cluster.services.values()), tuple(cluster.slices.values())
        ports = reader.read(services, slices)
        assert ports == read_service_ports(services, slices, NODE)
        assert [port.key for port in ports] == sorted(port.key for port in ports)
        writer.sync(ports)
        fresh = Kernel()
        IptablesRules(IPTABLES_NETWORK, fresh).sync(ports)
        assert changed.ours() == fresh.ours()
        assert renderer.render(ports, NETWORK) == render_ruleset(ports, NETWORK)


def test_services_that_come_and_go_are_noticed_in_a_list_that_is_changed_in_place() -> None:
    services, reader = [service(name="api", clusterIP="10.3.241.1")], ServicePortReader(NODE)
    assert [port.name for port in reader.read(services, [])] == ["api"]
    services.append(service(name="db", clusterIP="10.3.241.2"))
    assert [port.name for port in reader.read(services, [])] == ["api", "db"]
    services.clear()
    assert reader.read(services, []) == ()


def test_an_endpoints_change_leaves_everything_else_the_very_same() -> None:
    services = [service(name=name, clusterIP=f"10.3.241.{number}") for number, name in enumerate(NAMES)]
    slices = [slice_of(("10.0.1.2", NODE, {"ready": True}), name=name) for name in NAMES]
    reader, renderer = ServicePortReader(NODE), TablesRenderer(IPTABLES_NETWORK)
    before = reader.read(services, slices)
    tables = renderer.render(before, None)
    slices[1] = slice_of(("10.0.1.3", NODE, {"ready": True}), name="db")
    after = reader.read(services, slices)
    assert [new is old for new, old in zip(after, before, strict=True)] == [True, False, True]
    changed = renderer.render(after, None)
    assert changed.shared is tables.shared
    assert [changed.ports[name] is rules for name, rules in tables.ports.items()] == [True, False, True]


def test_another_network_is_rendered_anew_in_nftables_mode() -> None:
    renderer = RulesetRenderer()
    ports = read_service_ports([service(externalTrafficPolicy="Local")], [slice_of(("10.0.1.2", NODE, {"ready": True}))], NODE)
    renderer.render(ports, NETWORK)
    other = dataclasses.replace(NETWORK, local_pods=None, node_port_ips=None)
    assert renderer.render(ports, other) == render_ruleset(ports, other)


def test_a_port_that_adds_something_else_changes_the_shared_chains() -> None:
    renderer = TablesRenderer(IPTABLES_NETWORK)
    slices = [slice_of(("10.0.1.2", NODE, {"ready": True}), name="api")]
    one = renderer.render(read_service_ports([service(name="api", ports=[HTTP])], slices, NODE), None)
    two = renderer.render(read_service_ports([service(name="api", ports=[HTTPS])], slices, NODE), None)
    assert "--dport 443" in "".join(two.shared["filter"]["KUBE-SERVICES"])
    assert one.shared != two.shared


def test_a_cluster_that_grows_large_loses_the_comments_of_all_its_services_and_gets_them_back() -> None:
    services = [service(name=name, clusterIP=f"10.3.241.{number}") for number, name in enumerate(NAMES)]
    small = [slice_of(("10.0.1.2", NODE, {"ready": True}), name=name) for name in NAMES]
    many = [(f"10.0.{2 + number // 250}.{number % 250}", "node-2", {"ready": True}) for number in range(1000)]
    reader, renderer = ServicePortReader(NODE), TablesRenderer(IPTABLES_NETWORK)
    commented = []
    for slices in (small, [*small[:2], slice_of(*many, name="web")], small):
        tables = renderer.render(reader.read(services, slices), None)
        commented.append(
            ["--comment" in "".join(rule for rules in port.own.values() for rule in rules) for port in tables.ports.values()]
        )
    assert commented == [[True] * 3, [False] * 3, [True] * 3]
