"""Loss and recovery of one path and class in one window of time, from its samples alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BIN_S = 0.1
"""Bins of time availability, total outage and brown-out."""

Times = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """Instants in seconds from the start of the load; None: did not happen."""

    first_loss_s: float | None
    first_recovery_s: float | None
    sustained_s: float | None
    """Start of the first span in which every request was ok for the validation time."""
    total_outage_s: float
    brownout_s: float
    failed: int
    last_loss_s: float | None = None


NOTHING_LOST = Spans(first_loss_s=None, first_recovery_s=None, sustained_s=None, total_outage_s=0.0, brownout_s=0.0, failed=0)


def measure_spans(at_s: Times, ok: Mask, *, since_s: float, until_s: float, validation_s: float) -> Spans:
    """Loss of connectivity between two instants (RFC 6412 section 3.6; RFC 6201 for total loss).

    `at_s`: intended instants, ascending; `ok`: whether each request succeeded. First loss is the first failed request at or after
    `since_s`; first recovery the first ok request after it; a span is sustained when its requests are all ok, it lasts
    `validation_s`, and it ends inside the window. Bins of 0.1 s: without any ok request they are total outage, with ok and failed
    ones brown-out.
    """
    inside = (at_s >= since_s) & (at_s < until_s)
    times, good = at_s[inside], ok[inside]
    failures = times[~good]
    if len(failures) == 0:
        return NOTHING_LOST
    first_loss_s = float(failures[0])
    recovered = times[good & (times > first_loss_s)]
    total_s, brownout_s = _bins(times, good, since_s)
    return Spans(
        first_loss_s=first_loss_s,
        first_recovery_s=float(recovered[0]) if len(recovered) else None,
        last_loss_s=float(failures[-1]),
        sustained_s=_sustained(times, failures, until_s, validation_s),
        total_outage_s=total_s,
        brownout_s=brownout_s,
        failed=len(failures),
    )


def _sustained(times: Times, failures: Times, until_s: float, validation_s: float) -> float | None:
    """The first request after a failure that no failure follows within the validation time."""
    gaps = np.append(failures[1:], np.inf) - failures
    for index in np.flatnonzero(gaps > validation_s):
        later = times[times > failures[index]]
        if len(later) == 0:
            return None
        start = float(later[0])
        following = failures[index + 1] if index + 1 < len(failures) else np.inf
        if start + validation_s <= min(following, until_s):
            return start
    return None


def _bins(times: Times, good: Mask, since_s: float) -> tuple[float, float]:
    numbers = np.floor((times - since_s) / BIN_S).astype(np.int64)
    sent = np.bincount(numbers)
    ok = np.bincount(numbers, weights=good.astype(np.float64), minlength=len(sent))
    some = sent > 0
    return float(np.sum(some & (ok == 0)) * BIN_S), float(np.sum(some & (ok > 0) & (ok < sent)) * BIN_S)


def time_availability(at_s: Times, ok: Mask, *, duration_s: float, required_ratio: float = 1.0) -> float | None:
    """Share of the 0.1 s bins with requests whose success ratio is at least `required_ratio`; None without requests."""
    if len(at_s) == 0:
        return None
    numbers = np.clip(np.floor(at_s / BIN_S).astype(np.int64), 0, max(0, int(np.ceil(duration_s / BIN_S)) - 1))
    sent = np.bincount(numbers)
    good = np.bincount(numbers, weights=ok.astype(np.float64), minlength=len(sent))
    some = sent > 0
    return float(np.mean(good[some] / sent[some] >= required_ratio))
