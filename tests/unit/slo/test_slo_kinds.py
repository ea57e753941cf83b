"""Every kind of objective against measurements that meet it, miss it, and do not tell."""

from dataclasses import replace

import pytest

from orchestrator.model.measurements import Measurements
from orchestrator.model.outcome import SloResult
from orchestrator.slo import SLOS, judge_objective, parse_objective
from tests.unit.judge.outcome_builder import class_measured, measured, outage, rescale

NEW, KEPT = class_measured("nodeport", "new", ok=990), class_measured("nodeport", "keepalive", ok=950)
BOTH = measured(NEW, KEPT)
OUTAGES = measured(NEW, outages=(outage("new"), outage("keepalive", convergence_s=9.0, outage_s=8.5)))
NOT_CONVERGED = measured(NEW, outages=(outage("new"), outage("keepalive", convergence_s=None)))
CENSORED = measured(replace(NEW, latency=replace(NEW.latency, censored=11) if NEW.latency else None))
"""More than one in a hundred timed out."""
UNSENT = measured(replace(class_measured(sent=0, ok=0), time_availability_ratio=None, latency=None))


def result(kind: str, value: object, measurements: Measurements, subject: str = "nodeport") -> SloResult:
    return judge_objective(parse_objective(kind, value, subject), measurements)


@pytest.mark.parametrize(
    ("kind", "value", "measurements", "shown", "met"),
    [
        ("availability", ">= 95%", BOTH, "95.000%", True),
        ("availability", ">= 97%", BOTH, "95.000%", False),
        ("time_availability", ">= 95%", BOTH, "95.000%", True),
        ("time_availability", "> 95%", BOTH, "95.000%", False),
        ("refused", ">= 100%", measured(replace(NEW, refused=1000)), "100.000%", True),
        ("refused", ">= 100%", measured(replace(NEW, refused=999)), "99.900%", False),
        ("convergence", "<= 9s", OUTAGES, "9s", True),
        ("convergence", "<= 8s", OUTAGES, "9s", False),
        ("convergence", "<= 1h", NOT_CONVERGED, "not converged", False),
        ("outage", "<= 8.5s", OUTAGES, "8.5s", True),
        ("outage", "<= 8s", OUTAGES, "8.5s", False),
        ("outage", "<= 1h", NOT_CONVERGED, "not converged", False),
        ("converged", True, OUTAGES, "true", True),
        ("converged", True, NOT_CONVERGED, "false", False),
        ("converged", False, NOT_CONVERGED, "false", True),
        ("lost_requests", "<= 60", BOTH, "60", True),
        ("lost_requests", "<= 59", BOTH, "60", False),
        ("lost_scaling_up", "<= 0", measured(rescales=(rescale("up"), rescale("down", lost=5))), "0", True),
        ("lost_scaling_up", "<= 0", measured(rescales=(rescale("up", lost=1), rescale("up", lost=2))), "3", False),
        ("lost_draining", "<= 0", measured(rescales=(rescale("down", drained=True), rescale("down", lost=5))), "0", True),
        ("lost_draining", "<= 0", measured(rescales=(rescale("down", drained=True, lost=5),)), "5", False),
        ("latency_p99", "<= 40ms", BOTH, "40ms", True),
        ("latency_p99", "< 40ms", BOTH, "40ms", False),
        ("latency_p99", "<= 1h", CENSORED, "longer than was waited", False),
    ],
)
def test_kind_judges_the_worst_of_what_it_measures(
    kind: str, value: object, measurements: Measurements, shown: str, met: bool
) -> None:
    found = result(kind, value, measurements)
    assert (found.measured, found.met, found.reason) == (shown, met, "")


@pytest.mark.parametrize(
    ("kind", "value", "measurements"),
    [
        ("availability", ">= 0%", UNSENT),
        ("time_availability", ">= 0%", UNSENT),
        ("refused", ">= 0%", UNSENT),
        ("latency_p99", "<= 1h", UNSENT),
        ("convergence", "<= 1h", BOTH),
        ("outage", "<= 1h", BOTH),
        ("converged", True, BOTH),
        ("lost_requests", "<= 9", measured(class_measured("static-route"))),
        ("lost_scaling_up", "<= 9", measured(rescales=(rescale("down"),))),
        ("lost_scaling_up", "<= 9", measured(rescales=(rescale("up", done_s=None),))),
        ("lost_draining", "<= 9", measured(rescales=(rescale("down", drained=False),))),
        ("lost_draining", "<= 9", measured(rescales=(rescale("down", drained=True, done_s=None),))),
    ],
)
def test_what_was_not_measured_is_neither_met_nor_missed(kind: str, value: object, measurements: Measurements) -> None:
    found = result(kind, value, measurements)
    assert (found.met, found.measured, found.reason) == (None, "-", "not measured in this run")


def test_every_kind_is_tried_above() -> None:
    marks = [mark for mark in test_kind_judges_the_worst_of_what_it_measures.pytestmark if mark.name == "parametrize"]
    assert {case[0] for mark in marks for case in mark.args[1]} == set(SLOS)


def test_one_class_without_a_number_makes_the_whole_path_unknown() -> None:
    assert result("availability", ">= 0%", measured(NEW, replace(KEPT, availability_ratio=None))).met is None


def test_objective_of_one_class_leaves_the_others_out() -> None:
    assert result("availability", ">= 97%", BOTH, "nodeport/new").met is True
    assert result("availability", ">= 97%", BOTH, "nodeport/keepalive").met is False
    assert result("convergence", "<= 8s", NOT_CONVERGED, "nodeport/new").met is True
    assert result("availability", ">= 0%", BOTH, "nodeport/absent").met is None


def test_other_paths_do_not_count() -> None:
    other = measured(NEW, outages=(outage(path="static-route", convergence_s=None), outage()))
    assert result("convergence", "<= 8s", other).met is True


def test_fault_that_cost_nothing_converged_at_once() -> None:
    calm = measured(NEW, outages=(replace(outage(), failed=0, convergence_s=0.0, outage_s=0.0),))
    assert (result("convergence", "<= 0s", calm).measured, result("outage", "<= 0s", calm).met) == ("0s", True)


def test_ratio_that_is_not_all_is_never_shown_as_all() -> None:
    almost = measured(class_measured(sent=1_000_000, ok=999_999))
    assert result("availability", ">= 100%", almost).measured == "99.999%"
