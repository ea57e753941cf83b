"""The shipped scenarios planned in processes of their own: the same bytes for a seed, and for another one other chances alone."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCENARIOS = sorted((ROOT / "loadtests" / "scenarios").glob("*.yaml"))
SEED, OTHER_SEEDS = 7, (8, 9, 10)
# Everything that this process plans, as the file that a run saves.
PLAN = """
import json, sys, tempfile
from pathlib import Path
from orchestrator.experiment import load_request
from orchestrator.store import RunDirectory
files, seeds = json.loads(sys.argv[1])
with tempfile.TemporaryDirectory() as name:
    directory = RunDirectory(path=Path(name))
    for file in files:
        for seed in seeds:
            directory.save_plan(load_request(Path(file), {}, seed).plan(trial=1))
            print(json.dumps([Path(file).stem, seed, (directory.path / "plan.json").read_text(encoding="utf-8")]))
"""


def plan_all(*seeds: int, hash_seed: str) -> dict[tuple[str, int], str]:
    """Scenario and seed -> its plan, of a process that orders sets of text by this seed of its own."""
    planned = subprocess.run(
        [sys.executable, "-c", PLAN, json.dumps([list(map(str, SCENARIOS)), seeds])],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert planned.returncode == 0, planned.stderr
    return {(name, seed): text for name, seed, text in map(json.loads, planned.stdout.splitlines())}


@pytest.fixture(scope="module")
def plans() -> Mapping[tuple[str, int], str]:
    return plan_all(SEED, *OTHER_SEEDS, hash_seed="1")


@pytest.fixture(scope="module")
def again() -> Mapping[tuple[str, int], str]:
    return plan_all(SEED, hash_seed="2")


def without_chance(text: str) -> Mapping[str, Any]:
    """A plan less its seeds, and less which nodes are struck and when."""
    plan: dict[str, Any] = json.loads(text)
    del plan["seed"], plan["load"]["seed"]
    for step in plan["timeline"]:
        step["targets"] = ["a node" if target.startswith("node-") else target for target in step["targets"]]
        # Every phase there begins with a whole second and is shorter than one.
        step["at_s"] = int(step["at_s"])
    plan["timeline"].sort(key=lambda step: step["step"])
    for container in plan["containers"]:
        if container["role"] == "node":
            # Laid where a fault will strike.
            container["config"].pop("fault_ground", None)
    return plan


@pytest.mark.parametrize("name", [file.stem for file in SCENARIOS])
def test_two_processes_plan_the_same_bytes(
    plans: Mapping[tuple[str, int], str], again: Mapping[tuple[str, int], str], name: str
) -> None:
    assert plans[name, SEED] == again[name, SEED]


@pytest.mark.parametrize("name", [file.stem for file in SCENARIOS])
def test_another_seed_changes_targets_and_phases_and_nothing_else(plans: Mapping[tuple[str, int], str], name: str) -> None:
    for seed in OTHER_SEEDS:
        assert without_chance(plans[name, seed]) == without_chance(plans[name, SEED])


def test_another_seed_does_change_what_is_left_to_chance(plans: Mapping[tuple[str, int], str]) -> None:
    """In each scenario that leaves something to it, and in no other."""
    drawn = {file.stem for file in SCENARIOS if {"phase:", "target: any"} & set(words_of(file))}
    timelines = {(name, seed): json.loads(text)["timeline"] for (name, seed), text in plans.items()}
    moved = {name for name, seed in timelines if timelines[name, seed] != timelines[name, SEED]}
    assert moved == drawn
    assert len(drawn) >= 5


def words_of(file: Path) -> list[str]:
    """`phase:` and `target: any` as often as the timeline has them."""
    text = file.read_text(encoding="utf-8")
    return [word for word in ("phase:", "target: any") if word in text]
