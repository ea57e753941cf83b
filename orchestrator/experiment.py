"""The composition root: one run from scenario file to exit code. Puts the parts together; must not plan, measure or print."""

import datetime
import os
import platform
import secrets
import signal
import string
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from orchestrator.contracts import Kinds
from orchestrator.errors import InterruptedRunError, TestbedError, UsageError
from orchestrator.loadgen.locust import LocustLoad, fetch_samples, start_load
from orchestrator.loadgen.probe import probe_paths
from orchestrator.model.history import Event
from orchestrator.model.plan import Plan, ProgramPlan, Role
from orchestrator.planner import plan_run
from orchestrator.planner.kube_proxy import PROGRAM
from orchestrator.registry import ACTIONS, KINDS
from orchestrator.runner import run_timeline
from orchestrator.scenario.loading import Manifest, load_manifests, load_scenario
from orchestrator.scenario.programs import read_program
from orchestrator.scenario.schema import Scenario
from orchestrator.store import IMAGES, NOTES, SAMPLES, SCENARIO, VERSIONS, RunDirectory, create_run_directory
from orchestrator.testbed.bring_up import bring_up
from orchestrator.testbed.claim import Claim, claim_slot
from orchestrator.testbed.compose import ComposeFile
from orchestrator.testbed.engine import Engine
from orchestrator.testbed.images import Images
from orchestrator.testbed.run import Run
from orchestrator.testbed.world import Testbed

Observer = Callable[[Event], None]

SETUP_ALLOWANCE_S = 600
"""What bring-up, tear-down and a slow machine may add to the load's duration before a run expires by itself."""
RUN_ID_ALPHABET = string.digits + string.ascii_lowercase


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A scenario that can be planned in any slot; nothing in the user's files can be wrong any more."""

    file: Path
    scenario: Scenario
    manifests: tuple[Manifest, ...]
    seed: int | None
    kube_proxy: ProgramPlan | None = None

    def plan(self, *, slot: int = 0, trial: int = 1, kinds: Kinds = KINDS) -> Plan:
        return plan_run(
            self.scenario,
            self.manifests,
            kinds,
            file=self.file,
            slot=slot,
            trial=trial,
            seed=self.seed,
            kube_proxy=self.kube_proxy,
        )


def load_request(file: Path, overrides: Mapping[str, object], seed: int | None) -> Loaded:
    """Reads and checks everything that the user wrote. Raises ScenarioError, UsageError."""
    scenario = load_scenario(file, overrides)
    manifests = load_manifests(file, scenario.manifests)
    loaded = Loaded(file=file, scenario=scenario, manifests=manifests, seed=seed, kube_proxy=_read_kube_proxy(file, scenario))
    # What the seed draws differs from trial to trial: none of them may turn out impossible when others have run.
    for trial in range(1, scenario.trials + 1):
        loaded.plan(trial=trial)
    return loaded


def _read_kube_proxy(file: Path, scenario: Scenario) -> ProgramPlan | None:
    binary = scenario.cluster.kube_proxy.binary
    if binary is None:
        return None
    return read_program(file, binary, key="cluster.kube_proxy.binary", into=PROGRAM, machine=platform.machine())


def dump_request(loaded: Loaded) -> dict[str, object]:
    """What `load_saved` reads again."""
    return {
        "file": str(loaded.file.resolve()),
        "seed": loaded.seed,
        "scenario": loaded.scenario.model_dump(mode="json", by_alias=True, exclude_none=True),
        "manifests": [{"file": str(item.file.resolve()), "index": item.index, "body": item.body} for item in loaded.manifests],
    }


def load_saved(directory: RunDirectory) -> Loaded:
    """What a run was planned from. Raises UsageError for a run of a version that did not save it."""
    found = directory.load_json(SCENARIO)
    if not isinstance(found, dict):
        raise UsageError(f"{directory.path} has no {SCENARIO}: it was run by an older version")
    file, scenario = Path(found["file"]), Scenario.model_validate(found["scenario"])
    return Loaded(
        file=file,
        scenario=scenario,
        kube_proxy=_read_kube_proxy(file, scenario),
        manifests=tuple(Manifest(file=Path(item["file"]), index=item["index"], body=item["body"]) for item in found["manifests"]),
        seed=found["seed"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What runs need of this machine and its engine."""

    engine: Engine
    compose: ComposeFile
    images: Images
    require_features: Callable[[tuple[str, ...]], None]
    """Raises EnvironmentUnmetError when the engine's kernel lacks one of them."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of everything that a run is made with."""


def run_trial(loaded: Loaded, host: Host, *, results: Path, trial: int, observer: Observer, keep: bool = False) -> RunDirectory:
    """Claim, plan, bring up, load and timeline, save. What was measured is kept whatever happens.

    Raises:
        EnvironmentUnmetError, InternalError, InterruptedRunError: after everything of the run has been removed.
    """
    with _started(loaded, host, results=results, trial=trial, observer=observer) as (directory, claim, plan):
        loads: list[LocustLoad] = []
        with bring_up(plan, claim, now=_now(), when_launched=lambda testbed: loads.append(start_load(testbed))) as testbed:
            if keep:
                testbed.keep()
            loads[0].await_ready()
            probe_paths(testbed)
            try:
                run_timeline(plan, testbed, loads[0], ACTIONS, stop=claim.stop)
            finally:
                _save_measured(testbed, directory)
    directory.mark_latest()
    if claim.stop.is_set():  # in the middle of the tear-down, which nothing cuts short: what is left to do is not begun
        raise InterruptedRunError(
            f"interrupted while run {directory.run_id} was removed; what it measured is in {directory.path}"
        )
    return directory


def keep_testbed(loaded: Loaded, host: Host, *, results: Path, observer: Observer) -> RunDirectory:
    """Bring a testbed up, prove its steady state and leave it running until it expires or is removed."""
    with (
        _started(loaded, host, results=results, trial=1, observer=observer) as (directory, claim, plan),
        bring_up(plan, claim, now=_now()) as testbed,
    ):
        probe_paths(testbed)
        testbed.keep()
    directory.mark_latest()
    return directory


@contextmanager
def _started(
    loaded: Loaded, host: Host, *, results: Path, trial: int, observer: Observer
) -> Iterator[tuple[RunDirectory, Claim, Plan]]:
    """A run directory with the plan for a slot that is claimed; its history is saved on every way out."""
    cluster = loaded.scenario.cluster
    with stop_on_signals() as stop:
        draft = loaded.plan(trial=trial)
        host.require_features(draft.kernel_features)
        run_id = make_run_id(_now())
        directory = create_run_directory(results, loaded.scenario.name, run_id)
        directory.save_plan(draft)
        directory.save_json(SCENARIO, dump_request(loaded))
        directory.save_json(IMAGES, {str(role): tag for role, tag in host.images.tags.items()})
        directory.save_json(VERSIONS, dict(host.versions))
        lifetime_s = round(loaded.scenario.duration) + SETUP_ALLOWANCE_S
        run = Run(
            run_id=run_id,
            directory=directory.path.resolve(),
            owner_pid=os.getpid(),
            expires_in_s=lifetime_s,
            expires_unix_s=round(_now().timestamp()) + lifetime_s,
            images={role: host.images.tags[role] for role in Role},
        )
        pools = {"client_pool": cluster.client_pool, "node_pool": cluster.node_pool}
        collected: list[Claim] = []
        try:
            with claim_slot(host.engine, host.compose, run, stop=stop, observer=observer, **pools) as claim:
                collected.append(claim)
                plan = loaded.plan(slot=claim.slot, trial=trial)
                directory.save_plan(plan)
                yield directory, claim, plan
        finally:
            for claim in collected:
                directory.save_history(claim.collector.history())


def _save_measured(testbed: Testbed, directory: RunDirectory) -> None:
    """Whatever the load has written so far; a failure to fetch it is noted, and makes the trial INVALID."""
    try:
        fetch_samples(testbed, directory.path / SAMPLES)
    except TestbedError as error:
        directory.save_json(NOTES, [f"samples could not be fetched: {error}"])
    directory.save_history(testbed.history())


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM set the event, so that every wait ends and all unwinds; a second one does not cut the clean-up."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def make_run_id(now: datetime.datetime) -> str:
    """At most 11 characters (part of a bridge's name), sorted by time: seconds in base 36, and chance against collisions."""
    seconds, digits = int(now.timestamp()), ""
    while seconds:
        seconds, digit = divmod(seconds, 36)
        digits = RUN_ID_ALPHABET[digit] + digits
    return digits + "".join(secrets.choice(RUN_ID_ALPHABET) for _ in range(4))


def _now() -> datetime.datetime:
    """Wall-clock time: names runs, dates certificates and expiries; nothing is measured with it."""
    return datetime.datetime.now(datetime.UTC)  # noqa: TID251
