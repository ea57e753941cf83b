"""Which UDP flows are given up after which commit, and how they are read from the kernel's messages."""

from __future__ import annotations

import asyncio
import errno
import itertools
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from node_nft_model import NftModel
from node_world import (
    CLUSTER_IP,
    EXTERNAL_IP,
    GONE,
    LEAVING,
    LOAD_BALANCER_IP,
    NETWORK,
    NODE,
    NODE_PORT,
    PORT,
    READY,
    UNREADY,
    service,
    slice_of,
)
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, nfct_msg

from nodeagent.proxy.conntrack import Flow, UdpEndpoints, read_serving
from nodeagent.proxy.flow_cleaner import FlowCleaner
from nodeagent.proxy.flow_messages import decode, is_failure, render_deletion, render_dump
from nodeagent.proxy.nftables import NftablesRules
from nodeagent.proxy.proxy import Proxy
from nodeagent.proxy.services import ServicePort, read_service_ports
from testbed_init.events import RecordedEvents

HERE, THERE = ("10.0.1.2", 8080), ("10.0.2.2", 8080)
HERE_READY, THERE_READY = (HERE[0], NODE, READY), (THERE[0], "node-2", READY)
UDP = {"ports": [{"name": "http", "port": PORT, "nodePort": NODE_PORT, "protocol": "UDP"}]}
ALL_ADDRESSES = {"externalIPs": [EXTERNAL_IP], "status": {"loadBalancer": {"ingress": [{"ip": LOAD_BALANCER_IP}]}}}


def ports(here: Mapping[str, Any] | None, there: Mapping[str, Any] | None = None, **spec: Any) -> tuple[ServicePort, ...]:
    """A UDP service with these conditions of its endpoints on both nodes; None: no such endpoint."""
    return read_service_ports([service(**{**UDP, **spec})], [endpoints(here, there)], NODE)


def endpoints(here: Mapping[str, Any] | None, there: Mapping[str, Any] | None = None, version: int = 1) -> dict[str, Any]:
    found = [(HERE[0], NODE, here), (THERE[0], "node-2", there)]
    there_are = [(ip, node, conditions) for ip, node, conditions in found if conditions is not None]
    return slice_of(*there_are, version=version, protocol="UDP")


def flow(destination: tuple[str, int], reply_source: tuple[str, int] = HERE) -> Flow:
    return Flow(destination=destination, reply_source=reply_source)


@pytest.mark.parametrize(
    "destination",
    [
        (CLUSTER_IP, PORT),
        (EXTERNAL_IP, PORT),
        (LOAD_BALANCER_IP, PORT),
        ("10.100.0.2", NODE_PORT),
        ("192.0.2.77", NODE_PORT),  # anybody's: the address of a node port is not looked at
    ],
)
def test_flow_to_an_endpoint_that_has_gone_is_stale_at_every_address_of_the_service(destination: tuple[str, int]) -> None:
    serving = read_serving(ports(None, READY, **ALL_ADDRESSES))
    assert serving.is_stale(flow(destination))
    assert not serving.is_stale(flow(destination, THERE))


@pytest.mark.parametrize("destination", [(CLUSTER_IP, 81), (EXTERNAL_IP, PORT), ("10.3.241.153", PORT), ("10.100.0.2", PORT)])
def test_flow_to_what_is_no_address_of_the_service_is_left_alone(destination: tuple[str, int]) -> None:
    assert not read_serving(ports(None, READY)).is_stale(flow(destination))


def test_flow_to_a_serving_address_at_another_port_is_stale() -> None:
    assert read_serving(ports(READY)).is_stale(flow((CLUSTER_IP, PORT), (HERE[0], 8081)))


@pytest.mark.parametrize(
    ("conditions", "stale"),
    [(READY, False), (LEAVING, False), (UNREADY, True), (GONE, True), ({"ready": False, "serving": True}, False)],
)
def test_only_serving_counts_neither_ready_nor_terminating(conditions: Mapping[str, Any], stale: bool) -> None:
    assert read_serving(ports(conditions, READY)).is_stale(flow((CLUSTER_IP, PORT))) is stale


@pytest.mark.parametrize("policy", [{"externalTrafficPolicy": "Local"}, {"internalTrafficPolicy": "Local"}])
def test_policies_play_no_part(policy: dict[str, str]) -> None:
    assert not read_serving(ports(READY, READY, **policy)).is_stale(flow((CLUSTER_IP, PORT), THERE))


@pytest.mark.parametrize("left", [None, UNREADY, GONE])
def test_without_any_serving_endpoint_every_flow_stays(left: Mapping[str, Any] | None) -> None:
    serving = read_serving(ports(left))
    assert not serving.is_stale(flow((CLUSTER_IP, PORT)))
    assert not serving.is_stale(flow(("10.100.0.2", NODE_PORT)))


def test_tcp_services_have_no_stale_flows() -> None:
    tcp = [{"name": "http", "port": PORT, "nodePort": NODE_PORT, "protocol": "TCP"}]
    assert not read_serving(ports(None, READY, ports=tcp)).is_stale(flow((CLUSTER_IP, PORT)))


def of_two_ports(udp: Mapping[str, Any] | None, tcp: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Slices of one service with a UDP and a TCP port, with these conditions of the endpoint of each."""
    return [
        slice_of(*([] if udp is None else [(HERE[0], NODE, udp)]), protocol="UDP"),
        slice_of(*([] if tcp is None else [(HERE[0], NODE, tcp)]), suffix="y", ports={"web": 8080}),
    ]


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        pytest.param([endpoints(READY)], [endpoints(READY, READY)], True, id="added"),
        pytest.param([endpoints(READY, READY)], [endpoints(READY)], True, id="removed"),
        pytest.param([endpoints(READY)], [endpoints(LEAVING)], True, id="leaves"),
        pytest.param([endpoints(READY, LEAVING)], [endpoints(READY, GONE)], True, id="stops serving"),
        pytest.param([endpoints(READY)], [endpoints(None)], True, id="last removed"),
        pytest.param([endpoints(READY)], [], True, id="slice deleted"),
        pytest.param([], [endpoints(READY)], True, id="slice of a new service"),
        pytest.param([endpoints(READY)], [endpoints(READY, version=2)], False, id="the same"),
        pytest.param([], [endpoints(None)], False, id="slice without endpoints"),
        pytest.param([slice_of(HERE_READY)], [slice_of(HERE_READY, THERE_READY)], False, id="TCP"),
        pytest.param(of_two_ports(READY, READY), of_two_ports(READY, UNREADY), True, id="TCP beside UDP"),
        pytest.param(of_two_ports(None, READY), of_two_ports(None, UNREADY), False, id="TCP beside UDP without endpoints"),
    ],
)
def test_changes_in_slices_of_services_with_udp_endpoints_are_a_reason_to_look(
    before: list[dict[str, Any]], after: list[dict[str, Any]], changed: bool
) -> None:
    """As kube-proxy's EndpointsMap tells (pkg/proxy, ConntrackCleanupRequired)."""
    known = UdpEndpoints(NODE)
    known.have_changed(before)
    assert known.have_changed(after) is changed
    assert known.have_changed(after) is False


class Table:
    """Flows in memory: forgets those that are stale, when the test lets it."""

    def __init__(self, *flows: Flow, failures: int = 0) -> None:
        self.flows, self.failures, self.looks = list(flows), failures, 0

    async def delete_udp(self, is_stale: Callable[[Flow], bool]) -> int:
        self.looks += 1
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EPERM, "Operation not permitted")
        kept = [item for item in self.flows if not is_stale(item)]
        deleted, self.flows = len(self.flows) - len(kept), kept
        return deleted


class World:
    """A proxy that writes to the model of the kernel, and its cleaner."""

    def __init__(self, table: Table) -> None:
        self.table, self.events = table, RecordedEvents()
        self.cleaner = FlowCleaner(node=NODE, table=table, events=self.events)
        clock = itertools.count()
        self.proxy = Proxy(
            node=NODE,
            rules=NftablesRules(NETWORK, NftModel()),
            events=self.events,
            clock=lambda: next(clock),
            min_sync_period_s=0.0,
            sync_period_s=30.0,
            after_commit=self.cleaner.after_commit,
        )
        self.proxy.on_services([service(**UDP)])

    async def becomes(self, here: Mapping[str, Any] | None, there: Mapping[str, Any] | None = None) -> None:
        self.proxy.on_slices([endpoints(here, there)])
        assert self.proxy.sync()
        await self.settle()

    async def settle(self) -> None:
        task = asyncio.create_task(self.cleaner.run())
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_flow_moves_when_its_endpoint_is_replaced_and_the_history_says_so() -> None:
    world = World(Table(flow((CLUSTER_IP, PORT))))
    await world.becomes(READY)
    assert world.table.flows
    await world.becomes(None, READY)
    assert not world.table.flows
    assert world.events.named("flows-deleted") == [{"node": NODE, "flows": 1}]


async def test_flow_to_a_leaving_endpoint_is_given_up_when_it_stops_serving_although_no_rule_changes() -> None:
    world = World(Table(flow((CLUSTER_IP, PORT), THERE)))
    await world.becomes(READY, READY)
    await world.becomes(READY, LEAVING)
    assert world.table.flows
    committed = len(world.events.named("rules-committed"))
    await world.becomes(READY, GONE)
    assert not world.table.flows
    assert len(world.events.named("rules-committed")) == committed


async def test_flows_stay_when_the_last_endpoint_goes_and_move_when_another_comes() -> None:
    world = World(Table(flow((CLUSTER_IP, PORT))))
    await world.becomes(READY)
    await world.becomes(None)
    assert world.table.flows
    await world.becomes(None, READY)
    assert not world.table.flows


async def test_services_that_come_change_and_go_are_no_reason_to_look_at_flows() -> None:
    """Policies, addresses, and a Service over slices that have been there before it."""
    world = World(Table())
    await world.becomes(READY)
    for services in ([service(externalTrafficPolicy="Local", **UDP)], [service(**UDP, **ALL_ADDRESSES)], [], [service(**UDP)]):
        world.proxy.on_services(services)
        assert world.proxy.sync()
    await world.settle()
    assert world.table.looks == 1
    assert world.events.named("flows-deleted") == []


async def test_endpoint_that_came_back_before_the_look_keeps_its_flows() -> None:
    world = World(Table(flow((CLUSTER_IP, PORT))))
    for here in (READY, None, READY):
        world.cleaner.after_commit(ports(here, READY), [endpoints(here, READY)])
    await world.settle()
    assert world.table.flows


async def test_refusal_is_reported_and_the_next_change_looks_again() -> None:
    world = World(Table(flow((CLUSTER_IP, PORT)), failures=1))
    await world.becomes(None, READY)
    assert world.events.named("flows-failed") == [{"node": NODE, "error": "[Errno 1] Operation not permitted"}]
    await world.becomes(LEAVING, READY)
    await world.becomes(None, READY)
    assert not world.table.flows


def told(protocol: int, *, message_type: int = 0x100) -> bytes:
    """A flow as the kernel tells it, written by pyroute2: client -> cluster IP, translated to an endpoint, masqueraded."""
    original = NFCTAttrTuple(saddr="198.18.0.9", daddr=CLUSTER_IP, proto=protocol, sport=40000, dport=PORT)
    reply = NFCTAttrTuple(saddr=HERE[0], daddr="10.0.1.1", proto=protocol, sport=HERE[1], dport=50000)
    message = nfct_msg.create_from(tuple_orig=original, tuple_reply=reply, status=0x1BE, timeout=30, mark=0, id=77, use=1)
    message["nfgen_family"] = socket.AF_INET
    message["header"]["type"] = message_type
    message.encode()
    return bytes(message.data)


def test_flows_are_read_from_a_dump_and_other_protocols_left_out() -> None:
    answer = decode(told(socket.IPPROTO_UDP) + told(socket.IPPROTO_TCP) + told(socket.IPPROTO_UDP))
    assert [(item.destination, item.reply_source) for item in answer.flows] == [((CLUSTER_IP, PORT), HERE)] * 2
    assert not answer.done


def parse(message: bytes) -> Any:
    """As pyroute2 understands it."""
    parsed = nfct_msg(message)
    parsed.decode()
    return parsed


def test_deletion_names_the_flow_by_its_ends_and_the_kernels_number() -> None:
    (found,) = decode(told(socket.IPPROTO_UDP)).flows
    request = parse(render_deletion(found))
    assert (request["header"]["type"], request["header"]["flags"]) == (0x102, 0x5)
    assert request.get_attr("CTA_ID") == 77
    ends = NFCTAttrTuple.from_netlink(socket.AF_INET, request.get_attr("CTA_TUPLE_ORIG"))
    assert (ends.saddr, ends.sport, ends.daddr, ends.dport, ends.proto) == ("198.18.0.9", 40000, CLUSTER_IP, PORT, 17)


def test_dump_asks_the_kernel_for_udp_only() -> None:
    request = parse(render_dump())
    assert (request["header"]["type"], request["header"]["flags"], request["nfgen_family"]) == (0x101, 0x301, socket.AF_INET)
    assert request.get_attr("CTA_TUPLE_ORIG").get_attr("CTA_TUPLE_PROTO").get_attr("CTA_PROTO_NUM") == socket.IPPROTO_UDP
    assert request.get_attr("CTA_FILTER").get_attr("CTA_FILTER_ORIG_FLAGS") == 1 << 3


def status_message(kind: int, code: int) -> bytes:
    return struct.pack("=IHHIIi", 20, kind, 0, 0, 0, -code)


def test_end_of_a_dump_and_answers_to_deletions_are_told_apart() -> None:
    answer = decode(status_message(2, 0) + status_message(2, errno.ENOENT) + status_message(3, 0))
    assert answer.errors == (0, errno.ENOENT)
    assert answer.done
    assert [is_failure(code) for code in (*answer.errors, errno.EPERM)] == [False, False, True]


def test_dump_that_broke_off_is_an_error() -> None:
    with pytest.raises(OSError, match="dump of tracked flows") as caught:
        decode(status_message(3, errno.EINTR))
    assert caught.value.errno == errno.EINTR
