"""Every way in through the same node kill and the same rescale: the facts of the comparison, path by path."""

from pathlib import Path

import pytest
from testbed_command import ROOT, Left, Testbed

from orchestrator.report.comparison import compare_paths
from orchestrator.report.outcome_json import load_outcome
from orchestrator.store import RunDirectory

pytestmark = pytest.mark.e2e

SCENARIO = ROOT / "loadtests" / "scenarios" / "all-paths.yaml"
# The scenario as it is shipped. How well a busy machine lets it be measured is no matter of the facts below, which are orders apart.
UNJUDGED = ("--set", "load.lateness_limit=2s", "--set", "load.control_latency_limit=5s")

SURVIVES = {
    "static-route": False,
    "static-ecmp": False,
    "bgp": True,
    "vip": True,
    "nodeport": True,
    "nodeport-direct": False,
    "loadbalancer": True,
    "ingress": True,
    "hostport": False,
    "hostnetwork": False,
}
CONTROL = "service-port-on-node"
KEEP_THE_SOURCE = {"hostport", "hostnetwork"}
"""Every other way ends in rules that masquerade: of a cluster IP, an external IP or a node port with policy Cluster."""
DRAINED_WITHOUT_A_LOSS = {"nodeport", "loadbalancer", "ingress"}
NODES = 3


def test_every_path_is_reachable_and_does_with_a_dead_entry_node_what_its_kind_can(testbed: Testbed, left_of: Left) -> None:
    finished = testbed("run", str(SCENARIO), "--results", str(testbed.results), *UNJUDGED, deadline_s=240)
    assert finished.status in (0, 1, 2), finished.output
    assert finished.directory is not None
    outcome = load_outcome((Path(finished.directory) / "outcome.json").read_text(encoding="utf-8"))
    plan = RunDirectory(path=finished.directory).load_plan()
    facts = {item.path: item for item in compare_paths(outcome, plan)}
    assert set(facts) == {*SURVIVES, CONTROL}

    assert {name for name, item in facts.items() if not item.is_reachable} == set()
    (control,) = outcome.measurements.of(CONTROL)
    assert control.refused == control.ok == control.sent > 0

    assert {name: facts[name].source_kept for name in SURVIVES} == {name: name in KEEP_THE_SOURCE for name in SURVIVES}
    assert {name: facts[name].survives for name in SURVIVES} == SURVIVES
    # A pod on the called node, and nobody else, answers these.
    assert {name: facts[name].nodes_used for name in SURVIVES} == {
        name: 1 if name in KEEP_THE_SOURCE else NODES for name in SURVIVES
    }

    outages = {name: item.outage for name, item in facts.items() if item.outage is not None}
    assert set(outages) == set(facts)
    assert all(item.bound_why for item in outages.values()), "a bound, or what it is that sets none"
    bounded = {name for name, item in outages.items() if item.bound_s is not None}
    assert bounded == {name for name, survives in SURVIVES.items() if survives} | {CONTROL}
    late = {name: item for name, item in outages.items() if item.is_within_bound is False}
    assert late == {}
    assert outages[CONTROL].failed == 0

    lost = {item.path: item.lost for item in outcome.measurements.rescales if item.drained}
    assert {name: lost[name] for name in DRAINED_WITHOUT_A_LOSS} == dict.fromkeys(DRAINED_WITHOUT_A_LOSS, 0)
    assert left_of(finished.run_id) == []
