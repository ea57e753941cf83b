"""A node kill of ten events and some hundred made-up requests, measured and judged from end to end."""

from pathlib import Path

import numpy as np
import pytest

from orchestrator.experiment import load_request
from orchestrator.judge import judge
from orchestrator.metrics.attribution import Connection
from orchestrator.metrics.measure import measure
from orchestrator.model.history import Event, order_events
from orchestrator.model.measurements import Measurements
from orchestrator.model.outcome import Outcome as RunOutcome
from orchestrator.model.outcome import SloResult, Verdict
from orchestrator.model.plan import Plan, SloPlan
from orchestrator.model.samples import SAMPLE_DTYPE, Outcome, Samples
from orchestrator.slo import judge_objective

ROOT = Path(__file__).resolve().parents[3]
START_NS = 1_000_000_000_000
STRINGS = ("", "static-route", "nodeport", "service-port-on-node", "control", "new", "node-2", "pod-2", "client")
PATHS = {name: number for number, name in enumerate(STRINGS)}


@pytest.fixture(scope="module")
def plan() -> Plan:
    overrides = {
        "load.classes": ["new"],
        "load.rate": "10/s",
        "load.control_rate": "10/s",
        "duration": "40s",
        "timeline.1.at": "36s",
    }
    loaded = load_request(ROOT / "loadtests" / "scenarios" / "node-kill.yaml", {**overrides, "timeline.2.at": "36.5s"}, None)
    full = loaded.plan()
    # The kill alone: at 10 s, for 15 s.
    from dataclasses import replace

    return replace(full, timeline=full.timeline[:1], slos=tuple(slo for slo in full.slos if not slo.kind.startswith("lost")))


def at(seconds: float, source: str, event: str, **fields: object) -> Event:
    return Event(t_mono_ns=START_NS + round(seconds * 1e9), source=source, event=event, fields=fields)


HISTORY = order_events(
    [
        at(0, "client/load", "load-started", start_mono_ns=START_NS),
        at(10.002, "orchestrator", "step-effective", step="1-node-kill", evidence="eth0 down"),
        at(11.5, "loadbalancer/lb", "server-down", backend="nodeport", server="node-1"),
        at(15.0, "controlplane/api", "node-not-ready", node="node-1"),
        at(
            15.1,
            "controlplane/api",
            "endpoint-not-ready",
            node="node-1",
            endpoint="10.0.1.2:8080",
            service="default/service-test",
        ),
        at(15.2, "node-2/agent", "rules-committed", endpoints={"default/service-test:http": ["10.0.2.2:8080"]}),
        at(15.3, "node-3/agent", "rules-committed", endpoints={"default/service-test:http": ["10.0.2.2:8080"]}),
        at(25.4, "node-1/init", "booted"),
        at(25.5, "orchestrator", "step-healed", step="1-node-kill"),
        at(25.6, "orchestrator", "step-done", step="1-node-kill"),
    ]
)


def requests(path: str, outcome_at: dict[float, Outcome] | None = None, *, dead: tuple[float, float] | None = None) -> np.ndarray:
    """Ten a second for 40 s; `outcome_at` by intended second, or everything timed out between two instants."""
    records = np.zeros(400, dtype=SAMPLE_DTYPE)
    for number, record in enumerate(records):
        second = number / 10
        intended = START_NS + round(second * 1e9)
        outcome = (outcome_at or {}).get(second, Outcome.OK)
        if path == "service-port-on-node":
            outcome = Outcome.REFUSED
        if dead and dead[0] <= second < dead[1]:
            outcome = Outcome.CONNECT_TIMEOUT
        wait_ns = 1_000_000_000 if outcome is Outcome.CONNECT_TIMEOUT else 2_000_000
        record["intended_ns"], record["sent_ns"], record["end_ns"] = intended, intended + 500_000, intended + wait_ns
        record["path_id"], record["class_id"], record["outcome"] = PATHS[path], PATHS["new"], outcome
        record["attempt"], record["connection_use"], record["local_port"] = 1, 1, 10000 + number
        if outcome is Outcome.OK:
            record["node_id"], record["pod_id"] = PATHS["node-2"], PATHS["pod-2"]
    return records


def sampled(**lost: dict[float, Outcome]) -> Samples:
    parts = [
        requests("static-route", dead=(10.1, 25.4)),
        requests("nodeport", lost.get("nodeport")),
        requests("service-port-on-node"),
        requests("control", lost.get("control")),
    ]
    records = np.concatenate(parts)
    return Samples(records=records[np.argsort(records["intended_ns"], kind="stable")], strings=STRINGS)


def totals(plan: Plan, sent: int = 400) -> dict[str, object]:
    return {"classes": [{"path": item.path, "class": "new", "sent": sent} for item in plan.load.classes], "bound_reached": False}


def ended(second: float, server: str) -> Connection:
    """The proxy's log of the request intended at that second."""
    end = START_NS + round((second + 1.0) * 1e9)
    return Connection(t_mono_ns=end, client_port=10000 + round(second * 10), backend="nodeport", server=server, total_ms=999.0)


LOST = {10.5: Outcome.RESPONSE_TIMEOUT, 11.0: Outcome.CLOSED, 13.0: Outcome.RESPONSE_TIMEOUT, 20.0: Outcome.RESET}
LOG = (ended(10.5, "node-1"), ended(11.0, "<NOSRV>"), ended(13.0, "node-2"), ended(20.0, "node-3"))


@pytest.fixture(scope="module")
def measured(plan: Plan) -> Measurements:
    return measure(plan, HISTORY, sampled(nodeport=LOST), connections=LOG, totals=totals(plan))


def test_static_route_is_down_from_the_fault_until_its_next_hop_is_back(measured: Measurements) -> None:
    outage = next(item for item in measured.outages if item.path == "static-route")
    assert outage.effective_s == pytest.approx(10.002)
    assert outage.first_loss_s == pytest.approx(10.1)
    assert outage.convergence_s == pytest.approx(25.4 - 10.002)
    assert outage.resolution_s == pytest.approx(0.1)
    assert outage.loss_derived_s == pytest.approx(15.3)
    assert outage.attribution == {"next hop": 153}
    assert "node boots" in [stage.name for stage in outage.stages]


def test_each_loss_behind_the_load_balancer_has_its_cause(measured: Measurements) -> None:
    outage = next(item for item in measured.outages if item.path == "nodeport")
    assert outage.attribution == {"entry": 1, "no server": 1, "endpoint": 1, "unexplained": 1}
    assert sum(outage.attribution.values()) == outage.failed


def test_stages_are_told_by_the_events_in_their_order(measured: Measurements) -> None:
    outage = next(item for item in measured.outages if item.path == "nodeport")
    stages = {stage.name: stage for stage in outage.stages}
    assert stages["load balancer marks down"].at_s == pytest.approx(11.5)
    assert stages["rules programmed"].at_s == pytest.approx(15.3), "the last live node counts"
    assert stages["rules programmed"].source == "node-3/agent"
    assert [stage.at_s for stage in outage.stages] == sorted(stage.at_s for stage in outage.stages)


def test_negative_control_counts_as_answered_when_it_is_refused(measured: Measurements) -> None:
    (control,) = measured.of("service-port-on-node")
    assert (control.ok, control.refused, control.availability_ratio) == (400, 400, 1.0)


def test_time_outs_are_censored_observations_and_never_left_out(measured: Measurements) -> None:
    (item,) = measured.of("static-route")
    assert item.latency is not None
    assert item.latency.censored == 153
    assert item.latency.count == 400
    assert item.latency.p99_ms == pytest.approx(1000, rel=0.01)


def judged(plan: Plan, measurements: Measurements) -> RunOutcome:
    return judge(plan, measurements, run_id="x", judge_objective=judge_objective, versions={})


def test_run_whose_objectives_are_met_passes(plan: Plan, measured: Measurements) -> None:
    outcome = judged(plan, measured)
    assert outcome.verdict is Verdict.PASS, [check for check in outcome.validity if not check.valid]
    assert outcome.exit_code == 0


def test_missed_objective_fails(plan: Plan) -> None:
    lost = {second / 10: Outcome.RESET for second in range(100, 200)}
    outcome = judged(plan, measure(plan, HISTORY, sampled(nodeport=lost), totals=totals(plan)))
    assert outcome.verdict is Verdict.FAIL
    assert outcome.exit_code == 1


@pytest.mark.parametrize("broken", ["control", "totals missing", "sent differs", "no evidence", "bound"])
def test_what_was_not_well_measured_is_invalid_even_when_objectives_are_missed(plan: Plan, broken: str) -> None:
    lost = {second / 10: Outcome.RESET for second in range(100, 200)}
    samples = sampled(nodeport=lost, control={3.0: Outcome.RESET} if broken == "control" else {})
    history = HISTORY
    if broken == "no evidence":
        history = order_events(event for event in HISTORY.events if event.event != "step-effective")
    count = None if broken == "totals missing" else totals(plan, 401 if broken == "sent differs" else 400)
    if broken == "bound":
        count = {**totals(plan), "bound_reached": True}
    outcome = judged(plan, measure(plan, history, samples, totals=count))
    assert outcome.verdict is Verdict.INVALID
    assert outcome.exit_code == 2


def test_crashing_check_is_invalid_and_never_a_pass(plan: Plan, measured: Measurements) -> None:
    def crash(slo: SloPlan, measurements: Measurements) -> SloResult:
        raise ZeroDivisionError("a defect")

    outcome = judge(plan, measured, run_id="x", judge_objective=crash, versions={})
    assert outcome.verdict is Verdict.INVALID
    assert all("ZeroDivisionError" in item.reason for item in outcome.objectives)
