"""Which step of the timeline a request belongs to: every request to one of them or to none, so that counts add up."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.metrics.instants import SCALE, begin_of, leads
from orchestrator.metrics.outcomes import met
from orchestrator.metrics.reused_ports import ReusedPort, find_reused_ports
from orchestrator.metrics.spans import Mask, Times
from orchestrator.model.measurements import StepMeasurement
from orchestrator.model.plan import Expectation, LoadClassPlan, PathPlan, Plan
from orchestrator.model.samples import Samples

NOBODY = -1
Owners = NDArray[np.int64]


def assign_owners(at_s: Times, end_s: Times, good: Mask, steps: Sequence[StepMeasurement]) -> Owners:
    """The index of each request's step, `NOBODY` before the first.

    A request belongs to the step that began last before its intended instant. One that failed and was on its way when a fault
    struck (intended before, outcome known after) belongs to that fault: a request that waits for its response breaks with the
    node as much as one that comes later. A rescale takes no such requests: it begins when it is asked for, and nothing has
    changed then. Of steps that strike together the first takes all.
    """
    owners = np.full(len(at_s), NOBODY, dtype=np.int64)
    leaders = [index for index, step in enumerate(steps) if step.group is None or leads(step, tuple(steps))]
    for index in sorted(leaders, key=lambda index: begin_of(steps[index])):
        begin_s = begin_of(steps[index])
        taken = at_s >= begin_s
        if steps[index].kind != SCALE:
            taken |= ~good & (at_s < begin_s) & (end_s > begin_s)
        owners[taken] = index
    return owners


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Requests:
    """The requests of one path and class: intended instants, whether each got what the path must answer, whose it is."""

    path: PathPlan
    load: LoadClassPlan
    own: Samples
    at_s: Times
    good: Mask
    owners: Owners
    reused: tuple[ReusedPort, ...] = ()
    """Those that found an entry of an earlier connection in a node's table."""

    def reused_of(self, lost: Samples) -> list[ReusedPort | None]:
        """For each of some requests the port that came round again, or None."""
        found = {(item.sent_ns, item.port): item for item in self.reused}
        records = lost.records
        pairs = zip(records["sent_ns"].tolist(), records["local_port"].tolist(), strict=True)
        return [found.get(pair) for pair in pairs]


def select_requests(
    plan: Plan, samples: Samples, load: LoadClassPlan, steps: Sequence[StepMeasurement], start_mono_ns: int
) -> Requests:
    path, asked = plan.path(load.path), samples.of(load.path)
    own = asked.of(load.path, load.connection_class)
    at_s = (own.records["intended_ns"] - start_mono_ns) / 1e9
    end_s = (own.records["end_ns"] - start_mono_ns) / 1e9
    good = met(own, path.expect)
    owners = assign_owners(at_s, end_s, good, steps)
    reused = tuple(find_reused_ports(path, load, plan.load.classes, asked)) if path.expect is Expectation.OK else ()
    return Requests(path=path, load=load, own=own, at_s=at_s, good=good, owners=owners, reused=reused)
