"""The control plane dies under load and comes back with its objects: agents resume, and the data plane never notices."""

import json

import pytest
from testbed_command import Left, Testbed

pytestmark = pytest.mark.e2e


def test_nothing_is_lost_and_the_cluster_goes_on_where_it_was(testbed: Testbed, left_of: Left) -> None:
    finished = testbed.run("restart.yaml")
    assert finished.status == 0, finished.output
    assert finished.directory is not None
    lines = (finished.directory / "history.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    resumed = {event["source"].split("/")[0] for event in events if event["event"] == "watch-resumed"}
    assert {"node-1", "node-2", "loadbalancer"} <= resumed
    # Versions go on from the store: what came before the restart is below what comes after it.
    healed_ns = next(event["t_mono_ns"] for event in events if event["event"] == "step-healed")
    commits = [event for event in events if event["event"] == "rules-committed" and event["source"] == "node-1/agent"]
    before = [event["fields"]["revision"] for event in commits if event["t_mono_ns"] < healed_ns]
    after = [event["fields"]["revision"] for event in commits if event["t_mono_ns"] > healed_ns]
    assert before
    assert after
    assert max(before) < min(after)
    assert left_of(finished.run_id) == []
