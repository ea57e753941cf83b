"""The rendered table as text, and the transactions between its states."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from node_nft_model import NftModel, Refused
from node_world import (
    AFFINITY,
    CLUSTER_IP,
    EXTERNAL_IP,
    HERE,
    INTERNAL_LOCAL,
    LEAVING,
    LOAD_BALANCER_IP,
    LOCAL,
    NETWORK,
    NODE,
    THERE,
    UNREADY,
    rules,
    service,
    slice_of,
)

from nodeagent.proxy.nftables import NftablesRules
from nodeagent.proxy.ruleset import TABLE, Ruleset, render_ruleset
from nodeagent.proxy.services import read_service_ports
from nodeagent.proxy.transaction import render_transaction

WEB = "SUSTUHLJ-default/web/tcp/http"
"""As kube-proxy names it: the first 8 characters of base32(sha256(...)), then what was hashed."""


def test_one_service_reads_as_kube_proxy_would_write_it() -> None:
    empty, ruleset = render_ruleset([], NETWORK), rules(HERE, THERE)
    assert {name: text for name, text in ruleset.chains.items() if name not in empty.chains} == {
        f"external-{WEB}": ("mark set mark or 0x4000", f"goto service-{WEB}"),
        f"service-{WEB}": (
            "meta l4proto tcp dnat ip addr . port to numgen random mod 2 map { 0 : 10.0.1.2 . 8080, 1 : 10.0.2.2 . 8080 }",
        ),
    }
    assert {name: items for name, items in ruleset.elements.items() if items} == {
        "service-ips": {f"{CLUSTER_IP} . tcp . 80": f"goto service-{WEB}"},
        "service-nodeports": {"tcp . 32213": f"goto external-{WEB}"},
        "cluster-ips": {CLUSTER_IP: ""},
        "nodeport-ips": {"10.100.0.2": ""},
        "hairpin-connections": {"10.0.1.2 . 10.0.1.2 . tcp . 8080": ""},
    }


def test_what_leads_to_all_services_reads_as_kube_proxy_would_write_it() -> None:
    """The mark is taken off where it has been acted upon, so that nobody behind takes it for a sign of his own."""
    services, nodeports = "ip daddr . meta l4proto . th dport vmap", "ip daddr @nodeport-ips meta l4proto . th dport vmap"
    assert render_ruleset([], NETWORK).chains == {
        "filter-prerouting-pre-dnat": ("ct state new jump firewall-check",),
        "filter-output-pre-dnat": ("ct state new jump firewall-check",),
        "filter-input": ("ct state new jump nodeport-endpoints-check", "ct state new jump service-endpoints-check"),
        "filter-forward": ("ct state new jump service-endpoints-check", "ct state new jump cluster-ips-check"),
        "filter-output": ("ct state new jump service-endpoints-check", "ct state new jump cluster-ips-check"),
        "nat-prerouting": ("jump services",),
        "nat-output": ("jump services",),
        "nat-postrouting": ("jump masquerading",),
        "firewall-check": (f"{services} @firewall-ips",),
        "service-endpoints-check": (f"{services} @no-endpoint-services",),
        "nodeport-endpoints-check": (f"{nodeports} @no-endpoint-nodeports",),
        "cluster-ips-check": ("ip daddr @cluster-ips reject", "ip daddr { 10.3.240.0/20 } drop"),
        "services": (
            "ip daddr @cluster-ips ip saddr != 10.0.0.0/16 mark set mark or 0x4000",
            f"{services} @service-ips",
            f"{nodeports} @service-nodeports",
        ),
        "masquerading": (
            "mark and 0x4000 != 0 mark set mark xor 0x4000 masquerade fully-random",
            "ct status dnat ip saddr . ip daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random",
        ),
        "reject-chain": ("reject",),
    }


def test_policy_local_reads_as_kube_proxy_would_write_it() -> None:
    ruleset = rules(HERE, THERE, **LOCAL)
    short_circuit = (
        f"ip saddr 10.0.0.0/16 goto service-{WEB}",
        "fib saddr type local mark set mark or 0x4000",
        f"fib saddr type local goto service-{WEB}",
    )
    assert ruleset.chains[f"external-{WEB}"] == (*short_circuit, f"goto local-{WEB}")
    assert rules(THERE, **LOCAL).chains[f"external-{WEB}"] == short_circuit


def test_source_ranges_read_as_kube_proxy_would_write_them() -> None:
    spec = {"loadBalancerSourceRanges": ["10.100.0.0/24"], "status": {"loadBalancer": {"ingress": [{"ip": LOAD_BALANCER_IP}]}}}
    ruleset = rules(HERE, **spec)
    assert ruleset.elements["firewall-ips"] == {f"{LOAD_BALANCER_IP} . tcp . 80": f"goto firewall-{WEB}"}
    assert ruleset.chains[f"firewall-{WEB}"] == (f"ip saddr != {{ 10.100.0.0/24, {LOAD_BALANCER_IP} }} drop",)


def test_affinity_goes_first_where_the_client_has_been_and_refreshes_that() -> None:
    ruleset = rules(HERE, **AFFINITY)
    own = "default/web/tcp/http__10.0.1.2/8080"
    endpoint = f"{base64.b32encode(hashlib.sha256(own.encode()).digest()).decode()[:8]}-{own}"
    assert ruleset.affinity_sets == {f"affinity-{endpoint}"}
    assert ruleset.chains[f"service-{WEB}"] == (
        f"ip saddr @affinity-{endpoint} goto endpoint-{endpoint}",
        f"numgen random mod 1 vmap {{ 0 : goto endpoint-{endpoint} }}",
    )
    assert ruleset.chains[f"endpoint-{endpoint}"] == (
        f"update @affinity-{endpoint} {{ ip saddr timeout 60s }}",
        "meta l4proto tcp dnat to 10.0.1.2:8080",
    )


@pytest.mark.parametrize(
    ("config", "timeout_s"),
    [
        ({}, 10800),
        ({"sessionAffinityConfig": {"clientIP": {}}}, 10800),
        ({"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}}, 5),
    ],
)
def test_affinity_lasts_three_hours_unless_told_otherwise(config: dict[str, Any], timeout_s: int) -> None:
    (port,) = read_service_ports([service(sessionAffinity="ClientIP", **config)], [], NODE)
    assert port.affinity_s == timeout_s


def test_service_without_affinity_keeps_no_memory() -> None:
    ruleset = rules(HERE, sessionAffinity="None", sessionAffinityConfig=AFFINITY["sessionAffinityConfig"])
    assert ruleset.affinity_sets == frozenset()


def test_order_of_objects_does_not_matter() -> None:
    objects = [service(name="a"), service(name="b", clusterIP="10.3.241.153")]
    parts = [slice_of(HERE, THERE, name="a"), slice_of(THERE, HERE, name="b")]
    swapped = [slice_of(THERE, HERE, name="a"), slice_of(HERE, THERE, name="b")]
    forward = render_ruleset(read_service_ports(objects, parts, NODE), NETWORK)
    backward = render_ruleset(read_service_ports(objects[::-1], swapped[::-1], NODE), NETWORK)
    assert render_transaction(None, forward) == render_transaction(None, backward)


def test_what_has_not_changed_is_not_sent() -> None:
    ruleset = rules(HERE, THERE, **AFFINITY)
    assert render_transaction(ruleset, rules(THERE, HERE, **AFFINITY)) == ""


def test_only_what_has_changed_is_sent() -> None:
    """An endpoint on another node leaves: one chain is rewritten, nothing else is touched."""
    assert render_transaction(rules(HERE, THERE), rules(HERE)).splitlines() == [
        f"flush chain {TABLE} service-{WEB}",
        f"add rule {TABLE} service-{WEB} meta l4proto tcp dnat ip addr . port to numgen random mod 1 map {{ 0 : 10.0.1.2 . 8080 }}",
    ]


def test_first_transaction_replaces_what_an_earlier_life_left() -> None:
    assert render_transaction(None, rules()).splitlines()[:3] == [
        f"add table {TABLE}",
        f"delete table {TABLE}",
        f"add table {TABLE}",
    ]


ENDPOINTS = st.lists(
    st.sampled_from([HERE, THERE, ("10.0.1.3", NODE, LEAVING), ("10.0.2.3", "node-2", UNREADY), ("10.0.2.4", "node-2", {})]),
    max_size=4,
    unique_by=lambda item: item[0],
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "externalTrafficPolicy": st.just("Local"),
        "internalTrafficPolicy": st.just(INTERNAL_LOCAL["internalTrafficPolicy"]),
        "externalIPs": st.just([EXTERNAL_IP]),
        "status": st.just({"loadBalancer": {"ingress": [{"ip": LOAD_BALANCER_IP}]}}),
        "loadBalancerSourceRanges": st.lists(st.sampled_from(["192.168.0.0/16", "10.100.0.0/24", "0.0.0.0/0"]), max_size=2),
        "sessionAffinity": st.just("ClientIP"),
        "sessionAffinityConfig": st.sampled_from([{"clientIP": {"timeoutSeconds": seconds}} for seconds in (5, 60)]),
        "type": st.just("ExternalName"),
    },
)


@st.composite
def rulesets(draw: st.DrawFn) -> Ruleset:
    """Of up to two services; the second has a port without a name and none on the nodes."""
    services, slices = [], []
    if draw(st.booleans()):
        services.append(service(**draw(SPECS)))
        slices.append(slice_of(*draw(ENDPOINTS)))
    if draw(st.booleans()):
        plain = draw(SPECS) | {"externalIPs": [], "status": {}}
        services.append(service(name="plain", clusterIP="10.3.241.153", ports=[{"port": 53, "protocol": "UDP"}], **plain))
        slices.append(slice_of(*draw(ENDPOINTS), name="plain", ports={"": 5353}, protocol="UDP"))
    return render_ruleset(read_service_ports(services, slices, NODE), NETWORK)


@given(st.lists(rulesets(), min_size=1, max_size=4))
def test_any_history_leaves_the_same_table_as_a_fresh_start(history: list[Ruleset]) -> None:
    changed, fresh = NftModel(), NftModel()
    for before, after in zip([None, *history], history, strict=False):
        changed.apply(render_transaction(before, after))
    fresh.apply(render_transaction(None, history[-1]))
    assert changed.state() == fresh.state()


@given(rulesets(), rulesets())
def test_full_resync_over_any_state_leaves_the_same_table_as_a_fresh_start(before: Ruleset, after: Ruleset) -> None:
    changed, fresh = NftModel(), NftModel()
    changed.apply(render_transaction(None, before))
    changed.apply(render_transaction(None, after))
    fresh.apply(render_transaction(None, after))
    assert changed.state() == fresh.state()


def test_table_that_somebody_deleted_stays_away_until_a_change_has_failed() -> None:
    """Nobody watches it (pkg/proxy/nftables); the sync behind the failure writes it whole."""
    kernel, fresh = NftModel(), NftModel()
    rules = NftablesRules(NETWORK, kernel)
    alone, both = (read_service_ports([service()], [slice_of(*endpoints)], NODE) for endpoints in ((HERE,), (HERE, THERE)))
    rules.sync(alone)
    kernel.apply(f"delete table {TABLE}")
    rules.sync(alone)
    assert not kernel.exists
    with pytest.raises(Refused):
        rules.sync(both)
    rules.sync(both)
    NftablesRules(NETWORK, fresh).sync(both)
    assert kernel.state() == fresh.state()


@pytest.mark.parametrize(
    "command",
    [
        f"delete chain {TABLE} service-{WEB}",
        f"delete set {TABLE} cluster-ips",
        f"add element {TABLE} service-nodeports {{ tcp . 32213 : drop }}",
        f"add element {TABLE} service-nodeports {{ tcp . 1 : goto nowhere }}",
        f"delete element {TABLE} cluster-ips {{ 192.0.2.1 }}",
        f"add rule {TABLE} services goto nowhere",
        f"add rule {TABLE} nowhere drop",
        f"add set {TABLE} cluster-ips {{ type inet_proto; }}",
        f"rename chain {TABLE} services others",
    ],
)
def test_model_refuses_what_the_kernel_would(command: str) -> None:
    model = NftModel()
    model.apply(render_transaction(None, rules(HERE)))
    with pytest.raises(Refused):
        model.apply(command)
