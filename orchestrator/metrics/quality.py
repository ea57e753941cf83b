"""How well the load itself was made: the conditions under which the other numbers mean something."""

from collections.abc import Mapping, Sequence

import numpy as np

from orchestrator.metrics.latency import measure_latency
from orchestrator.model.measurements import LoadQuality, SenderQuality
from orchestrator.model.plan import LoadClassPlan, Plan
from orchestrator.model.samples import Samples

Totals = Mapping[str, object]


def measure_load(plan: Plan, samples: Samples, totals: Totals | None) -> LoadQuality:
    """`totals`: the sender's own count at its end, None when it never wrote one.

    Lateness is sent minus intended, of requests that were sent. The control probe runs on a path that no fault touches: where it
    fails or slows down, the machine did.
    """
    counts = _counts(totals)
    control = samples.of(plan.control_path)
    latency = measure_latency(control)
    return LoadQuality(
        classes=tuple(_sender_quality(item, samples, counts) for item in plan.load.classes),
        bound_reached=bool((totals or {}).get("bound_reached", False)),
        complete=totals is not None,
        control_sent=len(control),
        control_failed=int((~control.ok).sum()),
        control_p99_ms=None if latency is None else latency.p99_ms,
    )


def _counts(totals: Totals | None) -> Mapping[tuple[str, str], int]:
    classes = (totals or {}).get("classes", [])
    if not isinstance(classes, Sequence):
        return {}
    return {(str(item["path"]), str(item["class"])): int(item["sent"]) for item in classes}


def _sender_quality(plan: LoadClassPlan, samples: Samples, counts: Mapping[tuple[str, str], int]) -> SenderQuality:
    own = samples.of(plan.path, plan.connection_class)
    sent = own.records[own.records["sent_ns"] > 0]
    lateness_ms = (sent["sent_ns"] - sent["intended_ns"]) / 1e6
    p50, p99, most = (float(value) for value in np.percentile(lateness_ms, [50, 99, 100])) if len(sent) else (0.0, 0.0, 0.0)
    return SenderQuality(
        path=plan.path,
        connection_class=plan.connection_class,
        sent=counts.get((plan.path, plan.connection_class), 0),
        recorded=len(own),
        lateness_p50_ms=p50,
        lateness_p99_ms=p99,
        lateness_max_ms=most,
    )
