"""Routed paths through a node's end, small: a standing route keeps the dead node, kept ones leave it, each by its own means."""

import pytest
from testbed_command import Left, Testbed

pytestmark = pytest.mark.e2e


def test_kept_routes_leave_a_dead_node_and_a_standing_one_does_not(testbed: Testbed, left_of: Left) -> None:
    finished = testbed.run("routes.yaml")
    outcome = finished.outcome
    assert outcome["verdict"] in ("pass", "invalid"), finished.output
    outages = {item["path"]: item for item in outcome["measurements"]["outages"]}
    effective_s = outages["bgp"]["effective_s"]
    stages = {path: {stage["name"]: stage["at_s"] - effective_s for stage in item["stages"]} for path, item in outages.items()}

    assert "route withdrawn" not in stages["static-ecmp"]
    standing = outages["static-ecmp"]["attribution"]
    assert set(standing) == {"next hop", "next hop or endpoint"}, standing
    # It had its share of the losses until the node was back, long after the rules had left the node's pods out.
    assert outages["static-ecmp"]["last_loss_s"] > effective_s + 8.0 - 1.0

    # The hold time of 3 s, or a quarter less, runs from the last message, which was at most one keepalive of 1 s old.
    for stage in ("BGP session down", "route withdrawn"):
        assert stages["bgp"][stage] >= 1.0, stages
    assert stages["bgp-bfd"]["BFD down"] < stages["bgp"]["BGP session down"], stages
    assert stages["vip"]["address taken over"] >= 0.9, stages
    assert outages["vip"]["attribution"].get("next hop", 0) > 0, outages["vip"]
    for path in ("bgp", "vip"):
        assert outages[path]["failed"] < outages["static-ecmp"]["failed"], outages[path]
    assert left_of(finished.run_id) == []
