from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from loopback import make_class

from loadtests.load_file import Arrivals
from loadtests.schedule import plan_offsets_ns, plan_phases_ns

rates = st.floats(min_value=0.5, max_value=3000.0)


def offsets(rate_rps, duration_s, *, arrivals=Arrivals.UNIFORM, phase_ns=0, seed=1, **changes):
    load_class = make_class("http://127.0.0.1/", rate_rps=rate_rps, arrivals=arrivals, **changes)
    return list(plan_offsets_ns(load_class, duration_s=duration_s, phase_ns=phase_ns, seed=seed))


@given(rate_rps=rates, duration_s=st.floats(min_value=0.01, max_value=3.0), phase_ns=st.integers(0, 10_000_000))
def test_uniform_arrivals_never_drift_from_their_rate(rate_rps, duration_s, phase_ns):
    planned = offsets(rate_rps, duration_s, phase_ns=phase_ns)
    for number, offset_ns in enumerate(planned):
        assert abs(offset_ns - phase_ns - number * 1e9 / rate_rps) <= 1
    next_ns = phase_ns + len(planned) * 1e9 / rate_rps
    assert all(offset_ns < duration_s * 1e9 + 1 for offset_ns in planned)
    assert next_ns >= duration_s * 1e9 - 2


@given(rate_rps=rates, seed=st.integers(0, 2**32), arrivals=st.sampled_from(Arrivals))
def test_arrivals_ascend_within_the_duration_and_are_the_same_for_the_same_seed(rate_rps, seed, arrivals):
    planned = offsets(rate_rps, 0.5, arrivals=arrivals, seed=seed)
    assert planned == offsets(rate_rps, 0.5, arrivals=arrivals, seed=seed)
    assert all(0 <= offset_ns < 500_000_000 for offset_ns in planned)
    assert all(earlier <= later for earlier, later in pairwise(planned))


def test_poisson_gaps_have_the_mean_and_the_spread_of_an_exponential_distribution():
    gaps_ns = [later - earlier for earlier, later in pairwise(offsets(1000, 40, arrivals=Arrivals.POISSON))]
    mean_ns = sum(gaps_ns) / len(gaps_ns)
    assert 0.98e6 < mean_ns < 1.02e6
    assert 0.35 < sum(gap_ns > 1_000_000 for gap_ns in gaps_ns) / len(gaps_ns) < 0.385  # 1/e


def test_poisson_classes_do_not_share_their_arrivals():
    first = offsets(100, 5, arrivals=Arrivals.POISSON, path="nodeport")
    second = offsets(100, 5, arrivals=Arrivals.POISSON, path="static-route")
    assert first != second


def test_classes_of_one_rate_and_the_control_probe_never_fire_together():
    classes = [make_class("http://127.0.0.1/", path=str(number), rate_rps=200.0) for number in range(6)]
    classes.append(make_class("http://127.0.0.1/", path="control", rate_rps=50.0))
    phases = plan_phases_ns(classes)
    instants = sorted(
        offset_ns
        for item, phase_ns in zip(classes, phases, strict=True)
        for offset_ns in plan_offsets_ns(item, duration_s=2, phase_ns=phase_ns, seed=1)
    )
    assert min(later - earlier for earlier, later in pairwise(instants)) >= 700_000
