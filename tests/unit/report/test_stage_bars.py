"""The bars of an outage say what the samples say, up to the last loss."""

from dataclasses import replace

from orchestrator.model.measurements import Outage
from orchestrator.report.html import Html
from orchestrator.report.stage_bars import stage_charts
from tests.unit.report.sample_outcome import failing_outcome
from tests.unit.report.sample_plan import sample_plan


def outage(**changes: object) -> Outage:
    lossy = next(item for item in failing_outcome().measurements.outages if item.failed and item.converged)
    first_s = lossy.effective_s + 1.0
    times = {"first_loss_s": first_s, "first_recovery_s": first_s + 1.0, "convergence_s": 3.0, "last_loss_s": first_s + 1.5}
    return replace(lossy, stages=(), **{**times, **changes})  # type: ignore[arg-type]


def bar_of(item: Outage) -> list[tuple[str, str]]:
    base = failing_outcome()
    ((chart,),) = (stage_charts(replace(base, measurements=replace(base.measurements, outages=(item,)))),)
    return [(segment.state, segment.tooltip) for segment in chart.bars[0].segments]


def test_bar_runs_from_no_loss_over_all_and_some_to_no_loss_again() -> None:
    assert bar_of(outage()) == [
        ("good", "no loss yet: +0.000 s to +1.000 s"),
        ("down", "every request fails: +1.000 s to +2.000 s"),
        ("brownout", "some requests fail: +2.000 s to +3.000 s"),
        ("good", "every request is answered again: +3.000 s to +3.120 s"),
    ]


def test_single_losses_after_it_was_sustained_are_drawn_up_to_the_last() -> None:
    late = outage()
    late = replace(late, last_loss_s=late.effective_s + 8.0)
    assert bar_of(late)[-2:] == [
        ("brownout", "held for the validation time, then single requests fail: +3.000 s to +8.000 s"),
        ("good", "every request is answered again: +8.000 s to +8.320 s"),
    ]


def test_path_that_did_not_converge_has_no_good_end() -> None:
    stuck = outage(converged=False, convergence_s=None, outage_s=None)
    assert bar_of(stuck)[-1][0] == "brownout"


def test_page_names_the_last_loss() -> None:
    base, late = failing_outcome(), outage()
    late = replace(late, last_loss_s=late.effective_s + 8.25)
    page = Html().render(replace(base, measurements=replace(base.measurements, outages=(late,))), sample_plan())
    assert '<td class="n">8.250 s</td>' in page
