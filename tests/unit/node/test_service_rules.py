"""The rendered table: which chain an address leads to, what becomes of a packet without an endpoint, when it is masqueraded."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeagent.proxy.ruleset import TABLE, Network, Ruleset, render_ruleset, render_transaction
from nodeagent.proxy.services import read_service_ports

NETWORK = Network(node_ip="10.100.0.2", cluster_cidr="10.0.0.0/16", service_cidr="10.3.240.0/20")
NODE = "node-1"
CLUSTER_IP = "10.3.241.152 . tcp . 80"
NODE_PORT = "tcp . 32213"


def service(**spec: Any) -> dict[str, Any]:
    port = {"name": "http", "port": 80, "nodePort": 32213, "protocol": "TCP"}
    status = spec.pop("status", {})
    metadata = {"name": "web", "namespace": "default", "labels": spec.pop("labels", {})}
    return {"metadata": metadata, "spec": {"clusterIP": "10.3.241.152", "ports": [port], **spec}, "status": status}


def slice_of(*endpoints: tuple[str, str, dict[str, bool]], port: str = "http") -> dict[str, Any]:
    return {
        "metadata": {"name": "web-x", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": port, "port": 8080}],
        "endpoints": [{"addresses": [ip], "nodeName": node, "conditions": conditions} for ip, node, conditions in endpoints],
    }


READY = {"ready": True}
LEAVING = {"ready": False, "serving": True, "terminating": True}
UNREADY = {"ready": False, "serving": False}
HERE, THERE = ("10.0.1.2", NODE, READY), ("10.0.2.2", "node-2", READY)


def rules(*endpoints: tuple[str, str, dict[str, bool]], **spec: Any) -> Ruleset:
    return render_ruleset(read_service_ports([service(**spec)], [slice_of(*endpoints)], NODE), NETWORK)


def chain(ruleset: Ruleset, prefix: str) -> tuple[str, ...]:
    return next(
        rules for name, rules in ruleset.chains.items() if name.startswith(f"{prefix}-") and name.endswith("default/web/tcp/http")
    )


def verdict(ruleset: Ruleset, name: str, key: str) -> str | None:
    return ruleset.elements[name].get(key)


def test_cluster_ip_and_node_port_lead_to_every_ready_endpoint() -> None:
    ruleset = rules(HERE, THERE)
    assert chain(ruleset, "service") == (
        "meta l4proto tcp dnat ip addr . port to numgen random mod 2 map { 0 : 10.0.1.2 . 8080, 1 : 10.0.2.2 . 8080 }",
    )
    assert str(verdict(ruleset, "service-ips", CLUSTER_IP)).startswith("goto service-")
    assert str(verdict(ruleset, "service-nodeports", NODE_PORT)).startswith("goto external-")


def test_traffic_from_outside_by_the_node_port_is_always_masqueraded_with_policy_cluster() -> None:
    assert chain(rules(HERE), "external")[0] == "mark set mark or 0x4000"


def test_only_sources_outside_the_pod_network_are_masqueraded_to_a_cluster_ip() -> None:
    assert rules(HERE).chains["services"][0] == "ip daddr @cluster-ips ip saddr != 10.0.0.0/16 mark set mark or 0x4000"


def test_policy_local_keeps_the_source_and_uses_local_endpoints_for_traffic_from_outside() -> None:
    ruleset = rules(HERE, THERE, externalTrafficPolicy="Local")
    external = chain(ruleset, "external")
    assert external[-1].startswith("goto local-")
    assert "mark set mark or 0x4000" not in external
    assert "10.0.2.2" not in chain(ruleset, "local")[0]


def test_policy_local_sends_pods_and_the_node_itself_to_any_endpoint() -> None:
    external = chain(rules(HERE, THERE, externalTrafficPolicy="Local"), "external")
    assert external[0].startswith("ip saddr 10.0.0.0/16 goto service-")
    assert external[2].startswith("fib saddr type local goto service-")


def test_policy_local_without_local_endpoint_drops_and_does_not_reject() -> None:
    ruleset = rules(THERE, externalTrafficPolicy="Local")
    assert verdict(ruleset, "no-endpoint-nodeports", NODE_PORT) == "drop"
    assert verdict(ruleset, "no-endpoint-services", CLUSTER_IP) is None


@pytest.mark.parametrize("spec", [{}, {"externalTrafficPolicy": "Local"}, {"internalTrafficPolicy": "Local"}])
def test_service_without_any_endpoint_is_rejected_at_every_address(spec: dict[str, Any]) -> None:
    ruleset = rules(("10.0.1.2", NODE, UNREADY), externalIPs=["198.18.0.130"], **spec)
    assert verdict(ruleset, "no-endpoint-services", CLUSTER_IP) == "goto reject-chain"
    assert verdict(ruleset, "no-endpoint-services", "198.18.0.130 . tcp . 80") == "goto reject-chain"
    assert verdict(ruleset, "no-endpoint-nodeports", NODE_PORT) == "goto reject-chain"
    assert not ruleset.elements["service-ips"]
    assert not ruleset.elements["service-nodeports"]


def test_internal_policy_local_without_local_endpoint_drops_at_the_cluster_ip_only() -> None:
    ruleset = rules(THERE, internalTrafficPolicy="Local")
    assert verdict(ruleset, "no-endpoint-services", CLUSTER_IP) == "drop"
    assert str(verdict(ruleset, "service-nodeports", NODE_PORT)).startswith("goto external-")


def test_endpoints_that_leave_but_still_serve_are_used_when_no_ready_one_is_left() -> None:
    leaving = ("10.0.1.3", NODE, LEAVING)
    assert "10.0.1.3" not in chain(rules(THERE, leaving), "service")[0]
    assert "10.0.1.3" in chain(rules(leaving), "service")[0]


def test_local_list_falls_back_by_itself() -> None:
    ruleset = rules(THERE, ("10.0.1.3", NODE, LEAVING), externalTrafficPolicy="Local")
    assert "10.0.1.3" in chain(ruleset, "local")[0]
    assert "10.0.1.3" not in chain(ruleset, "service")[0]


def test_source_ranges_drop_others_before_translation_at_the_load_balancer_address_only() -> None:
    status = {"loadBalancer": {"ingress": [{"ip": "198.18.0.131"}]}}
    ruleset = rules(HERE, loadBalancerSourceRanges=["192.168.0.0/16"], status=status)
    assert chain(ruleset, "firewall") == ("ip saddr != { 192.168.0.0/16 } drop",)
    assert list(ruleset.elements["firewall-ips"]) == ["198.18.0.131 . tcp . 80"]
    assert not rules(HERE, loadBalancerSourceRanges=["0.0.0.0/0"], status=status).elements["firewall-ips"]


def test_affinity_remembers_the_client_for_its_time_out() -> None:
    config = {"clientIP": {"timeoutSeconds": 60}}
    ruleset = rules(HERE, THERE, sessionAffinity="ClientIP", sessionAffinityConfig=config)
    assert len(ruleset.affinity_sets) == 2
    assert chain(ruleset, "service")[0].startswith("ip saddr @affinity-")
    assert chain(ruleset, "service")[-1].startswith("numgen random mod 2 vmap {")


@pytest.mark.parametrize(
    "spec", [{"clusterIP": "None"}, {"type": "ExternalName"}, {"labels": {"service.kubernetes.io/service-proxy-name": "x"}}]
)
def test_service_of_others_or_without_address_has_no_rules(spec: dict[str, Any]) -> None:
    assert not rules(HERE, **spec).elements["service-ips"]


def test_port_is_matched_by_its_name_in_the_slice() -> None:
    ports = read_service_ports([service()], [slice_of(HERE, port="other")], NODE)
    assert not ports[0].usable.anywhere


def test_duplicate_address_counts_once_and_the_one_that_stays_wins() -> None:
    assert chain(rules(("10.0.1.2", NODE, LEAVING), HERE), "service")[0].count("10.0.1.2") == 1


def test_hairpin_of_local_endpoints_is_masqueraded() -> None:
    assert list(rules(HERE, THERE).elements["hairpin-connections"]) == ["10.0.1.2 . 10.0.1.2 . tcp . 8080"]


ENDPOINTS = st.lists(
    st.sampled_from([HERE, THERE, ("10.0.1.3", NODE, LEAVING), ("10.0.2.3", "node-2", UNREADY)]),
    max_size=4,
    unique_by=lambda item: item[0],
)
SPECS = st.sampled_from(
    [{}, {"externalTrafficPolicy": "Local"}, {"sessionAffinity": "ClientIP"}, {"externalIPs": ["198.18.0.130"]}]
)


class Table:
    """What a transaction leaves in the kernel, for the commands that the renderer uses; anything else is a failure."""

    def __init__(self) -> None:
        self.chains: dict[str, list[str]] = {}
        self.elements: dict[str, dict[str, str]] = {}
        self.sets: set[str] = set()

    def apply(self, transaction: str) -> None:
        for line in transaction.splitlines():
            verb, kind, rest = line.split(" ", 2)
            rest = rest.removeprefix(f"{TABLE}").strip()
            name, _, body = rest.partition(" ")
            match verb, kind:
                case "add" | "delete", "table":
                    self.__init__()  # type: ignore[misc]
                case "add", "chain":
                    self.chains.setdefault(name, [])
                case "flush", "chain":
                    self.chains[name].clear()
                case "delete", "chain":
                    assert not self.chains.pop(name), f"{name} is deleted with rules in it"
                case "add", "rule":
                    self.chains[name].append(body)
                case "add", "map" | "set":
                    self.sets.add(name)
                    self.elements.setdefault(name, {})
                case "delete", "set":
                    self.sets.remove(name)
                case "add", "element":
                    items = [item.strip().partition(" : ") for item in body.strip("{ }").split(", ")]
                    self.elements[name].update({key: value for key, _, value in items})
                case "delete", "element":
                    for key in body.strip("{ }").split(", "):
                        del self.elements[name][key.strip()]
                case _:
                    raise AssertionError(f"unknown command: {line}")


@given(ENDPOINTS, SPECS, ENDPOINTS, SPECS)
def test_any_change_leaves_the_same_table_as_a_fresh_start(
    before: list[Any], old_spec: dict[str, Any], after: list[Any], new_spec: dict[str, Any]
) -> None:
    first, second = rules(*before, **old_spec), rules(*after, **new_spec)
    changed, fresh = Table(), Table()
    changed.apply(render_transaction(None, first))
    changed.apply(render_transaction(first, second))
    fresh.apply(render_transaction(None, second))
    assert changed.chains == fresh.chains
    named = {name for name, items in (*changed.elements.items(), *fresh.elements.items()) if not name.startswith("affinity-")}
    assert {name: changed.elements[name] for name in named} == {name: fresh.elements[name] for name in named}
    assert changed.sets == fresh.sets


def test_what_has_not_changed_is_not_sent() -> None:
    ruleset = rules(HERE, THERE)
    assert render_transaction(ruleset, ruleset) == ""
