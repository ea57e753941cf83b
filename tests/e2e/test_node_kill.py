"""The main story, small: the static route dies with its next hop, NodePort behind HAProxy goes on, the control stays refused."""

import pytest
from testbed_command import Left, Testbed

pytestmark = pytest.mark.e2e


def test_static_route_loses_everything_while_its_next_hop_is_dead_and_nodeport_does_not(testbed: Testbed, left_of: Left) -> None:
    finished = testbed.run("kill.yaml")
    outcome = finished.outcome
    # A machine that runs other tests beside this one may send late; nothing else may be wrong with the measurement.
    broken = {check["name"] for check in outcome["validity"] if not check["valid"]}
    assert broken <= {"sender lateness", "control probe"}, finished.output
    assert outcome["verdict"] == ("invalid" if broken else "pass"), finished.output
    step = outcome["measurements"]["steps"][0]
    assert abs(step["deviation_ms"]) < 100
    assert "down" in step["evidence"]
    outages = {(item["path"], item["connection_class"]): item for item in outcome["measurements"]["outages"]}
    for name in ("new", "keepalive"):
        dead = outages["static-route", name]
        # Nothing but the node's return brings it back: dead for at least the 8 s that the node was.
        assert dead["total_outage_s"] >= 7.5, dead
        assert dead["attribution"] == {"next hop": dead["failed"]}
        alive = outages["nodeport", name]
        assert alive["failed"] < dead["failed"] / 3, alive
        assert alive["attribution"].get("unexplained", 0) == 0, alive
        assert outages["service-port-on-node", name]["failed"] == 0
    names = [stage["name"] for stage in outages["nodeport", "new"]["stages"]]
    for stage in ("fault effective", "load balancer marks down", "node not ready", "endpoints withdrawn", "rules programmed"):
        assert stage in names, names
    assert left_of(finished.run_id) == []


def test_rescale_up_loses_nothing_and_drained_rescale_down_loses_nothing_on_nodeport(testbed: Testbed, left_of: Left) -> None:
    finished = testbed.run("rescale.yaml")
    rescales = finished.outcome["measurements"]["rescales"]
    assert {item["direction"] for item in rescales} == {"up", "down"}
    for item in rescales:
        assert item["done_s"] is not None, item
        if item["direction"] == "up" or item["path"] == "nodeport":
            assert item["lost"] == 0, item
    served = finished.outcome["measurements"]["served"]
    assert [item["node"] for item in served] == ["node-3"]
    assert all(item["first_answer_s"] is not None for item in served)
    assert left_of(finished.run_id) == []
