"""A run directory that broke off is judged from what it has: INVALID, with the reason, in every report."""

from pathlib import Path

import numpy as np
import pytest

from orchestrator.assessment import assess, write_reports
from orchestrator.errors import InternalError
from orchestrator.experiment import load_request
from orchestrator.model.history import Event, order_events
from orchestrator.model.outcome import Outcome, Verdict
from orchestrator.model.samples import SAMPLE_DTYPE, Samples, save_samples
from orchestrator.registry import REPORTS
from orchestrator.store import NOTES, RunDirectory, create_run_directory

SCENARIO = Path(__file__).resolve().parents[3] / "loadtests" / "scenarios" / "node-kill.yaml"
STARTED = Event(t_mono_ns=10**9, source="client/load", event="load-started", fields={"start_mono_ns": 10**9})


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """With a plan and nothing else."""
    directory = create_run_directory(tmp_path, "node-kill", "broken")
    directory.save_plan(load_request(SCENARIO, {}, None).plan())
    return directory


def reasons(outcome: Outcome) -> str:
    return " ".join(check.found for check in outcome.validity if not check.valid)


def test_run_without_a_history_is_invalid_and_says_so(run: RunDirectory) -> None:
    outcome = assess(run)
    assert (outcome.verdict, outcome.exit_code) == (Verdict.INVALID, 2)
    assert "the run ended before its history was saved" in reasons(outcome)
    assert all(item.met is None for item in outcome.objectives)


def test_run_whose_load_never_began_is_invalid_and_says_so(run: RunDirectory) -> None:
    run.save_history(order_events([Event(t_mono_ns=1, source="orchestrator", event="phase", fields={"name": "bring-up"})]))
    (run.path / "load").mkdir()
    (run.path / "load" / "samples.bin").touch()
    (run.path / "load" / "strings.jsonl").touch()
    assert "no start of the load" in reasons(assess(run))


def test_run_without_samples_is_invalid_and_keeps_its_notes(run: RunDirectory) -> None:
    run.save_history(order_events([STARTED]))
    run.save_json(NOTES, ["samples could not be fetched: the client is gone"])
    outcome = assess(run)
    assert "samples.bin" in reasons(outcome)
    assert "the client is gone" in reasons(outcome)


def test_run_whose_connections_nobody_logged_is_invalid_but_not_a_load_that_has_no_logs_of_its_own(run: RunDirectory) -> None:
    run.save_history(order_events([STARTED]))
    records = np.zeros(1, dtype=SAMPLE_DTYPE)
    records["path_id"], records["class_id"] = 1, 2
    records["intended_ns"] = records["sent_ns"] = records["end_ns"] = STARTED.t_mono_ns
    save_samples(Samples(records=records, strings=("", "nodeport", "new")), run.path)
    assert "tells of no connection" not in reasons(assess(run))
    (run.path / "logs").mkdir()
    assert "haproxy-connections.jsonl: tells of no connection" in reasons(assess(run))


def test_every_report_of_a_broken_run_is_written(run: RunDirectory) -> None:
    assert {file.name for file in write_reports(run, assess(run))} == {report.file for report in REPORTS.values()}
    assert "INVALID" in (run.path / "report.html").read_text(encoding="utf-8")


def test_directory_without_a_plan_cannot_be_judged(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="never had a plan"):
        assess(RunDirectory(path=tmp_path))
