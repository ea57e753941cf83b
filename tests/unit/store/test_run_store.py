"""Run directories: what is saved is what is read, and every run can be found again."""

import json
import os
from pathlib import Path

import pytest

from orchestrator.errors import InternalError, UsageError
from orchestrator.store import HISTORY, LATEST, NOTES, PLAN, VERSIONS, RunDirectory, create_run_directory, find_run
from tests.unit.metrics.sample_builder import START_NS, event, history, real_plan


def saved_run(results: Path, scenario: str, run_id: str, *, latest: bool = True) -> RunDirectory:
    run = create_run_directory(results, scenario, run_id)
    run.save_plan(real_plan())
    if latest:
        run.mark_latest()
    return run


def test_plan_of_a_real_scenario_reads_back_as_the_same_plan(tmp_path: Path) -> None:
    run = saved_run(tmp_path, "node-kill", "r1")
    found, plan = run.load_plan(), real_plan()
    assert (found.networks, found.paths, found.load, found.slos) == (plan.networks, plan.paths, plan.load, plan.slos)
    assert [(item.name, item.role, item.address) for item in found.containers] == [
        (item.name, item.role, item.address) for item in plan.containers
    ]
    assert [(step.step, step.kind, step.at_s, step.for_s, step.targets) for step in found.timeline] == [
        (step.step, step.kind, step.at_s, step.for_s, step.targets) for step in plan.timeline
    ]


def test_plan_is_saved_byte_for_byte_the_same_after_reading(tmp_path: Path) -> None:
    first, second = saved_run(tmp_path, "node-kill", "r1"), create_run_directory(tmp_path, "node-kill", "r2")
    second.save_plan(first.load_plan())
    assert (second.path / PLAN).read_bytes() == (first.path / PLAN).read_bytes()


def test_history_reads_back_as_the_same_history(tmp_path: Path) -> None:
    told = history(event(10.0, "orchestrator", "step-effective", step="1-node-kill", evidence="é", nested={"a": [1]}))
    run = create_run_directory(tmp_path, "node-kill", "r1")
    run.save_history(told)
    assert run.load_history() == told
    assert run.load_history().start_mono_ns == START_NS


def test_versions_and_notes_are_empty_until_something_is_saved(tmp_path: Path) -> None:
    run = create_run_directory(tmp_path, "node-kill", "r1")
    assert (run.versions, run.notes, run.load_json("absent.json")) == ({}, (), None)
    run.save_json(VERSIONS, {"haproxy": "2.6"})
    run.save_json(NOTES, ["samples could not be fetched"])
    assert (run.versions, run.notes) == ({"haproxy": "2.6"}, ("samples could not be fetched",))


def test_run_without_a_plan_or_history_says_what_is_missing(tmp_path: Path) -> None:
    run = create_run_directory(tmp_path, "node-kill", "r1")
    with pytest.raises(InternalError, match=r"plan\.json: No such file or directory: the run never had a plan"):
        run.load_plan()
    with pytest.raises(InternalError, match=r"history\.jsonl: No such file or directory: the run ended before"):
        run.load_history()


@pytest.mark.parametrize("change", [{"seed": "many"}, {"surprise": 1, "load": None}])
def test_plan_of_another_version_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    run = saved_run(tmp_path, "node-kill", "r1")
    file = run.path / PLAN
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    with pytest.raises(InternalError, match=r"plan\.json: written by another version"):
        run.load_plan()


def test_damaged_json_is_named(tmp_path: Path) -> None:
    run = create_run_directory(tmp_path, "node-kill", "r1")
    (run.path / NOTES).write_text("[", encoding="utf-8")
    with pytest.raises(InternalError, match=r"notes\.json: "):
        run.load_json(NOTES)


def test_plain_log_lines_in_a_history_are_passed_over(tmp_path: Path) -> None:
    run = create_run_directory(tmp_path, "node-kill", "r1")
    run.save_history(history())
    with (run.path / HISTORY).open("a", encoding="utf-8") as file:
        file.write('plain text\n{"t_mono_ns": 1, "sour')
    assert run.load_history() == history()


def test_run_directory_is_made_once(tmp_path: Path) -> None:
    create_run_directory(tmp_path, "node-kill", "r1")
    with pytest.raises(UsageError, match="r1: cannot be made: File exists") as refused:
        create_run_directory(tmp_path, "node-kill", "r1")
    assert refused.value.hint == "choose another with --results"


def test_latest_moves_to_the_newer_run_and_leaves_nothing_behind(tmp_path: Path) -> None:
    saved_run(tmp_path, "node-kill", "r1")
    saved_run(tmp_path, "node-kill", "r2")
    scenario = tmp_path / "node-kill"
    assert (scenario / LATEST).readlink() == Path("r2"), "a relative link survives moving the results"
    assert sorted(item.name for item in scenario.iterdir()) == ["latest", "r1", "r2"]


def test_marking_latest_survives_what_an_interrupted_one_left(tmp_path: Path) -> None:
    run = saved_run(tmp_path, "node-kill", "r1", latest=False)
    (run.path.parent / ".latest.r1").symlink_to("nowhere")
    run.mark_latest()
    assert (run.path.parent / LATEST).resolve() == run.path.resolve()


def test_run_is_found_by_directory_by_id_and_by_scenario(tmp_path: Path) -> None:
    saved_run(tmp_path, "node-kill", "r1")
    saved_run(tmp_path, "node-kill", "r2")
    assert find_run(str(tmp_path / "node-kill" / "r1"), tmp_path).run_id == "r1"
    assert find_run("r1", tmp_path).run_id == "r1"
    assert find_run("node-kill", tmp_path).run_id == "r2"


def test_latest_of_all_scenarios_is_the_one_that_was_marked_last(tmp_path: Path) -> None:
    for scenario, run_id, marked_s in (("a", "r1", 1000), ("b", "r2", 3000), ("c", "r3", 2000)):
        saved_run(tmp_path, scenario, run_id)
        os.utime(tmp_path / scenario / LATEST, (marked_s, marked_s), follow_symlinks=False)
    assert find_run(LATEST, tmp_path).run_id == "r2"


@pytest.mark.parametrize("reference", ["absent", "node-kill", "latest", "", "/absent", "r[1", "**"])
def test_unknown_run_is_refused_with_what_can_be_named(tmp_path: Path, reference: str) -> None:
    create_run_directory(tmp_path, "node-kill", "unplanned")
    with pytest.raises(UsageError, match="no run ") as refused:
        find_run(reference, tmp_path)
    assert refused.value.hint == f"a run directory, a run id, or a scenario with runs in {tmp_path}/"
