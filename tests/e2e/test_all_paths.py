"""Every way in through the same node kill and the same rescale: the facts of the comparison, path by path."""

from pathlib import Path

import pytest
from testbed_command import ROOT, Left, Testbed

from orchestrator.report.comparison import compare_paths
from orchestrator.report.outcome_json import load_outcome
from orchestrator.store import RunDirectory

pytestmark = pytest.mark.e2e

SCENARIO = ROOT / "loadtests" / "scenarios" / "all-paths.yaml"
# Three seconds without a loss are needed to count as served again: at 20/s and with a third of the next hops dead, one is luck.
RELAXED = (
    "--set",
    "load.lateness_limit=2s",
    "--set",
    "load.control_latency_limit=5s",
    "--set",
    "load.rate=20/s",
    "--set",
    "convergence_validation=3s",
)

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
SOURCE_KEPT = {
    "static-route": False,
    "nodeport": False,
    "nodeport-direct": False,
    "loadbalancer": False,
    "ingress": False,
    "hostport": True,
    "hostnetwork": True,
}


def test_every_path_is_reachable_and_does_with_a_dead_entry_node_what_its_kind_can(testbed: Testbed, left_of: Left) -> None:
    finished = testbed("run", str(SCENARIO), "--results", str(testbed.results), *RELAXED, deadline_s=240)
    # How well the machine let it be measured is no matter of the facts below, which are orders apart.
    assert finished.status in (0, 1, 2), finished.output
    assert finished.directory is not None
    outcome = load_outcome((Path(finished.directory) / "outcome.json").read_text(encoding="utf-8"))
    facts = {item.path: item for item in compare_paths(outcome, RunDirectory(path=finished.directory).load_plan())}
    assert len(facts) == 11
    assert {name for name, item in facts.items() if not item.is_reachable} == set()
    assert {name: facts[name].survives for name in SURVIVES} == SURVIVES
    assert {name: facts[name].source_kept for name in SOURCE_KEPT} == SOURCE_KEPT
    refused = facts["service-port-on-node"]
    assert refused.outage is not None
    assert refused.outage.failed == 0
    # A pod on the called node, and nobody else, answers these; every other way uses more than one node.
    assert {name for name, item in facts.items() if item.nodes_used == 1} == {"hostport", "hostnetwork"}
    bounded = {name for name, item in facts.items() if item.outage is not None and item.outage.bound_s is not None}
    assert {"nodeport", "loadbalancer", "ingress", "bgp", "vip"} <= bounded
    assert left_of(finished.run_id) == []
