"""Rules of host ports as the portmap plugin writes them, and when they are written. No kernel."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from nodeagent.kubelet import pod_sandbox as pod_sandbox_module
from nodeagent.kubelet.host_ports import MappedPod, map_pod, render_nftables
from nodeagent.kubelet.host_ports_iptables import chain_name, render_iptables
from nodeagent.kubelet.pod import Pod
from nodeagent.kubelet.pod_spec import HostPort, read_pod
from nodeagent.kubelet.port_mapper import IptablesMappings, NftablesMappings, PortMapper
from nodeagent.proxy.conntrack import Flow
from nodeagent.proxy.rules import RulesError
from testbed_init.events import RecordedEvents

CIDR = IPv4Network("10.0.1.0/24")


def tcp(port: int, container_port: int = 8080, *, address: str | None = None, protocol: str = "tcp") -> HostPort:
    place = None if address is None else IPv4Address(address)
    return HostPort(protocol=protocol, address=place, port=port, container_port=container_port)


def mapped(uid: str, host: int, *ports: HostPort) -> MappedPod:
    return MappedPod(uid=uid, address=IPv4Interface((CIDR[host], CIDR.prefixlen)), ports=ports)


WEB = mapped("web", 2, tcp(8000), tcp(53, 53, protocol="udp"), tcp(8001, 81, address="10.100.0.2"))
OTHER = mapped("other", 3, tcp(9000))


def rules_of(transaction: str) -> list[str]:
    """Those of pods."""
    rules = re.findall(r"^add rule ip cni_hostport (.*)$", transaction, re.MULTILINE)
    return [rule for rule in rules if "comment" in rule]


def test_pod_is_led_to_by_one_rule_for_each_port_and_masqueraded_where_it_must_be() -> None:
    assert rules_of(render_nftables([WEB])) == [
        'hostports tcp dport 8000 dnat to 10.0.1.2:8080 comment "web"',
        'hostports udp dport 53 dnat to 10.0.1.2:53 comment "web"',
        'hostip_hostports ip daddr 10.100.0.2 tcp dport 8001 dnat to 10.0.1.2:81 comment "web"',
        'masquerading ip saddr 10.0.1.2 ip daddr 10.0.1.2 masquerade comment "web"',
        'masquerading ip saddr 127.0.0.1 ip daddr 10.0.1.2 masquerade comment "web"',
    ]


def test_only_local_addresses_reach_host_ports_and_those_of_one_address_come_first() -> None:
    text = render_nftables([WEB])
    for hook in ("prerouting", "output"):
        assert f"add rule ip cni_hostport {hook} fib daddr type local jump hostports_all\n" in text
    assert text.index("hostports_all jump hostip_hostports") < text.index("hostports_all jump hostports\n")


def test_transaction_replaces_all_rules_and_leaves_the_hooks_alone() -> None:
    text = render_nftables([WEB, OTHER])
    assert "flush table ip cni_hostport\n" in text
    assert "delete" not in text
    assert text.index("flush table") < text.index("add rule")


def test_nothing_is_left_without_pods() -> None:
    assert render_nftables([]) == "add table ip cni_hostport\ndelete table ip cni_hostport\n"
    assert render_iptables([], "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n") == ""


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": [{"name": "a", "ports": [{"containerPort": 80, "hostPort": 8000}]}]}, True),
        ({"containers": [{"name": "a", "ports": [{"containerPort": 80}]}]}, False),
        ({"containers": [{"name": "a", "ports": [{"containerPort": 80, "hostPort": 80}]}], "hostNetwork": True}, False),
    ],
)
def test_rules_are_for_pods_with_host_ports_and_a_namespace_of_their_own(spec: dict[str, Any], expected: bool) -> None:
    found = map_pod(read_pod({"metadata": {"name": "p", "uid": "u"}, "spec": spec}), CIDR[2], CIDR)
    assert (found is not None) is expected
    assert found is None or str(found.address) == "10.0.1.2/24"


# What the plugin's own tests expect of these two names and this container.
CONTAINER = "icee6giejonei6sohng6ahngee7laquohquee9shiGo7fohferakah3Feiyoolu2pei7ciPhoh7shaoX6vai3vuf0ahfaeng8yohb9ceu0daez5hashee8ooYai5wa3y"


@pytest.mark.parametrize(
    ("network", "name"), [("testNetName", "CNI-DN-bfd599665540dd91d5d28"), ("test", "CNI-DN-67e92b96e692a494b6b85")]
)
def test_chain_of_a_pod_is_named_as_the_plugin_names_it(network: str, name: str) -> None:
    assert chain_name(network, CONTAINER) == name


CHAIN = chain_name("testbed", "web")
JUMPS = """\
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
"""
SAVED = f"""\
*nat
:PREROUTING ACCEPT [0:0]
:CNI-DN-0123456789abcdef01234 - [0:0]
:{CHAIN} - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-MASQ - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -j KUBE-SERVICES
{JUMPS}COMMIT
"""


def lines(text: str, prefix: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(prefix)]


def test_pod_has_a_chain_of_its_own_in_iptables() -> None:
    text = render_iptables([WEB], "")
    assert lines(text, f"-A {CHAIN}") == [
        f"-A {CHAIN} -p tcp -m tcp --dport 8000 -s 10.0.1.0/24 -j CNI-HOSTPORT-SETMARK",
        f"-A {CHAIN} -p tcp -m tcp --dport 8000 -s 127.0.0.1 -j CNI-HOSTPORT-SETMARK",
        f"-A {CHAIN} -p tcp -m tcp --dport 8000 -j DNAT --to-destination 10.0.1.2:8080",
        f"-A {CHAIN} -p udp -m udp --dport 53 -s 10.0.1.0/24 -j CNI-HOSTPORT-SETMARK",
        f"-A {CHAIN} -p udp -m udp --dport 53 -s 127.0.0.1 -j CNI-HOSTPORT-SETMARK",
        f"-A {CHAIN} -p udp -m udp --dport 53 -j DNAT --to-destination 10.0.1.2:53",
        f"-A {CHAIN} -d 10.100.0.2 -p tcp -m tcp --dport 8001 -s 10.0.1.0/24 -j CNI-HOSTPORT-SETMARK",
        f"-A {CHAIN} -d 10.100.0.2 -p tcp -m tcp --dport 8001 -s 127.0.0.1 -j CNI-HOSTPORT-SETMARK",
        f"-A {CHAIN} -d 10.100.0.2 -p tcp -m tcp --dport 8001 -j DNAT --to-destination 10.0.1.2:81",
    ]
    comment = r'-m comment --comment "dnat name: \"testbed\" id: \"web\""'
    assert lines(text, "-A CNI-HOSTPORT-DNAT") == [
        f"-A CNI-HOSTPORT-DNAT -p tcp {comment} -m multiport --dports 8000,8001 -j {CHAIN}",
        f"-A CNI-HOSTPORT-DNAT -p udp {comment} -m multiport --dports 53 -j {CHAIN}",
    ]
    assert lines(text, "-A CNI-HOSTPORT-SETMARK")[0].endswith("--set-xmark 0x2000/0x2000")
    assert lines(text, "-A CNI-HOSTPORT-MASQ") == ["-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE"]


def test_rule_of_multiport_names_fifteen_ports_at_most() -> None:
    text = render_iptables([mapped("web", 2, *(tcp(8000 + number) for number in range(16)))], "")
    counts = [line.count(",") + 1 for line in lines(text, "-A CNI-HOSTPORT-DNAT")]
    assert counts == [15, 1]


def test_built_in_chains_jump_once_however_often_rules_are_written() -> None:
    first, again = render_iptables([WEB], ""), render_iptables([WEB], SAVED)
    assert len(re.findall(r"^-[AI] (?:PREROUTING|OUTPUT|POSTROUTING) ", first, re.MULTILINE)) == 3
    assert "-I POSTROUTING" in first, "before what others masquerade"
    assert re.findall(r"^-[AI] (?:PREROUTING|OUTPUT|POSTROUTING) ", again, re.MULTILINE) == []


def test_chains_of_pods_that_are_gone_go_and_nobody_else_s() -> None:
    text = render_iptables([WEB], SAVED)
    assert lines(text, "-X") == ["-X CNI-DN-0123456789abcdef01234"]
    assert "KUBE" not in text


def test_last_pod_takes_every_chain_and_jump_with_it() -> None:
    text = render_iptables([], SAVED)
    assert lines(text, "-D") == ["-D" + jump.removeprefix("-A") for jump in JUMPS.splitlines()]
    assert sorted(lines(text, "-X")) == sorted(
        f"-X {name}"
        for name in (
            CHAIN,
            "CNI-DN-0123456789abcdef01234",
            "CNI-HOSTPORT-DNAT",
            "CNI-HOSTPORT-MASQ",
            "CNI-HOSTPORT-SETMARK",
        )
    )


def test_pod_that_came_last_has_a_port_that_two_claim_in_iptables() -> None:
    text = render_iptables([mapped("a", 2, tcp(8000)), mapped("b", 3, tcp(8000))], "")
    assert [line[-28:] for line in lines(text, "-A CNI-HOSTPORT-DNAT")] == [
        chain_name("testbed", "b"),
        chain_name("testbed", "a"),
    ]


class Kernel:
    """Takes rules, by either way, and refuses as told."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.refusals = 0

    def apply(self, transaction: str) -> None:
        self._take(transaction)

    def restore(self, text: str) -> None:
        self._take(text)

    def save(self) -> Mapping[str, str]:
        return {"nat": self.taken[-1] if self.taken else "", "filter": ""}

    def _take(self, text: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise RulesError("no")
        self.taken.append(text)


class FlowsAsked:
    def __init__(self, *flows: Flow, error: OSError | None = None) -> None:
        self.flows = list(flows)
        self.error = error
        self.asked = 0

    async def delete_udp(self, is_stale: Callable[[Flow], bool]) -> int:
        self.asked += 1
        if self.error is not None:
            raise self.error
        stale = [flow for flow in self.flows if is_stale(flow)]
        self.flows = [flow for flow in self.flows if flow not in stale]
        return len(stale)


def flow(address: str, port: int) -> Flow:
    return Flow(destination=(address, port), reply_source=(address, port))


def make_mapper(kernel: Kernel, *flows: Flow) -> tuple[PortMapper, FlowsAsked]:
    table = FlowsAsked(*flows)
    return PortMapper(mappings=NftablesMappings(kernel), flows=table), table


async def test_each_pod_that_comes_or_goes_is_one_transaction() -> None:
    kernel = Kernel()
    mapper, _ = make_mapper(kernel)
    await mapper.add(WEB)
    await mapper.add(OTHER)
    mapper.remove("web")
    mapper.remove("other")
    assert kernel.taken == [render_nftables(pods) for pods in ([WEB], [WEB, OTHER], [OTHER], [])]


async def test_what_is_there_already_is_not_written_again() -> None:
    kernel = Kernel()
    mapper, table = make_mapper(kernel)
    await mapper.add(WEB)
    await mapper.add(WEB)
    mapper.remove("unknown")
    assert (len(kernel.taken), table.asked) == (1, 1)


async def test_start_clears_what_an_earlier_life_left_but_for_pods_that_run() -> None:
    kernel = Kernel()
    mapper, table = make_mapper(kernel)
    mapper.start([OTHER])
    await mapper.add(OTHER)
    assert (kernel.taken, table.asked) == ([render_nftables([OTHER])], 0)


async def test_refused_rules_are_written_when_tried_again() -> None:
    kernel = Kernel()
    mapper, _ = make_mapper(kernel)
    kernel.refusals = 2
    with pytest.raises(RulesError):
        await mapper.add(WEB)
    with pytest.raises(RulesError):
        mapper.remove("web")
    mapper.remove("web")
    assert kernel.taken == [render_nftables([])]


async def test_udp_flows_to_a_new_host_port_are_given_up_whatever_their_destination() -> None:
    kept = flow("10.100.0.2", 54)
    mapper, table = make_mapper(Kernel(), flow("10.100.0.2", 53), flow("192.0.2.1", 53), kept)
    assert await mapper.add(WEB) == 2
    assert table.flows == [kept]
    assert await mapper.add(OTHER) == 0
    assert table.asked == 1, "it has no UDP port"


async def test_iptables_is_told_what_differs_from_what_it_has() -> None:
    kernel = Kernel()
    mapper = PortMapper(mappings=IptablesMappings(kernel), flows=FlowsAsked())
    mapper.start([])
    assert kernel.taken == []
    await mapper.add(WEB)
    mapper.remove("web")
    assert lines(kernel.taken[-1], "-X") != []


class Namespaces:
    """In the place of the node's network."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    async def remove_pod(self, namespace: str, host_link: str) -> None:
        self._log.append("namespace removed")


class LoggingKernel(Kernel):
    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self._log = log

    def _take(self, text: str) -> None:
        super()._take(text)
        self._log.append("rules removed" if "delete" in text else "rules written")


def make_pod(events: RecordedEvents, mapper: PortMapper, log: Sequence[str] = (), *, protocol: str = "TCP") -> Pod:
    ports = [{"containerPort": 8080, "hostPort": 8000, "protocol": protocol}]
    return Pod(
        spec=read_pod({"metadata": {"name": "web", "uid": "u"}, "spec": {"containers": [{"name": "a", "ports": ports}]}}),
        node="node-1",
        node_ip=IPv4Address("10.100.0.2"),
        address=CIDR[2],
        pod_cidr=CIDR,
        network=Namespaces(log),  # type: ignore[arg-type]
        port_mapper=mapper,
        api=None,  # type: ignore[arg-type]
        recorder=None,  # type: ignore[arg-type]
        events=events,
        now=lambda: datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    )


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_sandbox_module, "RULES_RETRY_S", 0.0)


@pytest.mark.usefixtures("hurried")
async def test_pod_tries_again_and_says_so_until_its_host_ports_are_there() -> None:
    kernel, events = Kernel(), RecordedEvents()
    kernel.refusals = 2
    mapper, _ = make_mapper(kernel)
    await make_pod(events, mapper).sandbox.map_host_ports()
    assert events.seen == [("host-ports-failed", {"node": "node-1", "pod": "web", "error": "no"})] * 2
    assert len(kernel.taken) == 1


@pytest.mark.usefixtures("hurried")
async def test_pod_that_is_to_end_does_not_wait_for_its_host_ports() -> None:
    kernel, events = Kernel(), RecordedEvents()
    kernel.refusals = 1
    mapper, _ = make_mapper(kernel)
    pod = make_pod(events, mapper)
    pod.end(0.0)
    await pod.sandbox.map_host_ports()
    assert kernel.taken == []


async def test_rules_go_before_the_namespace_that_they_lead_to() -> None:
    log: list[str] = []
    mapper, _ = make_mapper(LoggingKernel(log))
    pod = make_pod(RecordedEvents(), mapper, log)
    await pod.sandbox.map_host_ports()
    await pod._remove()
    assert log == ["rules written", "rules removed", "namespace removed"]


async def test_pod_tells_of_flows_that_were_given_up_and_of_those_that_could_not_be() -> None:
    events = RecordedEvents()
    flows = FlowsAsked(flow("10.100.0.2", 8000))
    await make_pod(events, PortMapper(mappings=NftablesMappings(Kernel()), flows=flows), protocol="UDP").sandbox.map_host_ports()
    refused = FlowsAsked(error=OSError(1, "Operation not permitted"))
    await make_pod(
        events, PortMapper(mappings=NftablesMappings(Kernel()), flows=refused), protocol="UDP"
    ).sandbox.map_host_ports()
    assert [name for name, _ in events.seen] == ["flows-deleted", "flows-failed"]
    assert events.seen[0][1] == {"node": "node-1", "flows": 1}
