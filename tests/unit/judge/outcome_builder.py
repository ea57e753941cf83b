"""Measurements of a run in which nothing went wrong; a test breaks one thing with `replace`."""

from dataclasses import replace

from orchestrator.model.measurements import (
    ClassMeasurement,
    Latency,
    LoadQuality,
    Measurements,
    Outage,
    Rescale,
    SenderQuality,
    StepMeasurement,
)
from orchestrator.model.plan import Plan


def class_measured(path: str = "nodeport", connection_class: str = "new", *, sent: int = 1000, ok: int = 990) -> ClassMeasurement:
    latency = Latency(count=ok, censored=0, p50_ms=2.0, p90_ms=3.0, p99_ms=40.0, p999_ms=60.0, max_ms=80.0)
    return ClassMeasurement(
        path=path,
        connection_class=connection_class,
        rate_rps=200.0,
        resolution_s=0.005,
        sent=sent,
        ok=ok,
        refused=0,
        outcomes={"ok": ok},
        retried=0,
        availability_ratio=ok / sent if sent else None,
        time_availability_ratio=0.95,
        latency=latency,
        latency_before=None,
        latency_during=None,
        latency_after=None,
        share_by_pod={},
        share_by_node={},
    )


def outage(
    connection_class: str = "new", *, path: str = "nodeport", convergence_s: float | None = 5.0, outage_s: float | None = 4.5
) -> Outage:
    return Outage(
        step="1-node-kill",
        kind="node-kill",
        path=path,
        connection_class=connection_class,
        effective_s=10.0,
        window_end_s=35.0,
        resolution_s=0.005,
        failed=10,
        outcomes={"reset": 10},
        first_loss_s=10.5,
        first_recovery_s=11.0,
        converged=convergence_s is not None,
        convergence_s=convergence_s,
        outage_s=outage_s if convergence_s is not None else None,
        total_outage_s=0.1,
        brownout_s=0.2,
        loss_derived_s=0.05,
    )


def rescale(direction: str = "up", *, drained: bool = False, lost: int = 0, done_s: float | None = 39.0) -> Rescale:
    return Rescale(
        step="2-scale",
        direction=direction,
        drained=drained,
        path="nodeport",
        connection_class="new",
        issued_s=35.0,
        done_s=done_s,
        lost=lost,
        outcomes={},
        latency_before=None,
        latency_during=None,
    )


def step_taken() -> StepMeasurement:
    return StepMeasurement(
        step="1-node-kill",
        kind="node-kill",
        targets=("node-1",),
        planned_s=10.0,
        effective_s=10.0,
        deviation_ms=0.0,
        healed_s=25.0,
        done_s=26.0,
        evidence="eth0 down",
        failure=None,
    )


def offering_a_thousand(plan: Plan) -> Plan:
    """The plan with the load that `load_sent` tells of: one class."""
    first = next(item for item in plan.load.classes if (item.path, item.connection_class) == ("nodeport", "new"))
    offered = replace(first, rate_rps=1000 / plan.load.duration_s)
    return replace(plan, load=replace(plan.load, classes=(offered,)))


def load_sent(sent: int = 1000, recorded: int = 1000, lateness_p99_ms: float = 1.0) -> LoadQuality:
    sender = SenderQuality(
        path="nodeport",
        connection_class="new",
        sent=sent,
        recorded=recorded,
        lateness_p50_ms=0.1,
        lateness_p99_ms=lateness_p99_ms,
        lateness_max_ms=20.0,
    )
    return LoadQuality(
        classes=(sender,), bound_reached=False, complete=True, control_sent=100, control_failed=0, control_p99_ms=3.0
    )


def measured(*classes: ClassMeasurement, outages: tuple[Outage, ...] = (), rescales: tuple[Rescale, ...] = ()) -> Measurements:
    return Measurements(
        classes=classes or (class_measured(),),
        steps=(step_taken(),),
        outages=outages,
        rescales=rescales,
        served=(),
        load=load_sent(),
        containers=(),
        series=(),
    )
