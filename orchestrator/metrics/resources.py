"""CPU and conntrack entries of every container over the load, from its init's reports."""

from collections import defaultdict
from itertools import pairwise

from orchestrator.model.history import Event, History
from orchestrator.model.measurements import ContainerUse


def measure_containers(history: History, duration_s: float) -> tuple[ContainerUse, ...]:
    """Cores = growth of the cgroup's CPU time / time, between successive reports of one life of the container."""
    start = history.start_mono_ns or 0
    reports: dict[str, list[Event]] = defaultdict(list)
    for event in history.select("resources", since_ns=start):
        if event.t_mono_ns <= start + round(duration_s * 1e9):
            reports[event.container].append(event)
    return tuple(_use(container, events) for container, events in sorted(reports.items()) if len(events) > 1)


def _use(container: str, events: list[Event]) -> ContainerUse:
    cores, busy_ns, wall_ns = [], 0, 0
    for before, after in pairwise(events):
        used, passed = _number(after, "cpu_usage_ns") - _number(before, "cpu_usage_ns"), after.t_mono_ns - before.t_mono_ns
        if used < 0 or passed <= 0:  # restarted: its counter began again
            continue
        cores.append(used / passed)
        busy_ns, wall_ns = busy_ns + used, wall_ns + passed
    entries = [value for event in events if isinstance(value := event.fields.get("conntrack_entries"), int)]
    return ContainerUse(
        container=container,
        mean_cores=busy_ns / wall_ns if wall_ns else 0.0,
        max_cores=max(cores, default=0.0),
        max_conntrack_entries=max(entries, default=None),
    )


def _number(event: Event, field: str) -> int:
    value = event.fields.get(field)
    return value if isinstance(value, int) else 0
