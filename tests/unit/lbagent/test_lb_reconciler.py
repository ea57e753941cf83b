"""The reconciler over a HAProxy in memory, which is held to the same conversation as the real one."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_lb_cluster import BACKEND, node, service

from lbagent.cluster import EXCLUDE_LABEL
from lbagent.fake_runtime import FakeHaproxy
from lbagent.reconciler import Reconciler
from lbagent.runtime import RuntimeApiError
from lbagent.runtime_contract import CONVERSATION, STATES
from lbagent.servers import parse_servers
from testbed_init.events import RecordedEvents


class Bench:
    """A reconciler, its HAProxy, and the events."""

    def __init__(self) -> None:
        self.haproxy = FakeHaproxy(backends=("nodeport",))
        self.events = RecordedEvents()
        self.reconciler = Reconciler(backends=[BACKEND], runtime=self.haproxy, events=self.events)

    async def settle(self) -> int:
        """Rounds until nothing is to be done."""
        for rounds in range(1, 10):
            if await self.reconciler.reconcile():
                return rounds
        raise AssertionError(f"not settled: {self.haproxy.asked[-10:]}")

    def names(self) -> list[str]:
        return [name for name, _ in self.events.seen]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.reconciler.on_services([service()])
    return bench


async def test_the_fake_keeps_to_the_contract_with_haproxy():
    haproxy = FakeHaproxy(backends=("nodeport",))
    assert [(line, await haproxy.ask(line)) for line, _ in CONVERSATION] == list(CONVERSATION)


async def test_the_fake_s_states_are_haproxy_s():
    haproxy = FakeHaproxy(backends=("nodeport",))
    for line, state in STATES:
        await haproxy.ask(line)
        (server,) = parse_servers(await haproxy.ask("show servers state"), await haproxy.ask("show servers conn"))
        assert (server.maintenance, server.drain, server.weight) == state, line


async def test_nothing_is_asked_before_the_cluster_is_known(bench):
    assert await bench.settle() == 1
    assert bench.haproxy.asked == []


async def test_a_new_node_is_added_down_and_reported(bench):
    bench.reconciler.on_nodes([node()])
    assert await bench.settle() == 2
    server = bench.haproxy.servers["nodeport/node-1"]
    assert (server.admin, server.up, server.weight) == (0, False, 1)
    assert bench.events.seen == [("server-added", {"backend": "nodeport", "server": "node-1", "reason": "node became ready"})]


async def test_a_node_that_goes_is_cut_and_deleted(bench):
    bench.reconciler.on_nodes([node()])
    await bench.settle()
    bench.haproxy.servers["nodeport/node-1"].connections = 3
    bench.reconciler.on_nodes([])
    await bench.settle()
    assert bench.haproxy.servers == {}
    assert bench.names() == ["server-added", "server-removed"]


async def test_drain_and_its_end_are_reported_once_each(bench):
    for labels in ({}, {EXCLUDE_LABEL: ""}, {EXCLUDE_LABEL: ""}, {}):
        bench.reconciler.on_nodes([node(labels=labels)])
        await bench.settle()
    assert bench.names() == ["server-added", "server-drain", "server-undrain"]


async def test_an_unexpected_answer_is_an_error_with_the_line(bench):
    bench.reconciler.on_nodes([node()])
    bench.haproxy.backends = ()
    with pytest.raises(RuntimeApiError, match=r"'add server nodeport/node-1 .*: HAProxy answered 'No such backend.'"):
        await bench.reconciler.reconcile()


NODE_LISTS = st.lists(
    st.builds(
        node,
        name=st.sampled_from(["node-1", "node-2", "node-3"]),
        address=st.sampled_from(["10.100.0.2", "10.100.0.3"]),
        ready=st.sampled_from(["True", "Unknown"]),
        labels=st.sampled_from([{}, {EXCLUDE_LABEL: ""}]),
        deleting=st.booleans(),
    ),
    unique_by=lambda item: item["metadata"]["name"],
    max_size=3,
)


class Interrupted:
    """A Runtime API that fails after some lines, as an agent that is killed in the middle of a round."""

    def __init__(self, haproxy: FakeHaproxy, lines: int) -> None:
        self.haproxy = haproxy
        self.lines = lines

    async def ask(self, line: str) -> str:
        if not self.lines:
            raise RuntimeApiError("killed")
        self.lines -= 1
        return await self.haproxy.ask(line)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(NODE_LISTS, st.sampled_from([32213, 30001]), st.integers(2, 6)), min_size=1, max_size=6))
async def test_whatever_the_cluster_goes_through_haproxy_ends_as_wanted(steps):
    haproxy = FakeHaproxy(backends=("nodeport",))
    for nodes, port, lines in steps:
        services = [service({"name": "http", "port": 80, "nodePort": port})]
        agents = [
            Reconciler(backends=[BACKEND], runtime=runtime, events=RecordedEvents())
            for runtime in (Interrupted(haproxy, lines), haproxy)
        ]
        for agent in agents:
            agent.on_services(services)
            agent.on_nodes(nodes)
        with suppress(RuntimeApiError):
            await agents[0].reconcile()
        for _ in range(5):
            if await agents[1].reconcile():
                break
        wanted = {f"nodeport/{server.name}": server for server in agents[1].desired["nodeport"]}
        assert haproxy.servers.keys() == wanted.keys()
        for key, server in wanted.items():
            found = haproxy.servers[key]
            assert (found.address, found.port, found.weight) == (str(server.address), server.port, 1)
            assert found.admin == (8 if server.drain else 0)
