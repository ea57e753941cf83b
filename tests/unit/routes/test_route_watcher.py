"""What BIRD's log and the kernel's monitor say, as events: each change once."""

from pathlib import Path

import pytest

from testbed_init.events import RecordedEvents
from testbed_routes.reading import read_address, read_route
from testbed_routes.settings import Settings, SettingsError, read_settings
from testbed_routes.watcher import Watcher

SETTINGS = Settings(
    bird_log=Path("/dev/shm/bird.log"),
    nodes={"10.100.0.2": "node-1", "10.100.0.3": "node-2"},
    virtual_addresses={"10.100.0.251": "vip"},
)
BOTH = r"10.3.241.154 proto bird metric 32 \	nexthop via 10.100.0.2 dev eth1 weight 1 \	nexthop via 10.100.0.3 dev eth1 weight 1 "
FIRST = "10.3.241.154 via 10.100.0.2 dev eth1 proto bird metric 32 "
SECOND = "10.3.241.154 via 10.100.0.3 dev eth1 proto bird metric 32 "


def watch(*lines: str, of: str) -> list[tuple[str, dict[str, object]]]:
    events = RecordedEvents()
    watcher = Watcher(settings=SETTINGS, container="node-2", events=events)
    for line in lines:
        getattr(watcher, f"on_{of}")(line)
    return events.seen


def hop(event: str, node: str, left: int) -> tuple[str, dict[str, object]]:
    address = next(at for at, name in SETTINGS.nodes.items() if name == node)
    return event, {"destination": "10.3.241.154/32", "node": node, "next_hop": address, "next_hops_left": left}


def test_a_replaced_route_tells_what_came_and_what_went() -> None:
    assert watch(FIRST, BOTH, SECOND, f"Deleted {SECOND}", of="route") == [
        hop("route-added", "node-1", 1),
        hop("route-added", "node-2", 2),
        hop("route-withdrawn", "node-1", 1),
        hop("route-withdrawn", "node-2", 0),
    ]


def test_a_route_that_is_told_twice_is_reported_once() -> None:
    assert watch(FIRST, FIRST, of="route") == [hop("route-added", "node-1", 1)]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "10.3.240.0/20 via 10.100.0.2 dev eth1 ",
        "default via 10.100.0.1 dev eth0 proto bird ",
        "local 10.9.0.200 dev lo table local proto kernel scope host src 10.9.0.200 ",
    ],
)
def test_routes_that_bird_does_not_keep_for_a_path_are_passed_over(line: str) -> None:
    assert read_route(line) is None


def test_a_virtual_address_is_acquired_and_released_once() -> None:
    line = r"2: eth0    inet 10.100.0.251/32 scope global eth0\       valid_lft forever preferred_lft forever"
    fields: dict[str, object] = {"path": "vip", "address": "10.100.0.251", "node": "node-2"}
    seen = watch(line, line, f"Deleted {line}", f"Deleted {line}", of="address")
    assert seen == [("vip-acquired", fields), ("vip-released", fields)]


def test_a_node_s_own_address_is_no_virtual_one() -> None:
    line = r"2: eth0    inet 10.100.0.3/24 brd 10.100.0.255 scope global eth0\       valid_lft forever preferred_lft forever"
    assert read_address(line) is not None
    assert watch(line, of="address") == []
    assert read_address("2: eth0    inet6 fe80::1/64 scope link ") is None


# As BIRD 2.0.12 wrote them.
UP = "2026-11-23 10:48:54.405 <TRACE> bgp:node-1: State changed to up"
EXPIRED = (
    "2026-11-23 10:49:07.739 <RMT> bgp:node-1: Error: Hold timer expired",
    "2026-11-23 10:49:07.739 <TRACE> bgp:node-1: BGP session closed",
    "2026-11-23 10:49:07.739 <TRACE> bgp:node-1: State changed to stop",
    "2026-11-23 10:49:07.749 <TRACE> bgp:node-1: Down",
    "2026-11-23 10:49:07.749 <TRACE> bgp:node-1: State changed to flush",
    "2026-11-23 10:49:07.749 <TRACE> bgp:node-1: State changed to down",
    "2026-11-23 10:49:07.749 <TRACE> bgp:node-1: State changed to start",
)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (EXPIRED[0], "Error: Hold timer expired"),
        ("2026-11-23 10:49:10.782 <RMT> bgp:node-1: Received: Administrative shutdown", "Received: Administrative shutdown"),
        ("2026-11-23 10:49:00.184 <TRACE> bgp:node-1: BFD session down", "BFD session down"),
    ],
)
def test_a_session_ends_once_with_its_reason(line: str, reason: str) -> None:
    assert watch(UP, line, *EXPIRED[1:], of="log") == [
        ("bgp-session-up", {"path": "bgp", "node": "node-1"}),
        ("bgp-session-down", {"path": "bgp", "node": "node-1", "reason": reason}),
    ]


def test_what_never_was_up_does_not_go_down() -> None:
    assert watch(*EXPIRED, "2026-11-23 10:48:53.397 <TRACE> kernel1: State changed to up", of="log") == []


def test_bfd_tells_the_node_of_its_neighbour() -> None:
    session = "2026-11-23 10:48:54.154 <TRACE> bfd1: Session to 10.100.0.2"
    lines = [f"{session} changed state from {change}" for change in ("Down to Init", "Init to Up", "Up to Down")]
    assert watch(*lines, of="log") == [("bfd-up", {"node": "node-1"}), ("bfd-down", {"node": "node-1"})]


def test_settings_are_the_contract_s(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"container": "gateway", "settings": {"routing": {"bird_log": "/dev/shm/bird.log", "nodes": {"a": "b"}}}}')
    container, settings = read_settings(file)
    assert (container, settings.bird_log, settings.nodes) == ("gateway", Path("/dev/shm/bird.log"), {"a": "b"})
    file.write_text('{"container": "gateway", "settings": {"routing": {"log": ""}}}')
    with pytest.raises(SettingsError, match="unknown keys"):
        read_settings(file)
