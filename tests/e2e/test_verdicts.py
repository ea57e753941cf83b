"""Whole runs: the tester is tested. A calm run passes, a sabotaged one fails, a broken load generator is INVALID."""

import json

import pytest
from testbed_command import Finished, Left, Testbed

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One run without a fault."""
    return Testbed(tmp_path_factory.mktemp("calm")).run("calm.yaml")


def test_calm_run_passes_and_leaves_a_complete_run_directory_and_nothing_else(calm: Finished, left_of: Left) -> None:
    finished = calm
    assert finished.status == 0, finished.output
    assert finished.outcome["verdict"] == "pass"
    assert finished.directory is not None
    for name in (
        "plan.json",
        "history.jsonl",
        "samples.npy",
        "outcome.json",
        "junit.xml",
        "summary.md",
        "report.html",
    ):
        assert (finished.directory / name).stat().st_size > 0, name
    assert (finished.directory.parent / "latest").resolve() == finished.directory.resolve()
    assert left_of(finished.run_id) == []


def test_calm_run_measures_every_path_as_it_is(calm: Finished) -> None:
    measurements = calm.outcome["measurements"]
    for item in measurements["classes"]:
        assert item["sent"] == 240, item
        assert item["ok"] == item["sent"], item
        if item["path"] == "service-port-on-node":
            assert item["outcomes"] == {"refused": 240}
        else:
            assert set(item["share_by_node"]) == {"node-1", "node-2"}


def test_taking_out_the_health_checks_misses_the_objective(testbed: Testbed) -> None:
    finished = testbed.run("sabotage.yaml")
    assert finished.status == 1, finished.output
    assert finished.outcome["verdict"] == "fail"
    missed = [item for item in finished.outcome["objectives"] if item["met"] is False]
    assert [item["kind"] for item in missed] == ["availability"]


def test_load_that_reaches_its_bound_is_invalid_not_failed(testbed: Testbed) -> None:
    finished = testbed.run("sabotage.yaml", "--set", "load.in_flight_limit=1")
    assert finished.status == 2, finished.output
    broken = [item["name"] for item in finished.outcome["validity"] if not item["valid"]]
    assert "in-flight bound" in broken


def test_old_run_is_judged_and_reported_again_without_an_engine(testbed: Testbed, calm: Finished) -> None:
    first = calm
    assert first.directory is not None
    before = first.outcome
    (first.directory / "report.html").unlink()
    nowhere = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    judged = testbed("judge", str(first.directory), "-o", "json", **nowhere)
    assert judged.status == 0, judged.output
    assert json.loads(judged.output) == before
    reported = testbed("report", str(first.directory), "-o", "json", **nowhere)
    assert reported.status == 0, reported.output
    assert json.loads(reported.output)["reports"]["html"] == str(first.directory / "report.html")
    assert (first.directory / "report.html").stat().st_size > 0
