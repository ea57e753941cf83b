"""Whole runs: what the pods see of the client behind each kind of load balancer."""

import pytest
from testbed_command import Left, Testbed

pytestmark = pytest.mark.e2e


def test_only_the_proxy_protocol_carries_the_client_s_address_past_haproxy(testbed: Testbed, left_of: Left) -> None:
    """policy Cluster: the node masquerades; policy Local: the node keeps what it got, which is HAProxy's address."""
    finished = testbed.run("source-address.yaml")
    assert finished.status == 0, finished.output
    seen = {item["path"]: item for item in finished.outcome["measurements"]["sources"]}
    assert {path: (set(item["share_by_owner"]), item["source_kept"]) for path, item in seen.items()} == {
        "nodeport": ({"node"}, False),
        "cluster": ({"node"}, False),
        "local": ({"load balancer"}, False),
        "proxied": ({"client"}, True),
    }
    assert all(item["requests"] == 200 for item in seen.values())
    assert finished.directory is not None
    assert "client 100.0 %" in (finished.directory / "summary.md").read_text(encoding="utf-8")
    assert left_of(finished.run_id) == []
