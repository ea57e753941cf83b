"""Builds what the metrics read, in a line each: requests, events, steps, and the plan of a small cluster."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from orchestrator.experiment import load_request
from orchestrator.metrics.attribution import Connection
from orchestrator.model.history import Event, History, order_events
from orchestrator.model.measurements import StepMeasurement
from orchestrator.model.plan import Expectation, PathPlan, Plan, StepPlan
from orchestrator.model.samples import SAMPLE_DTYPE, Outcome, Samples

NODE_KILL = Path(__file__).resolve().parents[3] / "loadtests" / "scenarios" / "node-kill.yaml"
START_NS = 5_000_000_000_000
STRINGS = (
    "",
    "nodeport",
    "static-route",
    "control",
    "new",
    "keepalive",
    "node-1",
    "node-2",
    "node-3",
    "node-4",
    "pod-a",
    "pod-b",
    "198.18.0.2",
    "198.18.0.3",
    "10.100.0.2",
    "10.0.2.1",
    "192.0.2.1",
)
KILL = StepPlan(step="1-node-kill", kind="node-kill", at_s=10.0, for_s=15.0, targets=("node-1",))
NODEPORT = PathPlan(
    name="nodeport",
    kind="nodeport",
    url="http://198.18.0.3/",
    expect=Expectation.OK,
    service="default/service-test",
    entry_nodes=(),
    frontend="nodeport",
)
HOST_PORT = replace(
    NODEPORT,
    name="hostport",
    kind="hostport",
    service="default/web",
    entry_nodes=("node-1",),
    frontend=None,
    settings={"direct": {"node": "node-1", "is_local": True}},
)
STATIC_ROUTE = replace(NODEPORT, name="static-route", kind="static-route", entry_nodes=("node-1",), frontend=None)


@cache
def real_plan() -> Plan:
    return load_request(NODE_KILL, {}, None).plan()


def ns(at_s: float) -> int:
    return START_NS + round(at_s * 1e9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; instants in seconds from the start of the load, `sent_after_ms` None: never sent."""

    at_s: float
    outcome: Outcome = Outcome.OK
    took_ms: float = 2.0
    sent_after_ms: float | None = 0.5
    path: str = "nodeport"
    connection_class: str = "new"
    node: str = ""
    port: int = 40000
    use: int = 1
    client: str = ""


def samples(*requests: Request) -> Samples:
    records = np.zeros(len(requests), dtype=SAMPLE_DTYPE)
    for record, item in zip(records, sorted(requests, key=lambda item: item.at_s), strict=True):
        record["intended_ns"] = ns(item.at_s)
        record["sent_ns"] = 0 if item.sent_after_ms is None else ns(item.at_s) + round(item.sent_after_ms * 1e6)
        record["end_ns"] = ns(item.at_s) + round(item.took_ms * 1e6)
        record["path_id"], record["class_id"] = STRINGS.index(item.path), STRINGS.index(item.connection_class)
        record["node_id"], record["outcome"] = STRINGS.index(item.node), item.outcome
        record["client_id"] = STRINGS.index(item.client)
        record["local_port"], record["connection_use"], record["attempt"] = item.port, item.use, 1
    return Samples(records=records, strings=STRINGS)


def event(at_s: float, source: str, name: str, **fields: object) -> Event:
    return Event(t_mono_ns=ns(at_s), source=source, event=name, fields=fields)


def history(*events: Event) -> History:
    return order_events([event(0, "client/load", "load-started", start_mono_ns=START_NS), *events])


def connection(begin_s: float, end_s: float, server: str, *, port: int = 40000, backend: str = "nodeport") -> Connection:
    """A connection in HAProxy's log, which is written at its end."""
    return Connection(t_mono_ns=ns(end_s), client_port=port, backend=backend, server=server, total_ms=(end_s - begin_s) * 1000)


def step_measured(
    step: str = "1-node-kill",
    *,
    kind: str = "node-kill",
    planned_s: float = 10.0,
    effective_s: float | None = 10.0,
    done_s: float | None = None,
    failure: str | None = None,
) -> StepMeasurement:
    return StepMeasurement(
        step=step,
        kind=kind,
        targets=("node-1",),
        planned_s=planned_s,
        effective_s=effective_s,
        deviation_ms=None,
        healed_s=None,
        done_s=done_s,
        evidence="eth0 down" if effective_s is not None else "",
        failure=failure,
    )


def every(rate_rps: float, duration_s: float, *, lost: Iterable[float] = (), outcome: Outcome = Outcome.RESET) -> list[Request]:
    """A uniform load in which the requests at the given seconds fail."""
    missing = {round(at_s * rate_rps) for at_s in lost}
    numbers = range(round(rate_rps * duration_s))
    return [Request(at_s=number / rate_rps, outcome=outcome if number in missing else Outcome.OK) for number in numbers]
