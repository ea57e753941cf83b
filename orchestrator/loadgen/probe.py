"""The last part of the steady state: every path answers from the client as the plan says that it must."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from orchestrator.contracts import World
from orchestrator.errors import DeadlineError, InternalError
from orchestrator.model.plan import Expectation, PathPlan, Role

PROBE_TIMEOUT_S = 1.0
PROBE_DEADLINE_S = 15.0
EXEC_DEADLINE_S = 20.0
_OUTCOME = {Expectation.OK: "ok", Expectation.REFUSED: "refused"}


def probe_paths(world: World, *, deadline_s: float = PROBE_DEADLINE_S) -> None:
    """Each path once, again while it does not answer as it must. Reports `path-probed` for each.

    Raises:
        DeadlineError naming the path, what it must answer and what it answered last; InterruptedRunError.
    """
    client = world.plan.of_role(Role.CLIENT)[0].name
    with ThreadPoolExecutor(max_workers=4, thread_name_prefix="probe") as pool:
        list(pool.map(lambda path: _probe(world, client, path, deadline_s), world.plan.paths))


def _probe(world: World, client: str, path: PathPlan, deadline_s: float) -> None:
    deadline_ns = world.clock.now_mono_ns() + round(deadline_s * 1e9)
    while True:
        record = _ask(world, client, path)
        if record["outcome"] == _OUTCOME[path.expect]:
            world.emit("path-probed", path=path.name, outcome=record["outcome"], node=record.get("node", ""))
            return
        if world.clock.now_mono_ns() >= deadline_ns:
            found = f"{record['outcome']}: {record.get('error') or record.get('http_status')}"
            raise DeadlineError(f"path {path.name} ({path.url}) must answer {_OUTCOME[path.expect]}; it did", deadline_s, found)


def _ask(world: World, client: str, path: PathPlan) -> Mapping[str, object]:
    argv = ["python3", "-m", "loadtests.probe", path.url, "--timeout-s", f"{PROBE_TIMEOUT_S:g}"]
    output = world.execute(client, argv, deadline_s=EXEC_DEADLINE_S)
    try:
        record = json.loads(output)
    except ValueError:
        record = None
    if not isinstance(record, dict) or "outcome" not in record:
        raise InternalError(f"probe of {path.name} answered {output.strip()[-200:]!r}; allowed: one JSON record")
    return record
