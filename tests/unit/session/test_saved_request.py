"""What a run was planned from is saved with it and gives the same plan again."""

from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.experiment import dump_request, load_request, load_saved
from orchestrator.store import SCENARIO, RunDirectory, create_run_directory

SCENARIOS = sorted((Path(__file__).resolve().parents[3] / "loadtests" / "scenarios").glob("*.yaml"))


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return create_run_directory(tmp_path, "node-kill", "r1")


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_every_shipped_scenario_gives_the_same_plan_from_what_was_saved(file: Path, directory: RunDirectory) -> None:
    loaded = load_request(file, {}, 7)
    directory.save_json(SCENARIO, dump_request(loaded))
    assert load_saved(directory).plan(slot=2, trial=3) == loaded.plan(slot=2, trial=3)


def test_a_run_that_did_not_save_it_says_so(directory: RunDirectory) -> None:
    with pytest.raises(UsageError, match=r"has no scenario.json: it was run by an older version"):
        load_saved(directory)
    with pytest.raises(UsageError, match=r"has no images.json: it was run by an older version"):
        directory.load_images()
