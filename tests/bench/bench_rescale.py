"""How soon a node that is asked for serves, and what the ways in lose, while a cluster grows from 3 to 10 nodes and shrinks again.

Two health checks 0.1 s apart are part of the time: until then HAProxy sends nothing to a new node.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from orchestrator.model.outcome import Verdict
from orchestrator.report.outcome_json import load_outcome

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = ROOT / "loadtests" / "scenarios" / "loadbalancer.yaml"
FEW, MANY = 3, 10
HAPROXY = {
    "inter": "500ms",
    "fastinter": "100ms",
    "fall": 3,
    "rise": 2,
    "connect_timeout": "250ms",
    "retries": 3,
    "redispatch": 1,
}
PATHS = {
    "nodeport": {"service": "service-cluster", "haproxy": HAPROXY},
    "cluster": {"kind": "loadbalancer", "service": "service-cluster", "haproxy": HAPROXY},
    "local": {"kind": "loadbalancer", "service": "service-local", "haproxy": HAPROXY},
}
SERVES_WITHIN_S = 2.0
DEADLINE_S = 200


def test_nodes_come_and_go_under_load(tmp_path: Path) -> None:
    timeline = [{"at": "5s", "scale": {"nodes": MANY}}, {"at": "30s", "scale": {"nodes": FEW}, "drain": True}]
    changes: dict[str, object] = {
        "duration": "60s",
        "timeline": timeline,
        "slo": {},
        "paths": PATHS,
        "load": {"rate": "50/s", "timeout": "1s"},
    }
    argv = [sys.executable, "-m", "orchestrator.cli", "run", str(SCENARIO), "--results", str(tmp_path)]
    for key, value in changes.items():
        argv += ["--set", f"{key}={json.dumps(value)}"]
    finished = subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, text=True, timeout=DEADLINE_S)
    (directory,) = {item.parent.resolve() for item in tmp_path.glob("*/*/outcome.json")}
    outcome = load_outcome((directory / "outcome.json").read_text(encoding="utf-8"))
    assert outcome.verdict is not Verdict.INVALID, finished.stdout + finished.stderr
    history = [json.loads(line) for line in (directory / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    requested, serving = (
        {item["fields"]["node"]: item["t_mono_ns"] for item in history if item["event"] == name}
        for name in ("node-requested", "node-serving")
    )
    took_s = sorted((serving[node] - requested[node]) / 1e9 for node in requested)
    lost = {
        direction: {
            f"{item.path}/{item.connection_class}": item.lost
            for item in outcome.measurements.rescales
            if item.direction == direction
        }
        for direction in ("up", "down")
    }
    sys.stdout.write(
        f"\n{FEW} -> {MANY} nodes: each serves {statistics.median(took_s):.2f} s after it was asked for in the median, "
        f"{took_s[-1]:.2f} s at most; lost while growing {lost['up']}; while shrinking, drained {lost['down']}\n"
    )
    assert len(took_s) == MANY - FEW
    assert len(lost["up"]) == len(lost["down"]) == 2 * len(PATHS), "each path in two classes"
    assert not any(lost["up"].values())
    assert not any(lost["down"].values())
    assert statistics.median(took_s) <= SERVES_WITHIN_S
