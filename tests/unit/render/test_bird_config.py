"""bird.conf from the plan, byte for byte."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from orchestrator.render.bird import Announcement, Bfd, render_gateway_bird, render_node_bird

GOLDEN = Path(__file__).parent / "golden"
GATEWAY = IPv4Address("10.100.0.1")
NODES = {"node-1": IPv4Address("10.100.0.2"), "node-2": IPv4Address("10.100.0.3")}
LOG = "/dev/shm/bird.log"
ANNOUNCEMENTS = (
    Announcement(path="bgp", prefix=IPv4Network("10.3.241.154/32"), hold_time_s=9, keepalive_s=3, bfd=None, is_shared=True),
    Announcement(
        path="standby",
        prefix=IPv4Network("203.0.113.10/32"),
        hold_time_s=30,
        keepalive_s=10,
        bfd=Bfd(interval_ms=100, multiplier=3),
        is_shared=False,
    ),
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bird-gateway.conf", render_gateway_bird(ANNOUNCEMENTS, address=GATEWAY, nodes=NODES, log=LOG)),
        ("bird-node.conf", render_node_bird(ANNOUNCEMENTS, address=NODES["node-1"], gateway=GATEWAY, log=LOG)),
    ],
)
def test_configuration_is_the_golden_one(name: str, text: str) -> None:
    assert text == (GOLDEN / name).read_text(encoding="utf-8")


def test_without_bfd_there_is_no_bfd_protocol() -> None:
    assert "bfd" not in render_gateway_bird(ANNOUNCEMENTS[:1], address=GATEWAY, nodes=NODES, log=LOG)
    assert "bfd" not in render_node_bird(ANNOUNCEMENTS[:1], address=NODES["node-1"], gateway=GATEWAY, log=LOG)
