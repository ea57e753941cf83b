"""Locust in the client's container against nginx in another: every request is recorded, whatever happens to load or path."""

from __future__ import annotations

import csv
import io
import json
import statistics
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import docker
import numpy as np
import pytest

from orchestrator.model.samples import Outcome, Samples, read_raw_samples
from role_container import RoleContainer, pack, private_network, render_config, started

T = TypeVar("T")

pytestmark = pytest.mark.integration

OUTPUT = "/var/log/testbed/load"
NS_PER_S = 1_000_000_000
NGINX = """
user root; worker_processes 1; daemon off; pid /run/nginx.pid; error_log stderr;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000;
  server {
    listen 8080 backlog=4096;
    default_type application/json;
    location / { return 200 '{"pod": "pod-a", "node": "node-1", "pod_ip": "10.0.1.2", "client": "$remote_addr", "port": 8080}'; }
    location /control { return 200 'ok'; }
    location /busy { return 503 'busy'; }
  }
}
"""
SYSCTLS = {"net.ipv4.ip_local_port_range": "1024 65535", "net.ipv4.tcp_tw_reuse": "1"}


@pytest.fixture(scope="module")
def engine():
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="module")
def pair(engine) -> Iterator[tuple[RoleContainer, str]]:
    """The client, and the address of an nginx that it reaches."""
    nginx = {"name": "nginx", "argv": ["nginx", "-c", "/etc/testbed/nginx.conf"], "restart": False}
    with (
        private_network(engine) as network,
        started(
            engine,
            "client",
            network=network,
            config=render_config(container="pods", processes=[nginx]),
            files={"/etc/testbed/nginx.conf": NGINX},
            outweighs=True,
        ) as pods,
        started(
            engine, "client", network=network, config=render_config(container="client"), sysctls=SYSCTLS, outweighs=True
        ) as client,
    ):
        pods.wait_event("booted")
        client.wait_event("booted")
        yield client, pods.address


def make_class(path: str, connection_class: str, url: str, **changes: object) -> dict[str, object]:
    values = {"path": path, "class": connection_class, "url": url, "rate_rps": 200.0, "connections": 20}
    return {**values, "arrivals": "uniform", "expect": "pod"} | changes


# Its output goes where PID 1's goes, so into the container's log, which is read without disturbing the container.
SHELL = """
exec > /proc/1/fd/1 2>&1
echo "$0 begins"
python3 -m loadtests.run "$@" &
echo $! > /run/testbed/load.pid
wait $!
echo "$0 ended with status $?"
"""


class LocustRun:
    """One run of `python3 -m loadtests.run` in a container."""

    def __init__(self, client: RoleContainer, *, classes=(), duration_s: float, files=None, arguments=(), timeout_s=1.0) -> None:
        self.client = client
        self.name = f"run-{uuid.uuid4().hex[:8]}"
        client.run("rm", "-rf", "/run/load", OUTPUT)
        load = {
            "start_mono_ns": None,
            "duration_s": duration_s,
            "timeout_s": timeout_s,
            "in_flight_limit": 2000,
            "seed": 1,
            "classes": list(classes),
        }
        self.put({"/run/load/load.json": json.dumps(load), **(files or {})})
        self.begun_ns = time.monotonic_ns()
        client.container.exec_run(["sh", "-c", SHELL, self.name, *arguments], detach=True)

    def put(self, files) -> None:
        self.client.container.put_archive("/", pack(files))

    def start(self, in_s: float = 0.2) -> None:
        self.put({"/run/load/start": f"{time.monotonic_ns() + round(in_s * NS_PER_S)}\n"})

    @property
    def output(self) -> list[str]:
        log = self.client.container.logs().decode()
        return log.partition(f"{self.name} begins\n")[2].splitlines()

    def wait_event(self, name: str, *, count: int = 1, deadline_s: float = 15.0) -> dict[str, Any]:
        """The `count`th event of that name in this run."""

        def find() -> dict[str, Any] | None:
            lines = [line for line in self.output if line.startswith('{"t_mono_ns"')]
            found = [event for event in map(json.loads, lines) if event["event"] == name]
            return found[count - 1] if len(found) >= count else None

        return self._wait(find, name, deadline_s)

    def wait_end(self, *, deadline_s: float = 30.0) -> int:
        """The exit status."""
        words = f"{self.name} ended with status "
        find = lambda: next((line for line in self.output if line.startswith(words)), None)  # noqa: E731
        return int(self._wait(find, "end", deadline_s).removeprefix(words))

    def signal(self, name: str) -> None:
        self.client.run("sh", "-c", f"kill -{name} $(cat /run/testbed/load.pid)")

    def fetch(self, into: Path) -> Samples:
        chunks, _ = self.client.container.get_archive(OUTPUT)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            archive.extractall(into, filter="data")
        return read_raw_samples(into / "load")

    def results(self, into: Path) -> tuple[Samples, dict[str, Any]]:
        samples = self.fetch(into)
        return samples, json.loads((into / "load" / "totals.json").read_text())

    def _wait(self, find: Callable[[], T | None], what: str, deadline_s: float) -> T:
        until_s = time.monotonic() + deadline_s
        while (found := find()) is None:
            if time.monotonic() > until_s:
                pytest.fail(f"no {what} within {deadline_s:g} s; output:\n" + "\n".join(self.output))
            time.sleep(0.05)
        return found


def assert_complete(samples: Samples, totals: dict) -> None:
    """Sent, recorded and written agree, for every class, without a gap."""
    assert sum(item["sent"] for item in totals["classes"]) == len(samples)
    for item in totals["classes"]:
        records = samples.of(item["path"], item["class"]).records
        assert item["sent"] == item["recorded"] == len(records)
        assert sorted(records["sequence"].tolist()) == list(range(len(records)))
        assert item["ok"] == (records["outcome"] == Outcome.OK).sum()


def test_seven_classes_at_1250_requests_per_second_are_recorded_to_the_last(pair, tmp_path, record_property, capsys):
    client, pods = pair
    url = f"http://{pods}:8080/"
    classes = [make_class(path, kind, url) for path in ("static-route", "nodeport", "bgp") for kind in ("new", "keepalive")]
    classes.append(make_class("control", "new", f"{url}control", rate_rps=50.0, expect="any"))
    locust = LocustRun(client, classes=classes, duration_s=8)
    waiting = locust.wait_event("load-waiting")
    ready_s = (waiting["t_mono_ns"] - locust.begun_ns) / NS_PER_S
    locust.start()
    started_event = locust.wait_event("load-started")
    time.sleep(8)
    finished = locust.wait_event("load-finished")
    assert locust.wait_end() == 0
    samples, totals = locust.results(tmp_path)

    assert finished["fields"] == totals
    assert_complete(samples, totals)
    assert not totals["bound_reached"]
    assert [item["sent"] for item in totals["classes"]] == [1600] * 6 + [400]
    records = samples.records
    assert set(records["outcome"].tolist()) == {Outcome.OK}
    pods_seen = samples.where(~(samples.column("path_id") == "control"))
    assert set(pods_seen.column("node_id")) == {"node-1"}
    assert set(pods_seen.column("client_id")) == {client.address}
    assert set(samples.of("control").column("pod_id")) == {""}

    offsets_ns = records["intended_ns"] - started_event["fields"]["start_mono_ns"]
    assert offsets_ns.min() >= 0
    assert offsets_ns.max() < 8 * NS_PER_S
    instants = [records[name] for name in ("intended_ns", "sent_ns", "first_byte_ns", "end_ns")]
    assert all((earlier <= later).all() for earlier, later in pairwise(instants))
    assert len(set(samples.of("nodeport", "keepalive").records["local_port"].tolist())) >= 20
    assert (samples.of("nodeport", "new").records["connection_use"] == 1).all()

    # Locust's own statistics count the same requests.
    with (tmp_path / "load" / "locust_stats.csv").open() as file:
        rows = {(row["Type"], row["Name"]): int(row["Request Count"]) for row in csv.DictReader(file)}
    assert rows[("new", "nodeport")] == rows[("keepalive", "bgp")] == 1600
    assert rows[("", "Aggregated")] == 10000

    # Speed is the machine's: reported, not asserted.
    late_ms = (records["sent_ns"] - records["intended_ns"]) / 1e6
    cpu = [event for event in client.events("resources") if 0 < event["t_mono_ns"] - records["intended_ns"][0] < 8 * NS_PER_S]
    cpu_s = (cpu[-1]["fields"]["cpu_usage_ns"] - cpu[0]["fields"]["cpu_usage_ns"]) / (cpu[-1]["t_mono_ns"] - cpu[0]["t_mono_ns"])
    p50, p99, p999 = np.percentile(late_ms, [50, 99, 99.9])
    record_property("lateness_p99_ms", round(float(p99), 2))
    with capsys.disabled():
        print(f"\nready {ready_s:.2f} s; lateness p50 {p50:.2f} p99 {p99:.2f} p99.9 {p999:.2f} ms; CPU {cpu_s:.0%} of a core")  # noqa: T201


def test_sigterm_ends_the_load_early_and_everything_sent_is_recorded(pair, tmp_path):
    client, pods = pair
    url = f"http://{pods}:8080/"
    silent = "http://198.51.100.1:80/"
    # Packets to it go nowhere: its requests are in flight when the signal comes.
    client.run("nft", "add table ip silence; add chain ip silence out { type filter hook output priority 0; }")
    client.run("nft", "add rule ip silence out ip daddr 198.51.100.1 drop")
    client.run("ip", "route", "replace", "198.51.100.0/24", "via", pods)
    classes = [
        make_class("nodeport", "new", url),
        make_class("nodeport", "keepalive", url),
        make_class("silent", "new", silent, rate_rps=50.0),
    ]
    try:
        locust = LocustRun(client, classes=classes, duration_s=60)
        locust.wait_event("load-waiting")
        locust.start()
        locust.wait_event("load-progress")
        locust.signal("TERM")
        signalled_s = time.monotonic()
        locust.wait_event("load-finished")
        assert locust.wait_end() == 0
        assert time.monotonic() - signalled_s < 4
    finally:
        client.run("nft", "delete table ip silence")
    samples, totals = locust.results(tmp_path)
    assert_complete(samples, totals)
    assert set(samples.of("silent").records["outcome"].tolist()) == {Outcome.CONNECT_TIMEOUT}
    assert samples.of("nodeport").ok.all()
    waits_s = (samples.of("silent").records["end_ns"] - samples.of("silent").records["sent_ns"]) / NS_PER_S
    assert statistics.median(waits_s) == pytest.approx(1.0, abs=0.25)


def test_sigkill_costs_at_most_half_a_second_of_samples(pair, tmp_path):
    client, pods = pair
    locust = LocustRun(client, classes=[make_class("nodeport", "new", f"http://{pods}:8080/")], duration_s=60)
    locust.wait_event("load-waiting")
    locust.start()
    locust.wait_event("load-progress", count=2)
    locust.signal("KILL")
    killed_ns = time.monotonic_ns()
    assert locust.wait_end() == 137
    samples = locust.fetch(tmp_path)
    assert samples.ok.all()
    # Samples are written every half second; the kill itself takes a docker exec, in which the sender goes on.
    assert (killed_ns - samples.records["end_ns"].max()) / NS_PER_S < 0.5 + 4


def test_kernels_answers_have_their_outcomes(pair):
    client, pods = pair
    client.run("ip", "route", "replace", "unreachable", "203.0.113.0/24")

    def probe(url: str, *arguments: str) -> dict[str, object]:
        record: dict[str, object] = json.loads(client.run("python3", "-m", "loadtests.probe", url, *arguments))
        return record

    assert probe(f"http://{pods}:8080/")["outcome"] == "ok"
    assert probe(f"http://{pods}:8081/")["outcome"] == "refused"
    assert probe("http://203.0.113.7/")["outcome"] == "unreachable"
    assert probe(f"http://{pods}:8080/busy")["outcome"] == "http-status"
    assert probe(f"http://{pods}:8080/control")["outcome"] == "bad-body"
    assert probe(f"http://{pods}:8080/control", "--expect", "any")["outcome"] == "ok"


def test_load_that_cannot_be_carried_out_ends_with_a_status_and_words(pair):
    client, pods = pair
    unknown = LocustRun(client, classes=[make_class("nodeport", "carrier-pigeon", f"http://{pods}:8080/")], duration_s=1)
    assert unknown.wait_end() != 0
    assert "found 'carrier-pigeon'; allowed: new, keepalive" in "\n".join(unknown.output)

    late = LocustRun(client, classes=[make_class("nodeport", "new", f"http://{pods}:8080/")], duration_s=1)
    late.wait_event("load-waiting")
    late.start(in_s=-5)
    late.wait_event("load-finished")
    assert late.wait_end() == 70
    assert "allowed: at most 1 s" in "\n".join(late.output)


OWN = """
from locust import FastHttpUser, HttpUser, constant, task

class Fast(FastHttpUser):
    fixed_count = 1
    wait_time = constant(0.02)

    @task
    def ask(self):
        self.client.get("/", name="fast")

class Slow(HttpUser):
    wait_time = constant(0.02)

    @task
    def ask(self):
        self.client.get("/", name="slow")
        self.client.get("/busy", name="busy")
        self.client.get("http://127.0.0.1:1/", name="refused")
"""


def test_own_locustfile_is_recorded_as_closed(pair, tmp_path):
    client, pods = pair
    arguments = ("--locustfile", "/run/load/own.py", "--users", "2", "--host", f"http://{pods}:8080")
    locust = LocustRun(client, duration_s=1.5, files={"/run/load/own.py": OWN}, arguments=arguments)
    locust.wait_event("load-waiting")
    locust.start()
    started_event = locust.wait_event("load-started")
    locust.wait_event("load-finished")
    assert locust.wait_end() == 0
    samples, totals = locust.results(tmp_path)
    assert_complete(samples, totals)
    assert samples.subjects == (("busy", "closed"), ("fast", "closed"), ("refused", "closed"), ("slow", "closed"))
    outcomes = {path: set(samples.of(path).records["outcome"].tolist()) for path, _ in samples.subjects}
    assert outcomes == {"fast": {0}, "slow": {0}, "busy": {Outcome.HTTP_STATUS}, "refused": {Outcome.REFUSED}}
    assert set(samples.of("busy").records["http_status"].tolist()) == {503}
    assert samples.records["sent_ns"].min() >= started_event["fields"]["start_mono_ns"]
