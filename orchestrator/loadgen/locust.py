"""Locust in the client container."""

import threading
from pathlib import Path

from orchestrator.contracts import Spawned, World
from orchestrator.loadgen.load_file import render_load_file
from orchestrator.model.plan import LoadPlan, Role

LOAD_FILE = "/run/load/load.json"
START_FILE = "/run/load/start"
SAMPLES = "/var/log/testbed/load"
# The shell leaves its process id where init finds it (`signal`), and becomes Locust.
START = ("sh", "-c", "echo $$ > /run/testbed/load.pid && exec python3 -m loadtests.run")
WAITING_DEADLINE_S = 30.0
GRACE_S = 30.0
"""After the last time-out: to write the records on a machine that is busy."""
STOP_DEADLINE_S = 10.0
REPORT_DEADLINE_S = 5.0


class LocustLoad:
    """Implements contracts.Load."""

    def __init__(self, world: World, load: LoadPlan, client: str, process: Spawned) -> None:
        self._world = world
        self._load = load
        self._client = client
        self._process = process

    def await_ready(self) -> None:
        """Until Locust waits for its instant. Raises DeadlineError."""
        self._world.wait_event(
            lambda event: event.event == "load-waiting",
            since_ns=0,
            deadline_s=WAITING_DEADLINE_S,
            what="the load generator to be ready",
        )

    def begin(self, start_mono_ns: int) -> None:
        self._world.put(self._client, {START_FILE: b"%d\n" % start_mono_ns})

    def wait_finished(self, world: World) -> None:
        # The process first: when it fails, nothing else is to be waited for.
        self._process.wait(self._load.duration_s + self._load.timeout_s + GRACE_S)
        world.wait_event(
            lambda event: event.event == "load-finished", since_ns=0, deadline_s=REPORT_DEADLINE_S, what="the load's totals"
        )

    def stop(self) -> None:
        """SIGTERM, and the records that were still in memory are written."""
        if self._process.has_ended:
            return
        # Not under the run's stop: an interrupt is the usual reason to be here.
        world = self._world.under(threading.Event())
        world.control(self._client, {"op": "signal", "process": "load", "signal": "TERM"})
        world.wait_event(
            lambda event: event.event == "load-finished",
            since_ns=0,
            deadline_s=STOP_DEADLINE_S,
            what="the load generator to end after SIGTERM",
        )


def start_load(world: World) -> LocustLoad:
    """Start Locust; it gets ready while others do, and sends nothing before `begin`."""
    plan = world.plan
    client = plan.of_role(Role.CLIENT)[0].name
    # Init empties /run first.
    world.wait_event(
        lambda event: event.event == "booted" and event.container == client,
        since_ns=0,
        deadline_s=WAITING_DEADLINE_S,
        what="the client's boot",
    )
    world.put(client, {LOAD_FILE: render_load_file(plan.load)})
    return LocustLoad(world, plan.load, client, world.spawn(client, START))


def fetch_samples(world: World, into: Path) -> None:
    """The files of /var/log/testbed/load, as far as they are written. Raises EngineError when there are none."""
    world.fetch(world.plan.of_role(Role.CLIENT)[0].name, SAMPLES, into)
