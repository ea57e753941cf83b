"""Where things stand in a chart."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.report.geometry import Scale, decades, lanes, spread, step_line, ticks


def test_scale_holds_values_outside_at_its_ends() -> None:
    scale = Scale(low=0, high=10, start=100, end=200)
    assert [scale(value) for value in (-1, 0, 5, 10, 11)] == [100, 100, 150, 200, 200]


def test_logarithmic_scale_puts_decades_evenly() -> None:
    scale = Scale(low=1, high=100, start=0, end=10, is_log=True)
    assert [scale(value) for value in (1, 10, 100)] == [0, 5, 10]


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 90, 12) == (0, 10, 20, 30, 40, 50, 60, 70, 80, 90)
    assert ticks(0, 0.7, 5) == (0, 0.2, 0.4, 0.6)


def test_decades_enclose_the_values() -> None:
    assert decades([0.9, 73]) == (0.1, 1, 10, 100)
    assert decades([]) == (1, 10)


def test_step_line_has_a_gap_where_nothing_was_measured() -> None:
    scale = Scale(low=0, high=10, start=0, end=10)
    assert step_line([(0, 1.0), (1, None), (2, 3.0), (3, 4.0)], 1, scale, scale) == "M0 1H1M2 3H3L3 4H4"


def test_labels_that_overlap_take_another_lane() -> None:
    assert lanes([(0, 50), (20, 70), (60, 90)]) == (0, 1, 0)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=20).map(sorted))
def test_markers_are_apart_in_order_and_inside(positions: list[float]) -> None:
    placed = spread(positions, 20, 0, 1000)
    assert all(later - earlier >= 19.98 for earlier, later in pairwise(placed))
    assert min(placed) >= 0
    assert max(placed) <= 1000
