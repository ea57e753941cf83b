"""From measurements to a verdict. Judges the data alone; a check that fails to run is INVALID, never a pass."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from orchestrator.errors import ExitCode
from orchestrator.model.measurements import LoadQuality, Measurements, Outage
from orchestrator.model.outcome import Outcome, SloResult, ValidityCheck, Verdict
from orchestrator.model.plan import Expectation, PathPlan, Plan, SloPlan

FORMAT_VERSION = 1
STRIKE_LATENESS_LIMIT_S = 0.1
STRIKE_UNCERTAINTY_LIMIT_S = 0.02
"""Where the user lets the sender be later than that, the machine is busy, and strikes may be as late and as uncertain."""
POISSON_DEVIATIONS = 5.0
"""Once in two million loads a count is farther from its mean than that."""

_EXIT_CODES = {Verdict.PASS: ExitCode.PASS, Verdict.FAIL: ExitCode.SLO_FAILED, Verdict.INVALID: ExitCode.INVALID}


def judge(
    plan: Plan,
    measurements: Measurements,
    *,
    run_id: str,
    judge_objective: Callable[[SloPlan, Measurements], SloResult],
    versions: Mapping[str, str],
    notes: Iterable[str] = (),
) -> Outcome:
    """`notes`: what went wrong in our own machinery while measuring; each makes the trial INVALID."""
    validity = [*check_validity(plan, measurements), *(_broken("machinery", note) for note in notes)]
    objectives = tuple(_judge_safely(slo, measurements, judge_objective) for slo in plan.slos)
    verdict = decide(objectives, validity, is_stopped=measurements.stopped is not None)
    return Outcome(
        format_version=FORMAT_VERSION,
        scenario=plan.scenario,
        run_id=run_id,
        question=plan.question,
        seed=plan.seed,
        timings_profile=plan.timings.profile,
        verdict=verdict,
        exit_code=int(_EXIT_CODES[verdict]),
        findings=tuple(describe_path(plan, path, measurements) for path in plan.paths),
        objectives=objectives,
        validity=tuple(validity),
        measurements=measurements,
        versions=dict(versions),
    )


def decide(objectives: Iterable[SloResult], validity: Iterable[ValidityCheck], *, is_stopped: bool = False) -> Verdict:
    """What was not measured is not judged: a broken check outweighs a missed objective. In a run that was stopped because one is
    missed for good, the others need no measurement."""
    results = tuple(objectives)
    missed = any(result.met is False for result in results)
    if not all(check.valid for check in validity):
        return Verdict.INVALID
    if any(result.met is None for result in results) and not (is_stopped and missed):
        return Verdict.INVALID
    return Verdict.PASS if all(result.met for result in results) else Verdict.FAIL


def _judge_safely(
    slo: SloPlan, measurements: Measurements, judge_objective: Callable[[SloPlan, Measurements], SloResult]
) -> SloResult:
    try:
        return judge_objective(slo, measurements)
    except Exception as error:  # noqa: BLE001  any defect of a check is INVALID (DESIGN: a crashing check is never a pass)
        reason = f"the check failed: {error!r}"
        return SloResult(subject=slo.subject, kind=slo.kind, objective=slo.text, measured="-", met=None, reason=reason)


def check_validity(plan: Plan, measurements: Measurements) -> tuple[ValidityCheck, ...]:
    """Every condition under which the numbers mean something."""
    load = measurements.load
    return (
        *_check_stop(measurements),
        *_check_steps(measurements),
        *_check_strikes(plan, measurements),
        *([] if measurements.stopped is not None else _check_arrivals(plan, load)),
        *_check_sender(plan, load),
        *_check_control(plan, load),
    )


def _check_stop(measurements: Measurements) -> Iterable[ValidityCheck]:
    """A run that ended early measured less than was planned, unless what it measured misses an objective for good."""
    stopped = measurements.stopped
    if stopped is not None:
        found = f"stopped at {stopped.at_s:.1f} s by {stopped.condition}: {stopped.failed} failed"
        limit = "not before an objective is missed for good"
        yield ValidityCheck(name="stop condition", valid=stopped.is_objective, found=found, limit=limit)


def _check_steps(measurements: Measurements) -> Iterable[ValidityCheck]:
    stopped = measurements.stopped
    for step in measurements.steps:
        found = step.failure or step.evidence or "no evidence"
        valid = step.failure is None and step.effective_s is not None
        if stopped is not None and (step.effective_s is None or step.effective_s > stopped.at_s):
            found, valid = "not reached: the run had been stopped", True
        yield ValidityCheck(name=f"step {step.step}", valid=valid, found=found, limit="effective, with evidence")


def _check_strikes(plan: Plan, measurements: Measurements) -> Iterable[ValidityCheck]:
    """What fires on the clock: durations count from its effective instant, and what is late is another experiment."""
    late_ms = 1000 * max(STRIKE_LATENESS_LIMIT_S, plan.load.lateness_limit_s)
    uncertain_ms = 1000 * max(STRIKE_UNCERTAINTY_LIMIT_S, plan.load.lateness_limit_s)
    for step in measurements.steps:
        told = [
            *([] if step.late_ms is None else [f"{step.late_ms:.1f} ms late"]),
            *([] if step.known_within_ms is None else [f"known to within {step.known_within_ms:.1f} ms"]),
        ]
        if told:
            valid = (step.late_ms or 0.0) <= late_ms and (step.known_within_ms or 0.0) <= uncertain_ms
            limit = f"{late_ms:g} ms late at most, known to within {uncertain_ms:g} ms"
            yield ValidityCheck(name=f"instant of {step.step}", valid=valid, found=", ".join(told), limit=limit)


def _check_arrivals(plan: Plan, load: LoadQuality) -> Iterable[ValidityCheck]:
    """What was not asked was not measured: a class that ended early, or was sent in part, or never."""
    recorded = {(item.path, item.connection_class): item.recorded for item in load.classes}
    short = []
    for item in plan.load.classes:
        due = item.rate_rps * plan.load.duration_s
        # A first arrival at a phase of its own makes one more or less; Poisson counts deviate by their square root.
        slack = 1.5 if item.arrivals == "uniform" else 1.5 + POISSON_DEVIATIONS * math.sqrt(due)
        found = recorded.get((item.path, item.connection_class), 0)
        if abs(found - due) > slack:
            short.append(f"{item.path}/{item.connection_class} {found} of {due:g}")
    yield ValidityCheck(
        name="arrivals",
        valid=not short,
        found=", ".join(short) or f"{sum(recorded.values())} as planned",
        limit="rate times duration of every class",
    )


def _check_sender(plan: Plan, load: LoadQuality) -> Iterable[ValidityCheck]:
    limit_ms = plan.load.lateness_limit_s * 1000
    worst = max((item.lateness_p99_ms for item in load.classes), default=0.0)
    yield ValidityCheck(
        name="sender lateness",
        valid=worst < limit_ms,
        found=f"p99 {worst:.2f} ms",
        limit=f"p99 below {limit_ms:g} ms",
    )
    differing = [
        f"{item.path}/{item.connection_class} {item.recorded} of {item.sent}"
        for item in load.classes
        if item.recorded != item.sent
    ]
    recorded = sum(item.recorded for item in load.classes)
    yield ValidityCheck(
        name="samples recorded",
        valid=load.complete and not differing and recorded > 0,
        found=", ".join(differing)
        or (f"{recorded} of {recorded}" if load.complete else f"{recorded}; the sender reported no totals"),
        limit="as many as requests sent",
    )
    yield ValidityCheck(
        name="in-flight bound",
        valid=not load.bound_reached,
        found="reached" if load.bound_reached else "not reached",
        limit="never reached: a bounded sender is a closed loop",
    )


def _check_control(plan: Plan, load: LoadQuality) -> Iterable[ValidityCheck]:
    p99, limit_ms = load.control_p99_ms, plan.load.control_latency_limit_s * 1000
    found = f"{load.control_failed} of {load.control_sent} failed, p99 {'-' if p99 is None else f'{p99:.2f}'} ms"
    struck = ", ".join(step.step for step in plan.timeline if step.strikes_control_path)
    if struck:
        limit = f"none: {struck} strikes its path"
        yield ValidityCheck(name="control probe", valid=load.control_sent > 0, found=found, limit=limit)
        return
    yield ValidityCheck(
        name="control probe",
        valid=load.control_sent > 0 and load.control_failed == 0 and p99 is not None and p99 < limit_ms,
        found=found,
        limit=f"none failed, p99 below {limit_ms:g} ms: no step touches its path",
    )


def _broken(name: str, note: str) -> ValidityCheck:
    return ValidityCheck(name=name, valid=False, found=note, limit="nothing of ours fails while measuring")


def describe_path(plan: Plan, path: PathPlan, measurements: Measurements) -> str:
    """The measured answer for one path, in one sentence."""
    classes = measurements.of(path.name)
    sent, ok = sum(item.sent for item in classes), sum(item.ok for item in classes)
    if not sent:
        return f"{path.name}: nothing was sent."
    if path.expect is Expectation.REFUSED:
        return f"{path.name}: refused {ok} of {sent} requests ({show_ratio(ok / sent)}), as a negative control must be."
    parts = [f"{path.name}: {show_ratio(ok / sent)} of {sent} requests ok"]
    for step in measurements.steps:
        outages = [item for item in measurements.outages if (item.step, item.path) == (step.step, path.name)]
        if outages:
            parts.append(_describe_step(step.step, outages))
        lost = [item.lost for item in measurements.rescales if (item.step, item.path) == (step.step, path.name)]
        if lost:
            parts.append(f"{step.step} lost {sum(lost) or 'nothing'}")
    outside = sum(item.lost_outside for item in classes)
    if outside:
        parts.append(f"{outside} more lost outside every step")
    return "; ".join(parts) + "."


def show_ratio(ratio: float) -> str:
    """Cut off, not rounded: what is not all must not read as 100%."""
    return f"{math.floor(ratio * 10_000 + 1e-6) / 100:.2f}%"


def _describe_step(step: str, outages: Sequence[Outage]) -> str:
    if not any(item.failed for item in outages):
        return f"{step} lost nothing"
    return f"{step}: " + ", ".join(f"{item.connection_class} {_describe_outage(item)}" for item in outages)


def _describe_outage(outage: Outage) -> str:
    if not outage.failed:
        return "lost nothing"
    lost = f"lost {outage.failed}{_describe_causes(outage)}"
    if outage.convergence_s is None:
        return f"{lost} and had not converged after {outage.window_end_s - outage.effective_s:.1f} s"
    converged = f"{lost} and converged after {outage.convergence_s:.2f} s ± {outage.resolution_s * 1000:.3g} ms"
    last_s = None if outage.last_loss_s is None else outage.last_loss_s - outage.effective_s
    return converged if last_s is None or last_s <= outage.convergence_s else f"{converged}, the last loss at {last_s:.2f} s"


def _describe_causes(outage: Outage) -> str:
    causes = sorted(outage.attribution.items(), key=lambda item: -item[1])
    if len(causes) == 1:
        return f" (all {causes[0][0]})"
    return f" ({', '.join(f'{number} {cause}' for cause, number in causes)})" if causes else ""
