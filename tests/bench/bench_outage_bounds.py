"""How often a measured outage lies within the bound that the plan's own settings give it.

A trial is one path through the kill or the freeze of one node, at any phase of checks and timers. Eight paths share a testbed and
its strikes: behind HAProxy on layer 4 (two kinds of checks, both traffic policies) and 7, and through routes that BGP, BFD and VRRP
keep. `TESTBED_TRIALS=100 make bench` makes as many as a claim of 95 in 100 needs (6 minutes).
"""

import json
import math
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from orchestrator.model.measurements import Outage
from orchestrator.model.outcome import Verdict
from orchestrator.report.outcome_json import load_outcome

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = Path(__file__).with_name("outage_bounds.yaml")
PATHS = ("nodeport", "healthz", "loadbalancer", "local", "ingress", "bgp", "bgp-bfd", "vip")
FAULTS = ("node-kill", "node-pause")
TRIALS = int(os.environ.get("TESTBED_TRIALS", "32"))
STRIKES = math.ceil(TRIALS / len(PATHS))
RUNS = math.ceil(STRIKES / 6)
STRIKES_OF_A_RUN = math.ceil(STRIKES / RUNS)
AWAY_S, SPACING_S, FIRST_S = 8, 18, 8
"""Away for longer than the control plane takes to notice; then everything is back, BGP sessions last."""
DEADLINE_S = RUNS * (FIRST_S + STRIKES_OF_A_RUN * SPACING_S + 60)
WITHIN_RATIO = 0.95


def timeline() -> list[dict[str, object]]:
    """The kinds of faults in turn, each strike at a random phase of the second."""
    return [
        {
            "fault": FAULTS[place % len(FAULTS)],
            "target": "any",
            "at": f"{FIRST_S + place * SPACING_S}s",
            "phase": "1s",
            "for": f"{AWAY_S}s",
        }
        for place in range(STRIKES_OF_A_RUN)
    ]


@pytest.mark.timeout(DEADLINE_S + 10)
def test_outages_against_their_bounds(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "orchestrator.cli", "run", str(SCENARIO), "--results", str(tmp_path)]
    duration_s = FIRST_S + STRIKES_OF_A_RUN * SPACING_S
    for key, value in {"trials": RUNS, "duration": f"{duration_s}s", "timeline": timeline()}.items():
        argv += ["--set", f"{key}={json.dumps(value)}"]
    finished = subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, text=True, timeout=DEADLINE_S)
    files = {item.resolve() for item in tmp_path.glob("*/*/outcome.json")}  # `latest` is one of them again
    outcomes = [load_outcome(item.read_text(encoding="utf-8")) for item in sorted(files)]
    assert len(outcomes) == RUNS, finished.stdout + finished.stderr
    valid = [outcome for outcome in outcomes if outcome.verdict is not Verdict.INVALID]
    assert valid, finished.stdout + finished.stderr

    found: dict[tuple[str, str], list[Outage]] = defaultdict(list)
    for outcome in valid:
        for outage in outcome.measurements.outages:
            found[outage.path, outage.kind].append(outage)
    for (path, fault), outages in sorted(found.items()):
        sys.stdout.write(f"{path} through {fault}: {describe(outages)}\n")
    trials = [outage.is_within_bound for outages in found.values() for outage in outages]
    within = sum(item is True for item in trials)
    sys.stdout.write(f"{within} of {len(trials)} trials in {len(valid)} valid runs of {RUNS} within their bounds\n")
    assert {path for path, _ in found} == set(PATHS)
    assert len(trials) == len(valid) * STRIKES_OF_A_RUN * len(PATHS)
    assert None not in trials, "each of these pairs has a bound"
    assert within >= WITHIN_RATIO * len(trials)


def describe(outages: list[Outage]) -> str:
    longest_s = max((item.convergence_s for item in outages if item.convergence_s is not None), default=0.0)
    bound_s = max(item.bound_s or 0.0 for item in outages)
    within = sum(item.is_within_bound is True for item in outages)
    return f"longest {longest_s:.2f} s, at most {bound_s:.2f} s; {within} of {len(outages)} within"
