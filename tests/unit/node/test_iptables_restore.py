"""What iptables-restore is told: little for a change, everything over what an earlier life left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from node_iptables_model import Kernel
from node_world import ALL_ADDRESSES, HERE, IPTABLES_NETWORK, LOCAL, NODE, THERE, service, slice_of

from nodeagent.proxy.iptables.chains import CANARY, JUMPS, Tables, render_tables
from nodeagent.proxy.iptables.restore import PORTION, render_full, render_partial
from nodeagent.proxy.iptables.writer import IptablesRules, tracking_is_liberal
from nodeagent.proxy.rules import RulesError
from nodeagent.proxy.services import ServicePort, read_service_ports


def ports(*endpoints: Any, **spec: Any) -> tuple[ServicePort, ...]:
    return read_service_ports([service(**spec)], [slice_of(*endpoints)], NODE)


def tables(*endpoints: Any, **spec: Any) -> Tables:
    return render_tables(ports(*endpoints, **spec), IPTABLES_NETWORK)


TO_SERVICES = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'

STATES: dict[str, tuple[ServicePort, ...]] = {
    "both": ports(HERE, THERE, **ALL_ADDRESSES),
    "one": ports(HERE, **ALL_ADDRESSES),
    "none": ports(**ALL_ADDRESSES),
    "local": ports(HERE, THERE, **LOCAL, **ALL_ADDRESSES),
    "cluster IP only": ports(HERE, THERE),
    "no service": (),
}


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
def test_from_any_state_to_any_other_the_kernel_has_what_a_fresh_start_gives(before: str, after: str) -> None:
    changed, fresh = Kernel(), Kernel()
    writer = IptablesRules(IPTABLES_NETWORK, changed)
    writer.sync(STATES[before])
    writer.sync(STATES[after])
    IptablesRules(IPTABLES_NETWORK, fresh).sync(STATES[after])
    assert changed.ours() == fresh.ours()


@pytest.mark.parametrize("before", STATES)
def test_a_new_life_clears_what_an_earlier_one_left(before: str) -> None:
    kernel, fresh = Kernel(), Kernel()
    IptablesRules(IPTABLES_NETWORK, kernel).sync(STATES[before])
    IptablesRules(IPTABLES_NETWORK, kernel).sync(STATES["both"])
    IptablesRules(IPTABLES_NETWORK, fresh).sync(STATES["both"])
    assert kernel.ours() == fresh.ours()


def test_chains_of_others_are_not_touched() -> None:
    kernel = Kernel()
    kernel.chains["nat"] |= {"CNI-HOSTPORT-DNAT": ["-p tcp -j RETURN"], "PREROUTING": ["-j RETURN"]}
    IptablesRules(IPTABLES_NETWORK, kernel).sync(STATES["both"])
    assert kernel.chains["nat"]["CNI-HOSTPORT-DNAT"] == ["-p tcp -j RETURN"]
    assert kernel.chains["nat"]["PREROUTING"] == [TO_SERVICES, "-j RETURN"]


def test_a_change_writes_the_changed_service_and_the_shared_chains_only() -> None:
    services = [service(name=f"web-{index}", clusterIP=f"10.3.241.{index}") for index in range(1, 4)]
    for item in services:
        item["spec"]["ports"][0].pop("nodePort")
    slices = [slice_of(HERE, name=f"web-{index}") for index in range(1, 4)]
    kernel = Kernel()
    writer = IptablesRules(IPTABLES_NETWORK, kernel)
    writer.sync(read_service_ports(services, slices, NODE))
    writer.sync(read_service_ports(services, [slice_of(HERE, THERE, name="web-1"), *slices[1:]], NODE))
    written = {line.split()[0][1:] for line in kernel.texts[-1].splitlines() if line.startswith(":KUBE-S")}
    assert len([name for name in written if name.startswith("KUBE-SVC-")]) == 1
    assert "KUBE-SERVICES" in written


@pytest.mark.parametrize(("sysctl", "drops"), [("0\n", True), ("1\n", False), (None, True)])
def test_what_tracking_calls_invalid_is_dropped_unless_tracking_is_liberal(
    tmp_path: Path, sysctl: str | None, drops: bool
) -> None:
    file = tmp_path / "nf_conntrack_tcp_be_liberal"
    if sysctl is not None:
        file.write_text(sysctl)
    kernel = Kernel()
    IptablesRules(IPTABLES_NETWORK, kernel, drops_invalid=not tracking_is_liberal(file)).sync(STATES["both"])
    assert ("-m conntrack --ctstate INVALID -j DROP" in kernel.chains["filter"]["KUBE-FORWARD"]) is drops


def test_nothing_new_writes_nothing() -> None:
    kernel = Kernel()
    writer = IptablesRules(IPTABLES_NETWORK, kernel)
    writer.sync(STATES["both"])
    writer.sync(STATES["both"])
    assert len(kernel.texts) == 1


def test_in_a_large_cluster_an_endpoints_change_spares_the_shared_chains() -> None:
    many = [(f"10.0.{index // 250}.{index % 250}", "node-2", {"ready": True}) for index in range(1001)]
    text = render_partial(tables(*many), tables(*many[1:], ("10.0.9.9", "node-2", {"ready": True})))
    assert ":KUBE-SERVICES " not in text
    assert "*filter" not in text
    small = render_partial(tables(HERE), tables(HERE, THERE))
    assert ":KUBE-SERVICES " in small


def test_many_services_are_written_in_portions_that_lead_to_nothing_missing() -> None:
    count = 2 * PORTION + 3
    services = [service(name=f"web-{index}", clusterIP=f"10.3.241.{index}") for index in range(1, count)]
    for item in services:
        item["spec"]["ports"][0].pop("nodePort")
    slices = [slice_of(HERE, THERE, name=f"web-{index}") for index in range(1, count)]
    kernel = Kernel()
    IptablesRules(IPTABLES_NETWORK, kernel).sync(read_service_ports(services, slices, NODE))
    assert kernel.texts[0].count("*nat") == 4


def test_what_failed_is_written_again_as_a_whole() -> None:
    kernel, fresh = Kernel(), Kernel()
    writer = IptablesRules(IPTABLES_NETWORK, kernel)
    writer.sync(STATES["one"])
    kernel.fails = True
    with pytest.raises(RulesError):
        writer.sync(STATES["local"])
    kernel.fails = False
    writer.sync(STATES["local"])
    IptablesRules(IPTABLES_NETWORK, fresh).sync(STATES["local"])
    assert kernel.ours() == fresh.ours()


def test_a_table_that_somebody_flushed_is_missed_by_its_canary() -> None:
    kernel = Kernel()
    writer = IptablesRules(IPTABLES_NETWORK, kernel)
    writer.sync(STATES["both"])
    assert writer.is_intact()
    kernel.chains["nat"] = {"PREROUTING": [], "OUTPUT": [], "POSTROUTING": []}
    assert not writer.is_intact()
    writer.sync(STATES["both"])
    assert CANARY in kernel.chains["nat"]
    assert kernel.chains["nat"]["PREROUTING"] == [TO_SERVICES]


def test_jumps_stand_in_their_order_before_whatever_was_there() -> None:
    kernel = Kernel()
    kernel.chains["nat"]["PREROUTING"] = ["-j CNI-HOSTPORT-DNAT"]
    kernel.restore(render_full(tables(HERE), kernel.save()))
    assert kernel.chains["nat"]["PREROUTING"] == [TO_SERVICES, "-j CNI-HOSTPORT-DNAT"]
    assert kernel.chains["filter"]["FORWARD"] == [rule for chain, rule in JUMPS["filter"] if chain == "FORWARD"]


def test_jumps_are_made_once() -> None:
    desired = tables(HERE)
    text = render_full(desired, {})
    assert text.count(f"-I PREROUTING {TO_SERVICES}") == 1
    there = {table: "".join(f"-A {chain} {rule}\n" for chain, rule in jumps) for table, jumps in JUMPS.items()}
    assert " PREROUTING" not in render_full(desired, there)
