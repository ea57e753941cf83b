"""The last part of the steady state: every path answers from the client as the plan says that it must."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from orchestrator.contracts import World
from orchestrator.errors import DeadlineError, InternalError
from orchestrator.model.direct import direct_of
from orchestrator.model.plan import Expectation, PathPlan, Plan, Role

PROBE_TIMEOUT_S = 1.0
PROBE_DEADLINE_S = 15.0
EXEC_DEADLINE_S = 20.0
_OUTCOME = {Expectation.OK: "ok", Expectation.REFUSED: "refused"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One URL and the outcome that it must have."""

    path: str
    url: str
    outcome: str
    body: str
    """What the answer must carry (`expect` of docs/contracts.md section 5)."""
    options: tuple[str, ...] = ()
    """Further words of the command line."""
    node: str | None = None
    """The only one whose pods may answer; None: any."""


def plan_probes(plan: Plan) -> tuple[Probe, ...]:
    """Every path of the plan, and the control path: a control that does not answer would make every trial INVALID."""
    return (
        *(
            Probe(
                path=path.name,
                url=path.url,
                outcome=_OUTCOME[path.expect],
                body="pod",
                options=path.probe_options,
                node=_only_node(path),
            )
            for path in plan.paths
        ),
        *(
            Probe(path=item.path, url=item.url, outcome=_OUTCOME[Expectation.OK], body=item.expect)
            for item in plan.load.classes_of(plan.control_path)
        ),
    )


def probe_paths(world: World, *, deadline_s: float = PROBE_DEADLINE_S) -> None:
    """Each path once, again while it does not answer as it must. Reports `path-probed` for each.

    Raises:
        DeadlineError naming the path, what it must answer and what it answered last; InterruptedRunError.
    """
    client = world.plan.of_role(Role.CLIENT)[0].name
    with ThreadPoolExecutor(max_workers=4, thread_name_prefix="probe") as pool:
        list(pool.map(lambda probe: _await_outcome(world, client, probe, deadline_s), plan_probes(world.plan)))


def _await_outcome(world: World, client: str, probe: Probe, deadline_s: float) -> None:
    deadline_ns = world.clock.now_mono_ns() + round(deadline_s * 1e9)
    while True:
        record = _ask(world, client, probe)
        is_there = probe.node in (None, record.get("node"))
        if record["outcome"] == probe.outcome and is_there:
            world.emit("path-probed", path=probe.path, outcome=probe.outcome, node=record.get("node", ""))
            return
        if world.clock.now_mono_ns() >= deadline_ns:
            found = f"{record['outcome']}: {record.get('error') or record.get('http_status')}"
            wanted = probe.outcome
            if not is_there:
                # As when a node port of the same number comes before a host port.
                wanted, found = f"{wanted} from {probe.node}", f"{found} from {record.get('node') or 'no node'}"
            raise DeadlineError(f"path {probe.path} ({probe.url}) must answer {wanted}; it did", deadline_s, found)


def _only_node(path: PathPlan) -> str | None:
    direct = direct_of(path)
    return direct.node if direct is not None and direct.is_local else None


def _ask(world: World, client: str, probe: Probe) -> Mapping[str, object]:
    argv = [
        "python3",
        "-m",
        "loadtests.probe",
        probe.url,
        "--timeout-s",
        f"{PROBE_TIMEOUT_S:g}",
        "--expect",
        probe.body,
        *probe.options,
    ]
    output = world.execute(client, argv, deadline_s=EXEC_DEADLINE_S)
    try:
        record = json.loads(output)
    except ValueError:
        record = None
    if not isinstance(record, dict) or "outcome" not in record:
        raise InternalError(f"probe of {probe.path} answered {output.strip()[-200:]!r}; allowed: one JSON record")
    return record
