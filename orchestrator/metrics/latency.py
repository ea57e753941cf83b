"""Latency percentiles from intended instants: what a client waited, the sender's lateness included (coordinated omission)."""

import numpy as np
from hdrh.histogram import HdrHistogram

from orchestrator.model.measurements import Latency
from orchestrator.model.samples import Outcome, Samples

LOWEST_US, HIGHEST_US, DIGITS = 1, 600_000_000, 3
CENSORED = (Outcome.CONNECT_TIMEOUT, Outcome.RESPONSE_TIMEOUT)


def measure_latency(samples: Samples) -> Latency | None:
    """Of requests that were answered or timed out: end minus intended. None without any.

    A time-out is a censored observation: its true latency is at least what was waited, so it counts with that and is never left
    out. Requests that failed at once (refused, reset, unreachable) have no latency of a response. Recorded in an HDR histogram
    with three significant digits (hdrhistogram.org).
    """
    records = samples.records
    censored = (records["outcome"] == CENSORED[0]) | (records["outcome"] == CENSORED[1])
    counted = records[(records["outcome"] == Outcome.OK) | censored]
    if len(counted) == 0:
        return None
    histogram = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
    latency_us = np.clip((counted["end_ns"] - counted["intended_ns"]) // 1000, LOWEST_US, HIGHEST_US)
    for value, count in zip(*(item.tolist() for item in np.unique(latency_us, return_counts=True)), strict=True):
        histogram.record_value(value, count)
    percentiles = histogram.get_percentile_to_value_dict([50, 90, 99, 99.9])
    return Latency(
        count=len(counted),
        censored=int(censored.sum()),
        p50_ms=percentiles[50] / 1000,
        p90_ms=percentiles[90] / 1000,
        p99_ms=percentiles[99] / 1000,
        p999_ms=percentiles[99.9] / 1000,
        max_ms=histogram.get_max_value() / 1000,
    )
