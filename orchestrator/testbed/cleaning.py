"""Removes what runs and tests have left behind, found by label and by the comment of a guard table, never by a name."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.errors import EngineError
from orchestrator.host.owner import is_gone
from orchestrator.model.plan import Role
from orchestrator.testbed.compose import ComposeFile
from orchestrator.testbed.engine import ContainerSpec, Engine, Found, OutputStream
from orchestrator.testbed.labels import CONTAINER, EXPIRES, OWNER, OWNER_PID, ROLE, RUN, TEST
from orchestrator.testbed.warden import remove_run

HELPER_DEADLINE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRun:
    """A run of which the engine still has something."""

    run_id: str
    expires_unix_s: int
    owner_pid: int
    containers: tuple[Found, ...]
    networks: int

    @property
    def has_warden(self) -> bool:
        """A live warden removes its run by itself, when its orchestrator is gone or when it expires.

        One that has not started yet belongs to a run that is just beginning.
        """
        wardens = [item for item in self.containers if item.labels.get(ROLE) == Role.WARDEN]
        return any(item.running or item.never_started for item in wardens)

    def container_names(self) -> tuple[str, ...]:
        return tuple(sorted(item.labels.get(CONTAINER, item.name) for item in self.containers))


class Scope(StrEnum):
    """Which runs to remove."""

    DEAD = "dead"
    """Expired, or without a warden: nobody else will."""
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    runs: tuple[str, ...]
    guards: tuple[str, ...]
    """Runs of which only the guard rules were left, or whose guard rules went with them."""
    tests: tuple[str, ...] = ()
    """Names of containers and networks of tests."""


def find_runs(engine: Engine) -> tuple[FoundRun, ...]:
    """Every run that the engine knows of, in order of expiry."""
    containers, networks = engine.containers({RUN: ""}), engine.networks({RUN: ""})
    runs = {item.labels[RUN]: item.labels for item in (*containers, *networks)}
    found = (
        FoundRun(
            run_id=run_id,
            expires_unix_s=int(labels.get(EXPIRES, "0")),
            owner_pid=int(labels.get(OWNER_PID, "0")),
            containers=tuple(item for item in containers if item.labels[RUN] == run_id),
            networks=sum(item.labels[RUN] == run_id for item in networks),
        )
        for run_id, labels in runs.items()
    )
    return tuple(sorted(found, key=lambda run: (run.expires_unix_s, run.run_id)))


def clean(
    engine: Engine,
    compose: ComposeFile,
    *,
    warden_image: str | None,
    now_unix_s: int,
    run_id: str | None = None,
    scope: Scope = Scope.DEAD,
) -> Cleaned:
    """Remove one run, or those of the scope and what tests have left; then guard tables of runs that have nothing else any more.

    Only the warden's image can see guard tables. Where there is none (None), no run has been.

    Raises EngineError.
    """
    doomed = [run.run_id for run in find_runs(engine) if _is_doomed(run, now_unix_s=now_unix_s, run_id=run_id, scope=scope)]
    for doomed_id in doomed:
        remove_run(engine, doomed_id, with_warden=True)
    tests = sweep_tests(engine, scope=scope) if run_id is None else ()

    if warden_image is None:
        return Cleaned(runs=tuple(doomed), guards=(), tests=tests)
    image = warden_image

    def ask(*arguments: str) -> list[str]:
        return _ask_helper(engine, compose, image, arguments)

    return Cleaned(runs=tuple(doomed), guards=_sweep_guards(engine, ask), tests=tests)


def sweep_tests(engine: Engine, *, scope: Scope = Scope.DEAD) -> tuple[str, ...]:
    """Remove containers and networks of tests whose process is gone, or all of them; returns their names.

    Of an owner that is not known here (another machine, an earlier boot) only containers that have run and ended are taken.
    """
    containers = [item for item in engine.containers({TEST: ""}) if scope is Scope.ALL or _is_stray(item)]
    for item in containers:
        engine.remove_container(item.id)
    networks = [item for item in engine.networks({TEST: ""}) if scope is Scope.ALL or is_gone(item.labels.get(OWNER, ""))]
    for item in networks:
        engine.remove_network(item.id)
    return tuple(item.name for item in (*containers, *networks))


def _is_stray(container: Found) -> bool:
    gone = is_gone(container.labels.get(OWNER, ""))
    return gone or (gone is None and not container.running and not container.never_started)


def _is_doomed(run: FoundRun, *, now_unix_s: int, run_id: str | None, scope: Scope) -> bool:
    if run_id is not None:
        return run.run_id == run_id
    return scope is Scope.ALL or run.expires_unix_s <= now_unix_s or not run.has_warden


def _sweep_guards(engine: Engine, ask: Callable[..., list[str]]) -> tuple[str, ...]:
    # Tables first, containers second: a run that begins in between has its warden before it has its table.
    guarded = ask("list-guards")
    alive = {item.labels[RUN] for item in engine.containers({RUN: ""})}
    orphaned = [run for run in guarded if run not in alive]
    return tuple(ask("delete-guards", *orphaned)) if orphaned else ()


def _ask_helper(engine: Engine, compose: ComposeFile, image: str, arguments: tuple[str, ...]) -> list[str]:
    """One command of the warden's image in the host's network; the container removes itself."""
    service = compose.services[Role.WARDEN]
    container = engine.create_container(
        ContainerSpec(
            name="",
            image=image,
            hostname="",
            labels={ROLE: "clean"},
            cap_add=service.cap_add,
            cap_drop=service.cap_drop,
            auto_remove=True,
            command=arguments,
        )
    )
    try:
        attachment = engine.attach(container)
        engine.start(container)
        output = dict.fromkeys(OutputStream, b"")
        for stream, chunk in attachment.read():
            output[stream] += chunk
    finally:
        if not engine.wait_removed(container, HELPER_DEADLINE_S):
            engine.remove_container(container)
    try:
        answer = json.loads(output[OutputStream.STDOUT])
    except ValueError:
        said = (output[OutputStream.STDERR] or output[OutputStream.STDOUT]).decode("utf-8", "replace")[-500:]
        raise EngineError(f"the helper for guard rules failed ({' '.join(arguments)}): {said}") from None
    return [str(item) for item in answer]
