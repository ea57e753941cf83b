"""What a node tells a load balancer that asks for one Service."""

from __future__ import annotations

import pytest
from node_world import GONE, HERE, LEAVING, LOCAL, NODE, THERE, Endpoint, service, slice_of

from nodeagent.proxy.agent_check import render_word
from nodeagent.proxy.services import read_service_ports

HERE_LEAVING: Endpoint = ("10.0.1.2", NODE, LEAVING)
HERE_GONE: Endpoint = ("10.0.1.2", NODE, GONE)


def word(*endpoints: Endpoint, asked: str = "default/web", healthy: bool = True, eligible: bool = True, **spec: str) -> str:
    ports = read_service_ports([service(**spec)], [slice_of(*endpoints)], NODE)
    return render_word(asked, ports, proxy_healthy=healthy, node_eligible=eligible)


@pytest.mark.parametrize(
    ("endpoints", "cluster", "local"),
    [
        ((HERE,), "up", "up"),
        ((THERE,), "up", "down #no ready endpoint here"),
        ((HERE_LEAVING, THERE), "up", "down #no ready endpoint here"),
        ((HERE_GONE,), "down #no ready endpoint", "down #no ready endpoint here"),
        ((), "down #no ready endpoint", "down #no ready endpoint here"),
    ],
)
def test_policy_decides_whose_endpoints_count(endpoints: tuple[Endpoint, ...], cluster: str, local: str) -> None:
    assert (word(*endpoints), word(*endpoints, **LOCAL)) == (cluster, local)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"healthy": False}, "down #rules are stale"),
        ({"eligible": False}, "down #node is leaving"),
        ({"asked": "default/other"}, "down #no such service"),
    ],
)
def test_node_that_should_get_no_connections_says_why(state: dict[str, object], told: str) -> None:
    assert word(HERE, **state) == told  # type: ignore[arg-type]
