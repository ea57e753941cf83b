"""CPU of containers from cumulative counters that begin anew with every life of the container."""

import pytest

from orchestrator.metrics.resources import measure_containers
from orchestrator.model.history import Event
from tests.unit.metrics.sample_builder import event, history


def report(at_s: float, cpu_s: float, *, container: str = "node-1", conntrack: int | None = None) -> Event:
    return event(at_s, f"{container}/init", "resources", cpu_usage_ns=round(cpu_s * 1e9), conntrack_entries=conntrack)


def test_cores_are_cpu_time_over_time() -> None:
    (found,) = measure_containers(history(report(1, 5.0), report(2, 5.5), report(4, 7.5)), 60.0)
    assert (found.container, found.mean_cores, found.max_cores) == ("node-1", pytest.approx(2.5 / 3), pytest.approx(1.0))


def test_restart_resets_the_counter_and_is_not_counted_as_negative_use() -> None:
    (found,) = measure_containers(history(report(1, 50.0), report(2, 50.5), report(10, 0.1), report(11, 0.4)), 60.0)
    assert (found.mean_cores, found.max_cores) == (pytest.approx(0.4), pytest.approx(0.5))


def test_reports_outside_the_load_do_not_count() -> None:
    told = history(report(-2, 0.0), report(1, 9.0), report(2, 9.25), report(61, 90.0))
    (found,) = measure_containers(told, 60.0)
    assert found.mean_cores == pytest.approx(0.25)


def test_one_report_measures_nothing() -> None:
    assert measure_containers(history(report(1, 5.0)), 60.0) == ()


def test_conntrack_peak_is_kept_where_the_kernel_tells_it() -> None:
    told = history(
        report(1, 0, conntrack=10),
        report(2, 0, conntrack=70),
        report(3, 0),
        report(1, 0, container="lb"),
        report(2, 0, container="lb"),
    )
    assert {item.container: item.max_conntrack_entries for item in measure_containers(told, 60.0)} == {"lb": None, "node-1": 70}
