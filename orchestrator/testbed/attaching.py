"""Meets a testbed that another process brought up and kept: its containers, its history so far, its Kubernetes API."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from orchestrator.contracts import Stop
from orchestrator.errors import EnvironmentUnmetError, UsageError
from orchestrator.model.history import Event
from orchestrator.model.plan import Plan, Role
from orchestrator.render.kubeconfig import read_kubeconfig
from orchestrator.testbed.bring_up import KUBECONFIG, follow_engine
from orchestrator.testbed.claim import Claim
from orchestrator.testbed.cleaning import FoundRun, find_runs
from orchestrator.testbed.clock import EngineClock
from orchestrator.testbed.collector import HistoryCollector
from orchestrator.testbed.compose import ComposeFile
from orchestrator.testbed.engine import Engine
from orchestrator.testbed.kube import KubeClient
from orchestrator.testbed.labels import CONTAINER, ROLE
from orchestrator.testbed.output import LogBook
from orchestrator.testbed.pki import Secrets
from orchestrator.testbed.run import Run
from orchestrator.testbed.warden import Warden, await_guard, follow_warden, read_boot_id
from orchestrator.testbed.world import Testbed

SETTLE_DEADLINE_S = 3.0
"""Every init reports its resources once a second: by then what the engine had kept has been read. Frozen ones report nothing."""


def find_kept(engine: Engine, run_id: str) -> FoundRun:
    """Raises UsageError when no testbed of that run is up."""
    for found in find_runs(engine):
        if found.run_id == run_id and any(item.running for item in found.containers):
            return found
    raise UsageError(f"no testbed of run {run_id!r} is up", hint="`testbed status` lists them; `testbed up FILE` brings one up")


def nodes_of(found: FoundRun) -> tuple[str, ...]:
    """Names of the run's node containers, running or not, in the order of their numbers."""
    names = (item.labels[CONTAINER] for item in found.containers if item.labels.get(ROLE) == Role.NODE)
    return tuple(sorted(names, key=lambda name: int(name.rpartition("-")[2])))


@contextmanager
def attach(
    plan: Plan,
    found: FoundRun,
    run: Run,
    *,
    engine: Engine,
    compose: ComposeFile,
    stop: Stop,
    observer: Callable[[Event], None] | None = None,
) -> Iterator[Testbed]:
    """The testbed, with its history read so far. Leaving it changes nothing.

    Raises:
        EnvironmentUnmetError: the engine is on another machine, whose clock this process cannot read.
        EngineError, DeadlineError, InterruptedRunError.
    """
    config = read_kubeconfig((run.directory / KUBECONFIG).read_text(encoding="utf-8"))
    collector, log = HistoryCollector(observer=observer), LogBook(None)
    with ExitStack() as stack:
        warden = _meet_warden(engine, found, run, collector, log, stop)
        claim = Claim(
            slot=plan.slot,
            networks=plan.networks,
            run=run,
            engine=engine,
            compose=compose,
            collector=collector,
            clock=EngineClock(offset_ns=0, stop=stop),
            log=log,
            warden=warden,
            stop=stop,
        )
        secrets = Secrets(ca_pem=config.ca_pem, server_pem=b"", server_key_pem=b"", token=config.token)
        testbed = Testbed(plan, claim, secrets)
        kube = KubeClient(server=config.server, ca_pem=config.ca_pem, token=config.token)
        stack.callback(kube.close)
        testbed.meet_kube(kube)
        stack.callback(follow_engine(testbed, claim).close)
        since_ns = claim.clock.now_mono_ns()
        members = {item.labels[CONTAINER]: item for item in found.containers if item.labels.get(ROLE) != Role.WARDEN}
        for name, item in members.items():
            testbed.adopt(name, item.id)
        _settle(collector, {name for name, item in members.items() if item.running}, since_ns, stop)
        yield testbed


def _meet_warden(engine: Engine, found: FoundRun, run: Run, collector: HistoryCollector, log: LogBook, stop: Stop) -> Warden:
    wardens = [item for item in found.containers if item.labels.get(ROLE) == Role.WARDEN and item.running]
    if not wardens:
        raise UsageError(f"the testbed of run {run.run_id} has no warden", hint="`testbed clean` removes it")
    attachment = engine.replay(wardens[0].id)
    follow_warden(attachment, log, collector)
    ready = await_guard(collector, log, stop)
    warden = Warden(engine, run, wardens[0].id, attachment, ready, is_kept=True)
    if warden.boot_id != read_boot_id():
        raise EnvironmentUnmetError(
            "the engine is on another machine, whose clock faults are timed by",
            hint="run this command on the engine's machine, or put the faults into a scenario's timeline",
        )
    return warden


def _settle(collector: HistoryCollector, running: set[str], since_ns: int, stop: Stop) -> None:
    """Until every running container has said something new: what it had said before has been read then."""
    silent = set(running)
    told = threading.Event()
    deadline_s = time.monotonic() + SETTLE_DEADLINE_S
    while silent and time.monotonic() < deadline_s and not stop.is_set():
        silent -= {event.container for event in collector.history().events if event.t_mono_ns >= since_ns}
        told.wait(0.05)
