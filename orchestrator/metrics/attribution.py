"""Which part of a loss is whose: every failed request of a load-balanced path is put to what explains it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orchestrator.model.direct import direct_of
from orchestrator.model.plan import PathPlan, Role, StepPlan
from orchestrator.model.samples import Outcome, Samples

SLACK_S = 0.05
"""Between the client's clock reading and the proxy's: both share the machine's clock, but not the instant of reading it."""


UNEXPLAINED = "unexplained"
NO_SERVER = "<NOSRV>"
"""What HAProxy logs in the server's place when none could be chosen (configuration manual 2.6, section 8.2.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One connection that HAProxy ended: when, whose, to which server."""

    t_mono_ns: int
    client_port: int
    backend: str
    server: str
    total_ms: float


def read_connections(file: Path) -> tuple[Connection, ...]:
    """HAProxy's connection log (docs/contracts.md section 6); empty where there is none. A line written in part is left out."""
    if not file.is_file():
        return ()
    found = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
            found.append(
                Connection(
                    t_mono_ns=record["t_mono_ns"],
                    client_port=record["client_port"],
                    backend=record["backend"],
                    server=record["server"] or NO_SERVER,
                    total_ms=float(record["total_ms"]),
                )
            )
        except (ValueError, KeyError, TypeError):
            continue
    return tuple(found)


def attribute_losses(
    samples: Samples,
    path: PathPlan,
    step: StepPlan,
    connections: Iterable[Connection],
    *,
    start_mono_ns: int,
    detected_s: float | None,
    programmed_s: float | None,
    until_s: float,
) -> list[str]:
    """The cause of each lost request, `samples`: those that did not get what the path must answer.

    - `next hop`: the path's only entry node was struck.
    - `gateway`: the gateway alone was struck, which every request crosses.
    - `load balancer`: the load balancer itself was struck.
    - `entry`: the load balancer had given the connection to the struck node; expected until it marks that node down. Of a path
      that calls one node itself: that node was struck.
    - `endpoint`: it entered through a live node, whose rules could still choose a pod of the struck node; expected until the last
      live node has committed rules without them.
    - `no server`: the load balancer had no server left. Checks of a node port end at a pod, so that a dead pod behind a live node
      fails them too.
    - Of a path that only pods of the node that it calls can answer, no loss has to do with another node.
    - `established`: a kept-alive connection (second request or later) that led to the struck node, through the load balancer or
      behind a live node, and broke with it. Not where the load balancer chooses anew for each request (`settings.per_request`):
      there a request on a kept connection is as good as one of its own.
    - `unexplained`: none of these; an answer where a refusal was due is one too, and so is a request whose connection the load
      balancer's log does not tell of: nobody knows which node it was given.
    """
    failed = samples.records
    direct = direct_of(path)
    if set(path.entry_nodes) & set(step.targets):
        return ["next hop" if direct is None else "entry"] * len(failed)
    if set(step.targets) == {Role.GATEWAY}:
        return ["gateway"] * len(failed)
    if direct is not None and direct.is_local:
        return [UNEXPLAINED] * len(failed)
    if path.frontend is not None and Role.LOADBALANCER in step.targets:
        return ["load balancer"] * len(failed)
    servers, per_request = _servers(connections, path), bool(path.settings.get("per_request"))
    return [
        _cause(
            record,
            servers if path.frontend is not None else None,
            step,
            start_mono_ns,
            detected_s,
            programmed_s,
            until_s,
            per_request,
        )
        for record in failed
    ]


def _servers(connections: Iterable[Connection], path: PathPlan) -> Mapping[int, list[tuple[int, int, str]]]:
    """Client port -> (begin, end, server) of its connections; ports come round again."""
    found: dict[int, list[tuple[int, int, str]]] = {}
    for item in connections:
        if item.backend == path.frontend:
            begin = item.t_mono_ns - round(item.total_ms * 1e6)
            found.setdefault(item.client_port, []).append((begin, item.t_mono_ns, item.server))
    return found


def _cause(
    record: np.void,
    servers: Mapping[int, list[tuple[int, int, str]]] | None,
    step: StepPlan,
    start_mono_ns: int,
    detected_s: float | None,
    programmed_s: float | None,
    until_s: float,
    per_request: bool,
) -> str:
    """`servers`: None where no load balancer is in the way."""
    slack_ns = round(SLACK_S * 1e9)
    begun, ended = int(record["sent_ns"]) or int(record["intended_ns"]), int(record["end_ns"])
    near = [
        (begin, end, server)
        for begin, end, server in (servers or {}).get(int(record["local_port"]), ())
        if begin - slack_ns <= ended and end + slack_ns >= begun
    ]
    server = max(near)[2] if near else None
    at_s = (begun - start_mono_ns) / 1e9
    if record["outcome"] in (Outcome.OK, Outcome.OTHER):
        return UNEXPLAINED
    if int(record["connection_use"]) > 1 and not per_request:
        dead_end = at_s <= (programmed_s if programmed_s is not None else until_s) + SLACK_S
        return "established" if dead_end or server in step.targets else UNEXPLAINED
    if server == NO_SERVER:
        return "no server"
    if server is None and servers is not None:
        return UNEXPLAINED
    if server in step.targets:
        return "entry" if at_s <= (detected_s if detected_s is not None else until_s) + SLACK_S else UNEXPLAINED
    return "endpoint" if at_s <= (programmed_s if programmed_s is not None else until_s) + SLACK_S else UNEXPLAINED
