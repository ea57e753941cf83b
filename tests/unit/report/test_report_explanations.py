"""What the page says about why requests were lost, next to what the plan lets expect, and what the load balancer hid."""

from dataclasses import replace

from orchestrator.model.measurements import Explanation, ServerUse
from orchestrator.model.outcome import Outcome
from orchestrator.report.html import Html
from orchestrator.report.numbers import format_budget
from orchestrator.report.tables import attribution_rows
from tests.unit.report.sample_outcome import failing_outcome
from tests.unit.report.sample_plan import sample_plan

ENTRY = Explanation(
    cause="entry", lost=3, sent=400, took_s=1.908, earliest_s=1.5, latest_s=2.0, why="1 of 3 servers were struck; the checks"
)


def explained(*explanations: Explanation) -> Outcome:
    """The first outage alone, lost to the causes of the explanations."""
    base = failing_outcome()
    attribution = {item.cause: item.lost for item in explanations}
    outage = replace(
        base.measurements.outages[0], failed=sum(attribution.values()), attribution=attribution, explanations=explanations
    )
    return replace(base, measurements=replace(base.measurements, outages=(outage,)))


def test_cause_stands_beside_what_the_plan_lets_expect() -> None:
    (row,) = attribution_rows(explained(ENTRY))
    assert (row.took, row.expected, row.is_expected, row.why) == ("1.91 s", "1.5 to 2 s", True, ENTRY.why)
    text = Html().render(explained(ENTRY), sample_plan())
    assert "1 of 3 servers were struck; the checks" in text
    assert "1.5 to 2 s" in text


def test_bounds_that_are_open_or_unknown_are_written_as_such() -> None:
    causes = (
        replace(ENTRY, cause="next hop", latest_s=None, earliest_s=15.0, lost=9),
        replace(ENTRY, cause="endpoint", earliest_s=None, latest_s=5.6, lost=8),
        replace(ENTRY, cause="established", earliest_s=None, latest_s=None, took_s=None, lost=7),
    )
    rows = attribution_rows(explained(*causes))
    assert [row.expected for row in rows] == ["15 s or more", "up to 5.6 s", "–"]
    assert rows[2].took == "–"


def test_cause_that_lasted_longer_than_expected_is_marked() -> None:
    marked = '<td class="n not-judged">9.00 s</td>'
    assert marked in Html().render(explained(replace(ENTRY, took_s=9.0)), sample_plan())
    assert 'class="n not-judged"' not in Html().render(explained(ENTRY), sample_plan())


def test_page_shows_what_the_load_balancer_tried_again() -> None:
    base = failing_outcome()
    server = ServerUse(backend="nodeport", server="node-9", connections=4321, retries=7, redispatches=216, connection_errors=12)
    text = Html().render(replace(base, measurements=replace(base.measurements, servers=(server,))), sample_plan())
    for part in ('id="servers"', "node-9", "4,321", "216"):
        assert part in text
    assert 'id="servers"' not in Html().render(base, sample_plan())


def test_budget_is_a_share_until_it_is_overdrawn_many_times() -> None:
    assert [format_budget(ratio) for ratio in (None, 0.0864, 1.0, 2.5, 40.0)] == ["–", "9 %", "100 %", "250 %", "40 times"]
