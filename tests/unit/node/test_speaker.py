"""When a node announces an address, and how it keeps its daemons to it."""

import asyncio
from pathlib import Path

import pytest

from nodeagent.speaker.speaker import Speaker
from nodeagent.speaker.speech import EXCLUDE_LABEL, Announcement, ClusterState, Object, reason_for_silence
from nodeagent.speaker.voice import ask_bird
from testbed_init.events import RecordedEvents

CLUSTER_IP, EXTERNAL_IP = "10.3.241.154", "203.0.113.10"
ANNOUNCED = Announcement(path="bgp", service="default/web", address=EXTERNAL_IP, by="bgp")


def service(policy: str = "Cluster", name: str = "web") -> Object:
    spec = {
        "clusterIP": CLUSTER_IP,
        "externalIPs": [EXTERNAL_IP],
        "externalTrafficPolicy": policy,
        "ports": [{"name": "http", "port": 80}],
    }
    return {"metadata": {"namespace": "default", "name": name}, "spec": spec}


def endpoints(*nodes: str, ready: bool = True) -> Object:
    found = [
        {"addresses": [f"10.0.1.{number}"], "nodeName": node, "conditions": {"ready": ready}}
        for number, node in enumerate(nodes, 2)
    ]
    metadata = {"namespace": "default", "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}}
    return {"metadata": metadata, "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}], "endpoints": found}


def node(**labels: str) -> Object:
    return {"metadata": {"name": "node-1", "labels": {key.replace("_", "/"): value for key, value in labels.items()}}}


def silence(
    *,
    of: Announcement = ANNOUNCED,
    services: list[Object] | None = None,
    slices: list[Object] | None = None,
    own: Object | None = None,
) -> str | None:
    state = ClusterState(
        services=[service()] if services is None else services,
        slices=[endpoints("node-2")] if slices is None else slices,
        nodes=[node() if own is None else own],
    )
    return reason_for_silence(of, state, "node-1")


def test_a_service_with_an_endpoint_anywhere_is_announced() -> None:
    assert silence() is None


@pytest.mark.parametrize(
    ("services", "slices", "reason"),
    [
        ([], None, "no such Service"),
        ([service(name="other")], None, "no such Service"),
        (None, [], "no endpoint may be used"),
        (None, [endpoints("node-1", ready=False)], "no endpoint may be used"),
        ([service("Local")], None, "no endpoint on this node may be used"),
    ],
)
def test_nothing_is_announced_that_leads_nowhere(services: list[Object] | None, slices: list[Object] | None, reason: str) -> None:
    assert silence(services=services, slices=slices) == reason


def test_policy_local_asks_for_an_endpoint_here_but_not_for_cluster_ips() -> None:
    assert silence(services=[service("Local")], slices=[endpoints("node-1")]) is None
    at_cluster_ip = Announcement(path="bgp", service="default/web", address=CLUSTER_IP, by="bgp")
    assert silence(of=at_cluster_ip, services=[service("Local")]) is None


def test_an_address_that_the_service_gave_up_is_not_announced() -> None:
    gone = Announcement(path="bgp", service="default/web", address="203.0.113.99", by="bgp")
    assert silence(of=gone) == "the Service does not have the address"


def test_a_node_that_is_drained_falls_silent_first() -> None:
    drained: Object = {"metadata": {"name": "node-1", "labels": {EXCLUDE_LABEL: "true"}}}
    assert silence(own=drained) == "the node is excluded from external load balancers"
    assert silence(own={"metadata": {"name": "node-9"}}) == "the Node is not registered"


class Voice:
    """A daemon that may not be there."""

    def __init__(self) -> None:
        self.said: list[bool] = []
        self.is_there = True

    async def say(self, announcement: Announcement, *, aloud: bool) -> None:
        if not self.is_there:
            raise ConnectionRefusedError
        self.said.append(aloud)


def test_a_change_is_reported_once_and_a_daemon_that_returns_is_told_again() -> None:
    voice, events = Voice(), RecordedEvents()
    speaker = Speaker(node="node-1", announcements=[ANNOUNCED], voice=voice, events=events)
    told = {name: speaker.noting(name) for name in ("services", "endpointslices", "nodes")}
    told["services"]([service()])
    asyncio.run(speaker.say_all())
    assert voice.said == []  # not everything was listed yet
    told["endpointslices"]([endpoints("node-2")])
    told["nodes"]([node()])
    asyncio.run(speaker.say_all())
    asyncio.run(speaker.say_all())
    voice.is_there = False
    asyncio.run(speaker.say_all())
    voice.is_there = True
    asyncio.run(speaker.say_all())
    told["services"]([])
    asyncio.run(speaker.say_all())
    assert voice.said == [True, True, True, False]
    assert [(item["is_announced"], item["reason"]) for item in events.named("announcement")] == [
        (True, ""),
        (True, ""),
        (False, "no such Service"),
    ]


@pytest.mark.parametrize("answer", [b"0011-announce:bgp: enabled\n0000 \n", b"0010 announce:bgp: already enabled\n"])
def test_bird_s_answer_is_read_to_its_end(tmp_path: Path, answer: bytes) -> None:
    socket = tmp_path / "bird.ctl"

    async def converse() -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"0001 BIRD 2.0.12 ready.\n")
            assert await reader.readline() == b"enable 'announce:bgp'\n"
            writer.write(answer)
            writer.close()

        async with await asyncio.start_unix_server(serve, socket):
            return await ask_bird(socket, "enable 'announce:bgp'")

    assert "enabled" in asyncio.run(converse())
