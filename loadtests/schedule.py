"""The instants at which requests are due: pure arithmetic from rate, phase and seed. Must not read a clock."""

from collections.abc import Iterator, Sequence
from itertools import count
from random import Random  # noqa: TID251 - the gaps of a Poisson process, from the plan's seed alone

from loadtests.load_file import Arrivals, LoadClass

NS_PER_S = 1_000_000_000


def plan_offsets_ns(load_class: LoadClass, *, duration_s: float, phase_ns: int, seed: int) -> Iterator[int]:
    """Instants of the arrivals in [0, duration), ns from the start of the load, ascending.

    uniform: phase + k / rate, each computed from k so that no rounding adds up.
    poisson: exponential gaps with mean 1 / rate, the same for the same seed, path and class.
    """
    end_ns = round(duration_s * NS_PER_S)
    if load_class.arrivals is Arrivals.POISSON:
        return _poisson(load_class.rate_rps, end_ns, Random(f"{seed}/{load_class.path}/{load_class.connection_class}"))
    return _uniform(load_class.rate_rps, end_ns, phase_ns)


def plan_phases_ns(classes: Sequence[LoadClass]) -> tuple[int, ...]:
    """One phase per class, spread over the shortest interval, so that classes of one rate, or of a multiple, never coincide."""
    if not classes:
        return ()
    shortest_ns = NS_PER_S / max(item.rate_rps for item in classes)
    return tuple(int(shortest_ns * number / len(classes)) for number in range(len(classes)))


def _uniform(rate_rps: float, end_ns: int, phase_ns: int) -> Iterator[int]:
    for number in count():
        offset_ns = phase_ns + round(number * NS_PER_S / rate_rps)
        if offset_ns >= end_ns:
            return
        yield offset_ns


def _poisson(rate_rps: float, end_ns: int, random: Random) -> Iterator[int]:
    offset_ns = 0.0
    while True:
        offset_ns += random.expovariate(rate_rps) * NS_PER_S
        if offset_ns >= end_ns:
            return
        yield int(offset_ns)
