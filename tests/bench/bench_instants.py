"""How far from their planned instants armed faults strike, beside a bare sleep until the same kind of instant."""

import json
import statistics
import sys
import time

import docker

from role_container import private_network, render_config, started

FAULTS = 200
SPACING_NS = 25_000_000

ARM = """
import json, sys
from testbed_init.ctl import ask
start_ns, count, spacing_ns = map(int, sys.argv[1:])
for i in range(count):
    ask(json.dumps({"op": "arm", "id": str(i), "fault": "no-op", "at_mono_ns": start_ns + i * spacing_ns, "ttl_s": 60}).encode())
"""

SLEEP = """
import json, sys, time
count, spacing_ns = map(int, sys.argv[1:])
start_ns, late = time.monotonic_ns(), []
for i in range(1, count + 1):
    at_ns = start_ns + i * spacing_ns
    time.sleep(max(0, at_ns - time.monotonic_ns()) / 1e9)
    late.append(time.monotonic_ns() - at_ns)
print(json.dumps(late))
"""


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def test_instants_against_a_bare_sleep() -> None:
    client = docker.from_env()
    with private_network(client) as network, started(client, "base", config=render_config(), network=network) as subject:
        subject.wait_event("booted")
        start_ns = time.monotonic_ns() + 5_000_000_000
        subject.run("python3", "-c", ARM, str(start_ns), str(FAULTS), str(SPACING_NS))
        subject.wait_event("fault-effective", count=FAULTS)
        events = subject.events("fault-effective")
        bare_ms = [late / 1e6 for late in json.loads(subject.run("python3", "-c", SLEEP, str(FAULTS), str(SPACING_NS)))]
    client.close()
    ours_ms = [abs(event["t_mono_ns"] - event["fields"]["at_mono_ns"]) / 1e6 for event in events]
    ratio = statistics.median(ours_ms) / statistics.median(bare_ms)
    sys.stdout.write(
        f"\neffective instant of {FAULTS} faults: median {statistics.median(ours_ms):.2f} ms, p99 {p99(ours_ms):.2f} ms from plan; "
        f"bare sleep: median {statistics.median(bare_ms):.2f} ms, p99 {p99(bare_ms):.2f} ms; ratio of medians {ratio:.1f}\n"
    )
    assert len(ours_ms) == FAULTS
