"""Pass, fail or invalid: what was not measured, or not well enough, is never judged."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import ExitCode
from orchestrator.judge import check_validity, decide, judge
from orchestrator.model.measurements import LoadQuality, Measurements, Stopped
from orchestrator.model.outcome import Outcome, SloResult, ValidityCheck, Verdict
from orchestrator.model.plan import Plan, SloPlan, StepPlan
from orchestrator.slo import judge_objective, parse_objective
from tests.unit.judge.outcome_builder import class_measured, load_sent, measured, offering_a_thousand, outage, rescale, step_taken
from tests.unit.metrics.sample_builder import real_plan

MET, MISSED = parse_objective("availability", ">= 97%", "nodeport"), parse_objective("availability", ">= 99.9%", "nodeport")
UNMEASURED = parse_objective("convergence", "<= 8s", "nodeport")


def plan_of(*slos: SloPlan) -> Plan:
    return replace(offering_a_thousand(real_plan()), slos=slos)


def judged(plan: Plan, measurements: Measurements, *notes: str) -> Outcome:
    return judge(plan, measurements, run_id="r1", judge_objective=judge_objective, versions={"haproxy": "2.6"}, notes=notes)


def test_met_objectives_pass() -> None:
    outcome = judged(plan_of(MET), measured())
    assert (outcome.verdict, outcome.exit_code) == (Verdict.PASS, ExitCode.PASS)
    assert (outcome.run_id, outcome.scenario, outcome.seed, outcome.versions) == ("r1", "node-kill", 42, {"haproxy": "2.6"})


def test_one_missed_objective_fails() -> None:
    outcome = judged(plan_of(MET, MISSED), measured())
    assert (outcome.verdict, outcome.exit_code) == (Verdict.FAIL, ExitCode.SLO_FAILED)
    assert [item.met for item in outcome.objectives] == [True, False]


def test_objective_that_was_not_measured_is_invalid() -> None:
    outcome = judged(plan_of(MET, UNMEASURED), measured())
    assert (outcome.verdict, outcome.exit_code) == (Verdict.INVALID, ExitCode.INVALID)
    assert outcome.objectives[1].reason == "not measured in this run"


def test_invalid_outweighs_fail() -> None:
    assert judged(plan_of(MISSED, UNMEASURED), measured()).verdict is Verdict.INVALID
    late = replace(measured(), load=load_sent(lateness_p99_ms=50.0))
    assert judged(plan_of(MISSED), late).verdict is Verdict.INVALID


def test_crash_of_one_check_is_invalid_and_leaves_the_others_judged() -> None:
    def crash_once(slo: SloPlan, measurements: Measurements) -> SloResult:
        if slo is MISSED:
            raise KeyError("p99")
        return judge_objective(slo, measurements)

    outcome = judge(plan_of(MET, MISSED), measured(), run_id="r1", judge_objective=crash_once, versions={})
    assert outcome.verdict is Verdict.INVALID
    assert [item.met for item in outcome.objectives] == [True, None]
    assert outcome.objectives[1].reason == "the check failed: KeyError('p99')"


def test_trouble_in_our_own_machinery_is_invalid_and_named() -> None:
    outcome = judged(plan_of(MET), measured(), "samples could not be fetched: gone")
    assert outcome.verdict is Verdict.INVALID
    assert [check.found for check in outcome.validity if not check.valid] == ["samples could not be fetched: gone"]


LOAD = load_sent()
BROKEN_LOADS = [
    ("sender lateness", load_sent(lateness_p99_ms=10.0), "p99 10.00 ms"),
    ("samples recorded", load_sent(recorded=999), "nodeport/new 999 of 1000"),
    ("arrivals", load_sent(sent=500, recorded=500), "nodeport/new 500 of 1000"),
    ("arrivals", load_sent(sent=998, recorded=998), "nodeport/new 998 of 1000"),
    ("samples recorded", replace(LOAD, complete=False), "1000; the sender reported no totals"),
    ("in-flight bound", replace(LOAD, bound_reached=True), "reached"),
    ("control probe", replace(LOAD, control_failed=1), "1 of 100 failed, p99 3.00 ms"),
    ("control probe", replace(LOAD, control_p99_ms=100.0), "0 of 100 failed, p99 100.00 ms"),
    ("control probe", replace(LOAD, control_sent=0, control_p99_ms=None), "0 of 0 failed, p99 - ms"),
]


@pytest.mark.parametrize(("name", "load", "found"), BROKEN_LOADS)
def test_load_that_was_not_well_made_is_invalid(name: str, load: LoadQuality, found: str) -> None:
    outcome = judged(plan_of(MET), replace(measured(), load=load))
    assert outcome.verdict is Verdict.INVALID
    assert [(check.name, check.found) for check in outcome.validity if not check.valid] == [(name, found)]


def test_a_class_that_never_sent_is_invalid_although_nothing_is_asked_of_its_path() -> None:
    outcome = judged(replace(real_plan(), slos=()), measured())
    (check,) = [check for check in outcome.validity if check.name == "arrivals"]
    assert "static-route/new 0 of 12000" in check.found
    assert outcome.verdict is Verdict.INVALID


def test_poisson_arrivals_may_deviate_as_far_as_chance_goes() -> None:
    plan = plan_of(MET)
    (offered,) = plan.load.classes
    poisson = replace(plan, load=replace(plan.load, classes=(replace(offered, arrivals="poisson"),)))
    for recorded, valid in ((1000, True), (1150, True), (850, True), (1170, False), (500, False)):
        found = replace(measured(), load=load_sent(sent=recorded, recorded=recorded))
        assert [check.valid for check in check_validity(poisson, found) if check.name == "arrivals"] == [valid], recorded


def test_a_run_that_was_stopped_need_not_have_sent_all() -> None:
    stopped = Stopped(at_s=30.0, condition="nodeport: 100 failed", failed=100, is_objective=True)
    found = replace(measured(), load=load_sent(sent=500, recorded=500), stopped=stopped)
    assert not [check for check in check_validity(plan_of(MET), found) if check.name == "arrivals"]


def test_a_control_probe_whose_way_a_step_strikes_tells_nothing_of_the_machine() -> None:
    plan = plan_of(MET)
    step = StepPlan(step="1-gateway-reboot", kind="gateway-reboot", at_s=1, for_s=None, targets=("gateway",))
    disturbed = replace(measured(), load=replace(LOAD, control_failed=40))
    checks = [
        check
        for strikes in (False, True)
        for check in check_validity(replace(plan, timeline=(replace(step, strikes_control_path=strikes),)), disturbed)
        if check.name == "control probe"
    ]
    assert [check.valid for check in checks] == [False, True]
    assert checks[1].limit == "none: 1-gateway-reboot strikes its path"


def test_step_without_evidence_or_with_a_failure_is_invalid() -> None:
    unproved = replace(step_taken(), effective_s=None, evidence="")
    failed = replace(step_taken(), step="2", failure="no such container")
    outcome = judged(plan_of(MET), replace(measured(), steps=(unproved, failed)))
    assert outcome.verdict is Verdict.INVALID
    broken = [(check.name, check.found) for check in outcome.validity if not check.valid]
    assert broken == [("step 1-node-kill", "no evidence"), ("step 2", "no such container")]


@pytest.mark.parametrize(
    ("late_ms", "known_within_ms", "valid"),
    [(0.2, 0.1, True), (100.0, 20.0, True), (101.0, 0.1, False), (0.2, 20.5, False), (None, 0.1, True), (3.0, None, True)],
)
def test_strike_whose_instant_was_missed_or_is_not_known_is_invalid(
    late_ms: float | None, known_within_ms: float | None, valid: bool
) -> None:
    step = replace(step_taken(), late_ms=late_ms, known_within_ms=known_within_ms)
    outcome = judged(plan_of(MET), replace(measured(), steps=(step,)))
    (check,) = (check for check in outcome.validity if check.name == "instant of 1-node-kill")
    assert check.valid is valid
    assert outcome.verdict is (Verdict.PASS if valid else Verdict.INVALID)
    assert check.limit == "100 ms late at most, known to within 20 ms"


def test_strike_may_be_as_late_as_the_plan_lets_the_sender_be() -> None:
    plan = plan_of(MET)
    lenient = replace(plan, load=replace(plan.load, lateness_limit_s=0.5))
    step = replace(step_taken(), late_ms=400.0, known_within_ms=400.0)
    assert judged(lenient, replace(measured(), steps=(step,))).verdict is Verdict.PASS


def test_step_of_which_nothing_fires_on_the_clock_has_no_instant_to_miss() -> None:
    assert not [check for check in judged(plan_of(MET), measured()).validity if check.name.startswith("instant")]


def test_limits_of_validity_are_the_plans() -> None:
    plan = plan_of(MET)
    lenient = replace(plan, load=replace(plan.load, lateness_limit_s=0.1))
    late = replace(measured(), load=load_sent(lateness_p99_ms=50.0))
    check = next(item for item in check_validity(lenient, late) if item.name == "sender lateness")
    assert (check.valid, check.limit) == (True, "p99 below 100 ms")


def result(met: bool | None) -> SloResult:
    return SloResult(subject="nodeport", kind="availability", objective=">= 97%", measured="-", met=met)


@settings(deadline=None)
@given(st.lists(st.sampled_from([True, False, None]), max_size=5), st.lists(st.booleans(), max_size=5))
def test_verdict_passes_only_when_everything_is_valid_and_met(met: list[bool | None], valid: list[bool]) -> None:
    checks = [ValidityCheck(name="check", valid=item, found="", limit="") for item in valid]
    verdict = decide((result(item) for item in met), checks)
    assert (verdict is Verdict.INVALID) == (None in met or False in valid)
    assert (verdict is Verdict.PASS) == (all(met) and all(valid))


def findings(measurements: Measurements) -> str:
    return next(text for text in judged(plan_of(), measurements).findings if text.startswith("nodeport:"))


def test_findings_say_what_a_fault_and_a_rescale_cost_a_path() -> None:
    text = findings(measured(outages=(outage(),), rescales=(replace(rescale(lost=3), step="1-node-kill"),)))
    lost = "1-node-kill: new lost 10 and converged after 5.00 s ± 5 ms"
    assert text == f"nodeport: 99.00% of 1000 requests ok; {lost}; 1-node-kill lost 3."


def test_findings_name_the_causes_the_biggest_first_and_what_no_step_explains() -> None:
    lossy = replace(outage(), attribution={"entry": 3, "endpoint": 7})
    text = findings(measured(replace(class_measured(), lost_outside=2), outages=(lossy,)))
    assert "new lost 10 (7 endpoint, 3 entry) and converged" in text
    assert "new lost 10 (all entry)" in findings(measured(outages=(replace(lossy, attribution={"entry": 10}),)))
    assert text.endswith("; 2 more lost outside every step.")


def test_findings_never_call_almost_all_all() -> None:
    assert "99.99% of 100000 requests ok" in findings(measured(class_measured(sent=100_000, ok=99_999)))


def test_findings_name_what_had_not_converged_was_untouched_or_never_sent() -> None:
    assert "lost 10 and had not converged after 25.0 s" in findings(measured(outages=(outage(convergence_s=None),)))
    assert "lost nothing" in findings(measured(outages=(replace(outage(), failed=0, convergence_s=0.0),)))
    assert findings(measured(class_measured(sent=0, ok=0))) == "nodeport: nothing was sent."


def test_findings_call_a_refused_negative_control_refused() -> None:
    outcome = judged(plan_of(), measured(class_measured("service-port-on-node", sent=10, ok=10)))
    assert outcome.findings[-1] == ("service-port-on-node: refused 10 of 10 requests (100.00%), as a negative control must be.")


def stopped_at(at_s: float, *, is_objective: bool) -> Measurements:
    stopped = Stopped(at_s=at_s, condition="100% of the error budget of nodeport", failed=61, is_objective=is_objective)
    later = replace(step_taken(), step="2-scale", effective_s=None)
    return replace(measured(), stopped=stopped, steps=(*measured().steps, later))


def test_run_that_was_stopped_because_an_objective_is_missed_for_good_fails() -> None:
    outcome = judged(plan_of(MISSED, UNMEASURED), stopped_at(31.24, is_objective=True))
    assert outcome.verdict is Verdict.FAIL
    stop, *steps = outcome.validity[:3]
    assert stop.found == "stopped at 31.2 s by 100% of the error budget of nodeport: 61 failed"
    assert [check.found for check in steps][-1] == "not reached: the run had been stopped"


def test_run_that_was_stopped_for_another_reason_is_invalid() -> None:
    assert judged(plan_of(MISSED), stopped_at(31.2, is_objective=False)).verdict is Verdict.INVALID


@pytest.mark.parametrize(("last_loss_s", "within"), [(None, True), (14.9, True), (18.0, False)])
def test_what_is_lost_after_a_path_was_sustained_counts_against_its_bound(last_loss_s: float | None, within: bool) -> None:
    found = replace(outage(convergence_s=4.0), bound_s=5.0, last_loss_s=last_loss_s)
    assert found.is_within_bound is within
    assert replace(found, convergence_s=None).is_within_bound is False
    assert replace(found, bound_s=None).is_within_bound is None
