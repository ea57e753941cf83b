"""How long a user waits for the first measured request, against the bare start of the same seven containers."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = ROOT / "loadtests" / "scenarios" / "node-kill.yaml"
REPETITIONS = 3
LABEL = "ingress-testbed.bench"
CONTAINERS = ("controlplane", "gateway", "loadbalancer", "client", "node", "node", "node")


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    for container in client.containers.list(all=True, filters={"label": LABEL}):
        container.remove(force=True)
    client.close()


def first_request_s(results: Path) -> float:
    """From the command to the instant at which the first request was due."""
    began_ns = time.monotonic_ns()
    overrides = ["duration=3s", "timeline=[]", "slo={}"]
    argv = [sys.executable, "-m", "orchestrator.cli", "run", str(SCENARIO), "--results", str(results)]
    for override in overrides:
        argv += ["--set", override]
    subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, timeout=120)
    history = (results / "node-kill" / "latest" / "history.jsonl").read_text(encoding="utf-8").splitlines()
    started = next(item for item in map(json.loads, history) if item["event"] == "load-started")
    return (int(started["fields"].get("start_mono_ns", started["t_mono_ns"])) - began_ns) / 1e9


def bare_start_s(engine: docker.DockerClient) -> float:
    """Create and start the same containers, side by side, with nothing to do."""
    tags = json.loads(
        subprocess.run(
            [sys.executable, "-m", "orchestrator.cli", "images", "-o", "json"], cwd=ROOT, check=True, capture_output=True
        ).stdout
    )
    images = [tags["images"][role] for role in CONTAINERS]
    began = time.monotonic()
    with ThreadPoolExecutor(max_workers=8) as pool:
        containers = list(pool.map(lambda image: start_idle(engine, image), images))
    took = time.monotonic() - began
    for container in containers:
        container.remove(force=True)
    return took


def start_idle(engine: docker.DockerClient, image: str) -> docker.models.containers.Container:
    return engine.containers.run(image, ["60"], entrypoint=["sleep"], network_mode="none", labels={LABEL: "start"}, detach=True)


def test_start_against_bare_containers(engine: docker.DockerClient, tmp_path: Path) -> None:
    first_request_s(tmp_path)  # warms caches, builds what is missing
    ours = statistics.median(first_request_s(tmp_path) for _ in range(REPETITIONS))
    bare = statistics.median(bare_start_s(engine) for _ in range(REPETITIONS))
    sys.stdout.write(
        f"\ncommand to first request {ours:.2f} s; bare start of 7 containers {bare:.2f} s; ratio {ours / bare:.1f}\n"
    )
    assert ours > bare > 0, "a start that is quicker than its containers was not measured"
