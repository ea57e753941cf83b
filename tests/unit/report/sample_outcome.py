"""Outcomes of a node-kill run with a rescale: a path down for 15 s, one that loses some for 5 s, one refused throughout."""

from collections.abc import Mapping
from dataclasses import replace

from orchestrator.judge import describe_path
from orchestrator.model.measurements import (
    ClassMeasurement,
    ContainerUse,
    Latency,
    LoadQuality,
    Measurements,
    Outage,
    Point,
    Rescale,
    SenderQuality,
    Series,
    Served,
    SourceSeen,
    Stage,
    StepMeasurement,
)
from orchestrator.model.outcome import Outcome, SloResult, ValidityCheck, Verdict
from tests.unit.report.sample_plan import DURATION_S, RATES_RPS, sample_plan

KILLED_S, HEALED_S = 20.004, 32.1
ADDED_S, REMOVED_S = 50.0, 68.0
BIN_S = 0.5


def failing_outcome() -> Outcome:
    """Valid, with objectives met and missed."""
    plan, measurements = sample_plan(), _measurements()
    return Outcome(
        format_version=1,
        scenario=plan.scenario,
        run_id="20250301-101500-k3x9",
        question=plan.question,
        seed=plan.seed,
        timings_profile=plan.timings.profile,
        verdict=Verdict.FAIL,
        exit_code=1,
        findings=tuple(describe_path(plan, path, measurements) for path in plan.paths),
        objectives=(
            SloResult(subject="nodeport", kind="availability", objective=">= 97%", measured="98.011 %", met=True),
            SloResult(subject="nodeport/fresh", kind="convergence", objective="< 3s", measured="5.020 s ± 0.005 s", met=False),
            SloResult(subject="static-route", kind="availability", objective=">= 99%", measured="83.333 %", met=False),
            SloResult(subject="service-port", kind="refused", objective="= 100%", measured="100 %", met=True),
        ),
        validity=(
            ValidityCheck(name="step kill-node-1", valid=True, found="exited at 20.004 s", limit="effective, with evidence"),
            ValidityCheck(name="sender lateness", valid=True, found="p99 0.84 ms", limit="p99 below 10 ms"),
            ValidityCheck(name="samples recorded", valid=True, found="37800 of 37800", limit="as many as requests sent"),
            ValidityCheck(name="control probe", valid=True, found="0 of 1800 failed, p99 1.10 ms", limit="none failed"),
        ),
        measurements=measurements,
        versions={"testbed": "0.1.0", "docker": "20.10.24", "kernel": "6.1.0", "haproxy": "2.6.12"},
    )


def invalid_outcome() -> Outcome:
    """The same run with a disturbed control probe and an objective that could not be judged."""
    base = failing_outcome()
    broken = ValidityCheck(name="control probe", valid=False, found="31 of 1800 failed, p99 220.40 ms", limit="none failed")
    unjudged = SloResult(
        subject="nodeport", kind="latency_p99", objective="< 50ms", measured="-", met=None, reason="no request was answered"
    )
    return replace(
        base,
        verdict=Verdict.INVALID,
        exit_code=2,
        validity=(*base.validity[:-1], broken),
        objectives=(unjudged, *base.objectives),
    )


def calm_outcome() -> Outcome:
    """A run without a timeline, where nothing was lost."""
    base = failing_outcome()
    measured = base.measurements
    whole = tuple(
        replace(item, ok=item.sent, outcomes={"ok": item.sent}, availability_ratio=1.0, latency_during=None, latency_after=None)
        for item in measured.classes
    )
    flat = tuple(
        replace(item, points=tuple(replace(point, ok=point.sent, p99_ms=2.0) for point in item.points))
        for item in measured.series
    )
    calm = replace(measured, classes=whole, steps=(), outages=(), rescales=(), served=(), series=flat)
    plan = sample_plan()
    return replace(
        base,
        verdict=Verdict.PASS,
        exit_code=0,
        findings=tuple(describe_path(plan, path, calm) for path in plan.paths),
        objectives=(replace(base.objectives[0], measured="100 %"),),
        measurements=calm,
    )


def _measurements() -> Measurements:
    return Measurements(
        classes=tuple(_class(path, name) for path, name in RATES_RPS),
        steps=_steps(),
        outages=tuple(_outage(path, name) for path, name in RATES_RPS),
        rescales=tuple(_rescale(step, path, name) for step in ("add-node-4", "remove-node-4") for path, name in RATES_RPS),
        sources=(
            SourceSeen(
                path="nodeport",
                requests=900,
                share_by_owner={"node": 0.75, "load balancer": 0.25},
                addresses=("10.0.1.1", "10.3.1.3"),
                source_kept=False,
            ),
            SourceSeen(
                path="static-route", requests=10, share_by_owner={"client": 1.0}, addresses=("10.3.0.2",), source_kept=True
            ),
            SourceSeen(path="service-port", requests=0, share_by_owner={}, addresses=(), source_kept=None),
        ),
        served=(Served(node="node-4", ready_s=2.31, in_load_balancer_s=2.9, first_answer_s=3.42),),
        load=LoadQuality(
            classes=tuple(
                SenderQuality(
                    path=path,
                    connection_class=name,
                    sent=_sent(path, name),
                    recorded=_sent(path, name),
                    lateness_p50_ms=0.11,
                    lateness_p99_ms=0.84,
                    lateness_max_ms=6.2,
                )
                for path, name in RATES_RPS
            ),
            bound_reached=False,
            complete=True,
            control_sent=1800,
            control_failed=0,
            control_p99_ms=1.1,
        ),
        containers=tuple(
            ContainerUse(container=name, mean_cores=mean, max_cores=highest, max_conntrack_entries=entries)
            for name, mean, highest, entries in (
                ("client", 0.62, 0.91, None),
                ("gateway", 0.02, 0.05, None),
                ("loadbalancer", 0.14, 0.31, 410),
                ("node-1", 0.11, 0.44, 1210),
                ("node-2", 0.12, 0.39, 1533),
                ("node-3", 0.12, 0.41, 1502),
                ("node-4", 0.05, 0.22, 604),
            )
        ),
        series=tuple(
            Series(path=path, connection_class=name, bin_s=BIN_S, points=_points(path, name)) for path, name in RATES_RPS
        ),
    )


def _sent(path: str, name: str) -> int:
    return round(RATES_RPS[path, name] * DURATION_S)


def _ok_ratio(path: str, name: str, at_s: float) -> float:
    if path == "static-route" and 20.0 <= at_s < 35.0:
        return 0.0
    if path == "nodeport" and 20.0 <= at_s < 22.5:
        return 0.55 if name == "fresh" else 0.7
    if path == "nodeport" and 22.5 <= at_s < 25.0:
        return 0.72 if name == "fresh" else 1.0
    if path == "nodeport" and name == "keepalive" and at_s == REMOVED_S + 0.5:
        return 0.84
    return 1.0


def _points(path: str, name: str) -> tuple[Point, ...]:
    sent = round(RATES_RPS[path, name] * BIN_S)
    points = []
    for number in range(int(DURATION_S / BIN_S)):
        at_s = number * BIN_S
        ratio = _ok_ratio(path, name, at_s)
        wave = 1 + 0.25 * ((number * 7919) % 13) / 13
        p99_ms = (
            None if ratio == 0 or path == "service-port" else (1.8 if name == "fresh" else 0.9) * wave * (1 + 60 * (1 - ratio))
        )
        points.append(Point(at_s=at_s, sent=sent, ok=round(sent * ratio), p99_ms=p99_ms))
    return tuple(points)


def _class(path: str, name: str) -> ClassMeasurement:
    sent = _sent(path, name)
    ok = sum(point.ok for point in _points(path, name))
    answered = path != "service-port"
    return ClassMeasurement(
        path=path,
        connection_class=name,
        rate_rps=RATES_RPS[path, name],
        resolution_s=1 / RATES_RPS[path, name],
        sent=sent,
        ok=ok,
        refused=0 if answered else sent,
        outcomes=_outcomes(path, sent, ok),
        retried=4 if name == "keepalive" else 0,
        availability_ratio=ok / sent,
        time_availability_ratio=ok / sent - 0.001 if ok < sent else 1.0,
        latency=_latency(sent, 0, 14.0),
        latency_before=_latency(sent // 4, 0, 2.2) if answered else None,
        latency_during=_latency(sent // 2, sent - ok, 1000.0 if ok < sent else 2.4) if answered else None,
        latency_after=_latency(sent // 4, 0, 2.3) if answered else None,
        share_by_pod={f"web-{letter}": share for letter, share in zip("abc", (0.34, 0.33, 0.33), strict=True)}
        if answered
        else {},
        share_by_node=({"node-1": 0.29, "node-2": 0.34, "node-3": 0.34, "node-4": 0.03} if answered else {}),
    )


def _outcomes(path: str, sent: int, ok: int) -> Mapping[str, int]:
    if path == "service-port":
        return {"refused": sent}
    lost = sent - ok
    counts = {"ok": ok, "connect-timeout": lost - lost // 5, "reset": lost // 5}
    return {name: count for name, count in counts.items() if count}


def _latency(count: int, censored: int, p99_ms: float) -> Latency:
    return Latency(
        count=count, censored=censored, p50_ms=0.9, p90_ms=1.4, p99_ms=p99_ms, p999_ms=p99_ms * 1.5, max_ms=max(p99_ms * 2, 21.0)
    )


def _steps() -> tuple[StepMeasurement, ...]:
    return (
        StepMeasurement(
            step="kill-node-1",
            kind="node-kill",
            targets=("node-1",),
            planned_s=20.0,
            effective_s=KILLED_S,
            deviation_ms=4.0,
            healed_s=HEALED_S,
            done_s=35.0,
            evidence="the init took the links down at 20.004 s; the engine saw the container die at 20.061 s",
            failure=None,
        ),
        StepMeasurement(
            step="add-node-4",
            kind="scale",
            targets=("node-4",),
            planned_s=ADDED_S,
            effective_s=50.006,
            deviation_ms=6.0,
            healed_s=None,
            done_s=53.4,
            evidence="node-4 registered at 51.9 s",
            failure=None,
        ),
        StepMeasurement(
            step="remove-node-4",
            kind="scale",
            targets=("node-4",),
            planned_s=REMOVED_S,
            effective_s=68.002,
            deviation_ms=2.0,
            healed_s=None,
            done_s=70.9,
            evidence="node-4 gone at 70.9 s",
            failure=None,
        ),
    )


def _outage(path: str, name: str) -> Outage:
    rate_rps = RATES_RPS[path, name]
    ends_s = {"static-route": 35.004, "nodeport": 25.024 if name == "fresh" else 22.504}.get(path)
    failed = sum(point.sent - point.ok for point in _points(path, name) if point.at_s < ADDED_S)
    outage_s = None if ends_s is None else ends_s - KILLED_S - 0.006
    return Outage(
        step="kill-node-1",
        kind="node-kill",
        path=path,
        connection_class=name,
        effective_s=KILLED_S,
        window_end_s=ADDED_S,
        resolution_s=1 / rate_rps,
        failed=failed,
        outcomes={"connect-timeout": failed} if failed else {},
        first_loss_s=KILLED_S + 0.006 if failed else None,
        first_recovery_s=(ends_s if path == "static-route" else KILLED_S + 0.011) if failed else None,
        converged=True,
        convergence_s=0.0 if ends_s is None else ends_s - KILLED_S,
        outage_s=outage_s if failed else 0.0,
        total_outage_s=15.0 if path == "static-route" else 0.0,
        brownout_s=4.9 if path == "nodeport" else 0.0,
        loss_derived_s=failed / rate_rps,
        stages=_stages(path, ends_s),
        attribution=_attribution(path, name, failed),
        bound_s={"nodeport": 5.02}.get(path),
        bound_why={"nodeport": "HAProxy's verdict within 2 s, the last rule within 5.02 s"}.get(path, ""),
    )


def _stages(path: str, ends_s: float | None) -> tuple[Stage, ...]:
    if ends_s is None:
        return (Stage(name="fault effective", at_s=KILLED_S, source="node-kill"),)
    begin = (
        Stage(name="fault effective", at_s=KILLED_S, source="node-kill"),
        Stage(name="first loss", at_s=KILLED_S + 0.006, source="samples"),
    )
    end = Stage(name="sustained", at_s=ends_s, source="samples")
    if path == "static-route":
        return (
            *begin,
            Stage(name="node not ready", at_s=24.41, source="controlplane"),
            Stage(name="endpoints withdrawn", at_s=24.43, source="controlplane"),
            Stage(name="rules programmed", at_s=24.52, source="nodeagent"),
            Stage(name="node boots", at_s=32.2, source="init"),
            Stage(name="node registers", at_s=33.3, source="controlplane"),
            Stage(name="rules there again", at_s=34.98, source="nodeagent"),
            Stage(name="first success", at_s=ends_s, source="samples"),
            end,
        )
    return (
        *begin,
        Stage(name="first success", at_s=KILLED_S + 0.011, source="samples"),
        Stage(name="load balancer marks down", at_s=22.43, source="haproxy"),
        Stage(name="node not ready", at_s=24.41, source="controlplane"),
        Stage(name="endpoints withdrawn", at_s=24.43, source="controlplane"),
        Stage(name="rules programmed", at_s=24.52, source="nodeagent"),
        end,
    )


def _attribution(path: str, name: str, failed: int) -> Mapping[str, int]:
    if not failed:
        return {}
    if path == "static-route":
        return {"next hop": failed}
    if name == "keepalive":
        return {"established": failed - 2, "entry": 2}
    return {"entry": failed // 2, "endpoint": failed - failed // 2 - 3, "unexplained": 3}


def _rescale(step: str, path: str, name: str) -> Rescale:
    down = step == "remove-node-4"
    lost = 4 if down and (path, name) == ("nodeport", "keepalive") else 0
    return Rescale(
        step=step,
        direction="down" if down else "up",
        drained=False,
        path=path,
        connection_class=name,
        issued_s=REMOVED_S if down else ADDED_S,
        done_s=70.9 if down else 53.4,
        lost=lost,
        outcomes={"reset": lost} if lost else {},
        latency_before=None if path == "service-port" else _latency(1000, 0, 2.3),
        latency_during=None if path == "service-port" else _latency(700, 9, 1000.0),
    )
