"""How often a measured outage lies within the bound that the plan's own settings give it.

`TESTBED_TRIALS=100 make bench` runs as many trials as a claim of 95 in 100 needs; a few show whether theory and practice meet.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from orchestrator.report.outcome_json import load_outcome

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = ROOT / "loadtests" / "scenarios" / "loadbalancer.yaml"
TRIALS = int(os.environ.get("TESTBED_TRIALS", "2"))
TRIAL_DEADLINE_S = 180
WITHIN_RATIO = 0.95


def test_outages_against_their_bounds(tmp_path: Path) -> None:
    timeline = [{"at": "8s", "phase": "1s", "fault": "node-kill", "target": "any", "for": "12s"}]
    argv = [sys.executable, "-m", "orchestrator.cli", "run", str(SCENARIO), "--results", str(tmp_path)]
    for override in (f"trials={TRIALS}", "slo={}", f"timeline={json.dumps(timeline)}"):
        argv += ["--set", override]
    finished = subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, text=True, timeout=TRIALS * TRIAL_DEADLINE_S)
    files = {item.resolve() for item in tmp_path.glob("*/*/outcome.json")}  # `latest` is one of them again
    outcomes = [load_outcome(item.read_text(encoding="utf-8")) for item in sorted(files)]
    assert len(outcomes) == TRIALS, finished.stdout + finished.stderr
    found = defaultdict(list)
    for outcome in outcomes:
        for outage in outcome.measurements.outages:
            if outage.is_within_bound is not None:
                found[outage.path, outage.connection_class].append(outage)
    sys.stdout.write(f"\n{TRIALS} trials, one node killed in each\n")
    for (path, name), outages in sorted(found.items()):
        longest_s = max((item.convergence_s for item in outages if item.convergence_s is not None), default=0.0)
        within = sum(bool(item.is_within_bound) for item in outages)
        bound_s = max(item.bound_s or 0.0 for item in outages)
        sys.stdout.write(
            f"{path}/{name}: longest {longest_s:.2f} s, at most {bound_s:.2f} s; {within} of {len(outages)} within\n"
        )
    every = [bool(item.is_within_bound) for outages in found.values() for item in outages]
    assert len(every) == TRIALS * 10, "each of five paths and two classes has a bound"
    assert sum(every) >= WITHIN_RATIO * len(every)
