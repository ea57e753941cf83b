"""How numbers are written: a duration with its resolution, a ratio that never rounds up to all, "not converged" in words."""

import math

from orchestrator.model.measurements import Latency, Outage

NOTHING = "–"


def format_duration(value_s: float | None, resolution_s: float | None = None) -> str:
    """`1.240 s ± 0.005 s`: as many decimals as the resolution carries, two without one."""
    if value_s is None:
        return NOTHING
    if not resolution_s:
        return f"{value_s:.2f} s"
    decimals = min(4, max(0, math.ceil(-math.log10(resolution_s) - 1e-9)))
    return f"{value_s:.{decimals}f} s ± {resolution_s:.{decimals}f} s"


def format_instant(at_s: float | None) -> str:
    """An instant from the start of the load."""
    return NOTHING if at_s is None else f"{at_s:.3f} s"


def format_ratio(ratio: float | None) -> str:
    """In percent, cut off and not rounded: one lost request in a million must not read as 100 %."""
    if ratio is None:
        return NOTHING
    if ratio in (0.0, 1.0):
        return f"{ratio * 100:.0f} %"
    return f"{math.floor(ratio * 100_000 + 1e-6) / 1000:.3f} %"


def format_budget(ratio: float | None) -> str:
    """Of an error budget; many times overdrawn is said so."""
    if ratio is None:
        return NOTHING
    return f"{ratio * 100:.0f} %" if ratio < 10 else f"{ratio:.0f} times"


def format_share(ratio: float) -> str:
    return f"{ratio * 100:.1f} %"


def format_ms(value_ms: float | None) -> str:
    """Three significant figures: more are noise in a percentile."""
    if value_ms is None:
        return NOTHING
    if value_ms >= 100:
        return f"{value_ms:,.0f} ms"
    return f"{value_ms:.1f} ms" if value_ms >= 10 else f"{value_ms:.2f} ms"


_BEYOND = {"p50": 0.5, "p90": 0.1, "p99": 0.01, "p999": 0.001, "max": 0.0}
"""Share of the requests that took longer than the percentile."""


def format_percentile(latency: Latency | None, name: str = "p99") -> str:
    """`≥` where time-outs reach the percentile: they count with the time that was waited, and may have taken for ever."""
    if latency is None or not latency.count:
        return NOTHING
    value_ms: float = getattr(latency, f"{name}_ms")
    return ("≥ " if latency.censored > _BEYOND[name] * latency.count else "") + format_ms(value_ms)


def format_count(number: int) -> str:
    return f"{number:,}"


def format_bound(outage: Outage) -> str:
    """Until when the plan's settings let a loss happen."""
    return NOTHING if outage.bound_s is None else f"{outage.bound_s:.3g} s"


def format_last_loss(outage: Outage) -> str:
    """From the effective instant; later than the convergence where single requests failed after it."""
    return NOTHING if outage.last_loss_s is None else f"{outage.last_loss_s - outage.effective_s:.3f} s"


def format_convergence(outage: Outage) -> str:
    """Full convergence time; never a number for a path that did not converge."""
    if not outage.failed:
        return "nothing lost"
    if not outage.converged or outage.convergence_s is None:
        return f"not converged within {outage.window_end_s - outage.effective_s:.1f} s"
    return format_duration(outage.convergence_s, outage.resolution_s)


def format_loss_of_connectivity(outage: Outage) -> str:
    if not outage.failed:
        return "nothing lost"
    return "not converged" if outage.outage_s is None else format_duration(outage.outage_s, outage.resolution_s)
