"""keepalived.conf from the plan, byte for byte."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from orchestrator.render.keepalived import VirtualAddress, render_keepalived, vrrp_priority

GOLDEN = Path(__file__).parent / "golden"
NODES = {f"node-{number}": IPv4Address(f"10.100.0.{number + 1}") for number in (1, 2, 3)}
ADDRESSES = (
    VirtualAddress(path="vip", address=IPv4Address("10.100.0.251"), router_id=1, advert_interval_s=1.0, is_preempting=True),
    VirtualAddress(path="quick", address=IPv4Address("10.100.0.252"), router_id=2, advert_interval_s=0.05, is_preempting=False),
)


def test_configuration_is_the_golden_one() -> None:
    text = render_keepalived(ADDRESSES, node="node-2", nodes=NODES, interface="eth0")
    assert text == (GOLDEN / "keepalived.conf").read_text(encoding="utf-8")


@pytest.mark.parametrize(("place", "priority"), [(0, 254), (1, 253), (247, 7), (300, 1)])
def test_first_node_has_the_highest_priority(place: int, priority: int) -> None:
    assert vrrp_priority(place) == priority
