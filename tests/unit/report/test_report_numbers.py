"""Numbers in words: what a reader must not be misled by."""

from dataclasses import replace

import pytest

from orchestrator.model.measurements import Latency
from orchestrator.report.numbers import format_convergence, format_duration, format_ms, format_percentile, format_ratio
from orchestrator.report.tables import worst_convergence
from tests.unit.report.sample_outcome import failing_outcome


@pytest.mark.parametrize(
    ("value_s", "resolution_s", "text"),
    [
        (1.24, 0.005, "1.240 s ± 0.005 s"),
        (15.0, 0.01, "15.00 s ± 0.01 s"),
        (15.004, 1 / 150, "15.004 s ± 0.007 s"),
        (3.0, 1.0, "3 s ± 1 s"),
        (1.0, None, "1.00 s"),
        (None, 0.01, "–"),
    ],
)
def test_duration_has_the_decimals_of_its_resolution(value_s: float | None, resolution_s: float | None, text: str) -> None:
    assert format_duration(value_s, resolution_s) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(1.0, "100 %"), (0.9999999, "99.999 %"), (0.97, "97.000 %"), (0.0, "0 %"), (0.29, "29.000 %"), (None, "–")],
)
def test_ratio_below_one_never_reads_as_all(ratio: float | None, text: str) -> None:
    assert format_ratio(ratio) == text


def test_latency_has_three_figures() -> None:
    assert [format_ms(value) for value in (0.9, 14.04, 1234.5, None)] == ["0.90 ms", "14.0 ms", "1,234 ms", "–"]


def test_percentile_that_time_outs_reach_is_a_lower_bound() -> None:
    latency = Latency(count=100, censored=2, p50_ms=1, p90_ms=2, p99_ms=1000, p999_ms=1000, max_ms=1000)
    assert format_percentile(latency) == "≥ 1,000 ms"
    assert format_percentile(replace(latency, censored=1)) == "1,000 ms"
    assert (format_percentile(latency, "p90"), format_percentile(latency, "p999")) == ("2.00 ms", "≥ 1,000 ms")
    assert format_percentile(replace(latency, censored=0), "max") == "1,000 ms"


def test_path_that_did_not_converge_has_no_time() -> None:
    outage = failing_outcome().measurements.outages[0]
    stuck = replace(outage, converged=False, convergence_s=None, outage_s=None)
    assert format_convergence(stuck) == "not converged within 30.0 s"
    assert format_convergence(replace(outage, failed=0, convergence_s=0.0)) == "nothing lost"


def test_not_converged_is_worse_than_any_time() -> None:
    outage = failing_outcome().measurements.outages[0]
    stuck = replace(outage, step="second", converged=False, convergence_s=None)
    assert worst_convergence([outage, stuck]) == "not converged within 30.0 s (second)"
    assert worst_convergence([outage]) == "15.00 s ± 0.01 s"
    assert worst_convergence([]) == "–"
