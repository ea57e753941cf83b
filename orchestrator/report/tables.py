"""The rows that several formats print, as text: what was measured for each path and class, and what each verdict is called."""

from dataclasses import dataclass, replace

from orchestrator.model.measurements import ClassMeasurement, Explanation, Outage
from orchestrator.model.outcome import Outcome, SloResult, ValidityCheck, Verdict
from orchestrator.model.plan import Expectation, Plan
from orchestrator.report.numbers import NOTHING, format_bound, format_convergence, format_count, format_percentile, format_ratio

VERDICT_MEANINGS = {
    Verdict.PASS: "every objective was met",
    Verdict.FAIL: "an objective was missed",
    Verdict.INVALID: "not measured, or not well enough to judge",
}

CAUSES = {
    "next hop": (
        "The router led the request to the struck node. Where nothing withdraws a route, the loss lasts until that very node is "
        "back with its rules; by BGP until the hold time is over or BFD has noticed; by VRRP until another node has the address."
    ),
    "next hop or endpoint": (
        "The router may have led the request to the struck node, or to a live node whose rules chose a pod of the struck one: "
        "from outside the two cannot be told apart while both can happen."
    ),
    "no route": (
        "The gateway had no next hop left: BGP or BFD had given up every node. On a busy machine BFD gives up nodes "
        "that live, for its packets come too late: a longer interval or a larger multiplier bears more."
    ),
    "moved": (
        "A kept-alive connection that a change of next hops led to another node, which does not know it: the rules there choose "
        "a pod anew, and that pod answers with a reset."
    ),
    "gateway": (
        "The gateway itself was struck, and every request crosses it: nothing passes until it has booted and has its routes. "
        "Those that BGP gave it come back with the sessions."
    ),
    "load balancer": (
        "The load balancer itself was struck, and is the path's only way in: connections to it are refused while it is dead and "
        "wait while it is frozen. Kept-alive connections that a predecessor still holds after a reload do not notice."
    ),
    "entry": (
        "The load balancer had given the connection to the struck node. Expected until its health check marks the server down: "
        "the check's interval, fall count and time-out decide how many."
    ),
    "endpoint": (
        "The connection entered through a live node, whose rules still chose a pod of the struck node. Expected until the "
        "control plane withdraws the endpoints and the last live node has programmed its rules without them."
    ),
    "established": (
        "A kept-alive connection whose far end was on the struck node broke with it. New connections do not suffer from this; "
        "clients with long-lived connections do, once for each."
    ),
    "no server": (
        "The load balancer had no server left at that moment: checks of a node port end at a pod, so that a dead pod behind a "
        "live node fails them too, and with a small fall count all servers can be down at once."
    ),
    "stale entry": (
        "The client's port had come round again: a connection from it to the same address, less than two minutes before, had not "
        "been answered, and a node's connection table still led the port to the pod that had been chosen then. Connections "
        "beside it from other ports were answered. An earlier loss has left it, so it does not count against this fault's bound."
    ),
    "unexplained": "None of the known causes fits. A high share deserves a look at history.jsonl and the containers' logs.",
}
"""What each cause of `Outage.attribution` means, for who reads the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """One path and connection class, as text."""

    path: str
    connection_class: str
    availability: str
    sent: str
    failed: str
    outage: str
    p99_before: str
    p99_during: str
    p99_after: str
    is_whole: bool
    """Every request got what the path must answer."""


def class_rows(outcome: Outcome, plan: Plan) -> tuple[ClassRow, ...]:
    refused = {path.name for path in plan.paths if path.expect is Expectation.REFUSED}
    return tuple(_class_row(outcome, item, is_refused=item.path in refused) for item in outcome.measurements.classes)


def _class_row(outcome: Outcome, item: ClassMeasurement, *, is_refused: bool) -> ClassRow:
    outages = [
        outage
        for outage in outcome.measurements.outages
        if (outage.path, outage.connection_class) == (item.path, item.connection_class)
    ]
    availability = format_ratio(item.availability_ratio)
    return ClassRow(
        path=item.path,
        connection_class=item.connection_class,
        availability=f"{availability} refused" if is_refused and item.sent == item.ok else availability,
        sent=format_count(item.sent),
        failed=format_count(item.sent - item.ok),
        outage=worst_convergence(outages),
        p99_before=format_percentile(item.latency_before),
        p99_during=format_percentile(item.latency_during),
        p99_after=format_percentile(item.latency_after),
        is_whole=item.sent == item.ok,
    )


def worst_convergence(outages: list[Outage]) -> str:
    """The worst of all faults, with the fault's name where there were several; not converged is worse than any time."""
    if not outages:
        return NOTHING
    worst = max(outages, key=lambda item: (not item.converged, item.convergence_s or 0.0))
    return format_convergence(worst) + (f" ({worst.step})" if len(outages) > 1 and worst.failed else "")


def objective_state(result: SloResult) -> str:
    """`met`, `missed` or `not judged`."""
    if result.met is None:
        return "not judged"
    return "met" if result.met else "missed"


def broken_checks(outcome: Outcome) -> tuple[ValidityCheck, ...]:
    return tuple(check for check in outcome.validity if not check.valid)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionRow:
    """How many failed requests of one outage one cause explains."""

    step: str
    path: str
    connection_class: str
    cause: str
    failed: int
    share_ratio: float
    took: str
    expected: str
    is_expected: bool | None
    why: str


def attribution_rows(outcome: Outcome) -> tuple[AttributionRow, ...]:
    """Most first within an outage."""
    return tuple(
        _attribution_row(outage, cause, failed)
        for outage in outcome.measurements.outages
        if outage.failed
        for cause, failed in sorted(outage.attribution.items(), key=lambda item: -item[1])
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundRow:
    """Why a path cannot lose requests to a fault for longer; without a class where all classes share the reason."""

    step: str
    path: str
    connection_class: str
    at_most: str
    why: str


def bound_rows(outcome: Outcome) -> tuple[BoundRow, ...]:
    """Of every outage that lost something and has a reason to end, or to have no end."""
    found: dict[tuple[str, str, str], BoundRow] = {}
    reasons: dict[tuple[str, str], set[str]] = {}
    for outage in outcome.measurements.outages:
        if outage.failed and outage.bound_why:
            reasons.setdefault((outage.step, outage.path), set()).add(outage.bound_why)
            at_most = "no bound" if outage.bound_s is None else format_bound(outage)
            found[outage.step, outage.path, outage.bound_why] = BoundRow(
                step=outage.step,
                path=outage.path,
                connection_class=outage.connection_class,
                at_most=at_most,
                why=outage.bound_why,
            )
    return tuple(
        replace(row, connection_class="" if len(reasons[row.step, row.path]) == 1 else row.connection_class)
        for row in found.values()
    )


def _attribution_row(outage: Outage, cause: str, failed: int) -> AttributionRow:
    explanation = next((item for item in outage.explanations if item.cause == cause), None)
    return AttributionRow(
        step=outage.step,
        path=outage.path,
        connection_class=outage.connection_class,
        cause=cause,
        failed=failed,
        share_ratio=failed / outage.failed,
        took=NOTHING if explanation is None or explanation.took_s is None else f"{explanation.took_s:.2f} s",
        expected=NOTHING if explanation is None else _expected(explanation),
        is_expected=None if explanation is None else explanation.is_expected,
        why="" if explanation is None else explanation.why,
    )


def _expected(explanation: Explanation) -> str:
    """`1.5 to 2 s`, `15 s or more`, or nothing where the plan's timings say nothing."""
    earliest_s, latest_s = explanation.earliest_s, explanation.latest_s
    if earliest_s is None and latest_s is None:
        return NOTHING
    if latest_s is None:
        return f"{earliest_s:g} s or more"
    return f"up to {latest_s:g} s" if earliest_s is None else f"{earliest_s:g} to {latest_s:g} s"
