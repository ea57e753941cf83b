"""Each format says what the outcome says: no more, no less, and safely."""

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from rich.console import Console

from orchestrator.contracts import ReportFormat
from orchestrator.errors import UsageError
from orchestrator.model.outcome import Outcome
from orchestrator.report import outcome_json
from orchestrator.report.html import Html
from orchestrator.report.junit import JUnit
from orchestrator.report.markdown import Markdown
from orchestrator.report.outcome_json import OutcomeJson, load_outcome, outcome_json_schema
from orchestrator.report.terminal import render_terminal
from tests.unit.report.sample_outcome import calm_outcome, failing_outcome, invalid_outcome
from tests.unit.report.sample_plan import sample_plan

FORMATS: tuple[ReportFormat, ...] = (Html(), JUnit(), Markdown(), OutcomeJson())
PLAN = sample_plan()
HOSTILE = '<script>alert("|`x`")</script>'


def on_terminal(outcome: Outcome, width: int = 140) -> str:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as capture:
        console.print(render_terminal(outcome, PLAN))
    return capture.get()


@pytest.mark.parametrize("outcome", [failing_outcome(), invalid_outcome(), calm_outcome()], ids=lambda item: item.verdict.value)
@pytest.mark.parametrize("report", FORMATS, ids=lambda item: item.name)
def test_format_is_the_same_each_time_and_names_the_run(report: ReportFormat, outcome: Outcome) -> None:
    text = report.render(outcome, PLAN)
    assert text == report.render(outcome, PLAN)
    assert outcome.run_id in text


def test_published_schema_is_the_generated_one() -> None:
    published = Path(outcome_json.__file__).with_name("outcome.schema.json").read_text(encoding="utf-8")
    assert published == json.dumps(outcome_json_schema(), indent=2) + "\n"


@pytest.mark.parametrize("outcome", [failing_outcome(), invalid_outcome(), calm_outcome()], ids=lambda item: item.verdict.value)
def test_json_follows_its_schema_and_reads_back_equal(outcome: Outcome) -> None:
    text = OutcomeJson().render(outcome, PLAN)
    jsonschema.Draft202012Validator(outcome_json_schema()).validate(json.loads(text))
    assert load_outcome(text) == outcome


def test_outcome_with_a_missing_field_is_refused_by_name() -> None:
    document = json.loads(OutcomeJson().render(calm_outcome(), PLAN))
    del document["seed"]
    with pytest.raises(UsageError, match="not an outcome: seed"):
        load_outcome(json.dumps(document))


def test_junit_counts_missed_as_failures_and_unjudged_or_broken_as_errors() -> None:
    suites = ET.fromstring(JUnit().render(invalid_outcome(), PLAN))
    assert (suites.get("tests"), suites.get("failures"), suites.get("errors")) == ("9", "2", "2")
    failed = [case.get("name") for case in suites.iter("testcase") if case.find("failure") is not None]
    assert failed == ["nodeport/fresh convergence < 3s", "static-route availability >= 99%"]
    errors = [case.get("name") for case in suites.iter("testcase") if case.find("error") is not None]
    assert errors == ["nodeport latency_p99 < 50ms", "control probe"]
    properties = {item.get("name"): item.get("value") for item in suites.iter("property")}
    assert (properties["verdict"], properties["seed"]) == ("invalid", "7")


def test_junit_stays_xml_when_evidence_holds_control_characters() -> None:
    base = invalid_outcome()
    check = replace(base.validity[-1], found="\x1b[31mkilled\x00")
    suites = ET.fromstring(JUnit().render(replace(base, objectives=(), validity=(check,)), PLAN))
    assert "killed" in (next(suites.iter("error")).get("message") or "")


def test_markdown_escapes_what_would_become_markup() -> None:
    text = Markdown().render(replace(calm_outcome(), findings=(HOSTILE,)), PLAN)
    assert "<script" not in text.replace("\\<", "")
    assert '\\<script\\>alert("\\|\\`x\\`")\\</script\\>' in text


def test_markdown_names_missed_objectives_and_broken_checks() -> None:
    text = Markdown().render(invalid_outcome(), PLAN)
    assert "| static-route | availability | \\>= 99% | 83.333 % | ❌ missed |" in text
    assert "### Broken validity checks" in text
    assert "31 of 1800 failed" in text


def test_source_addresses_stand_in_the_reports_of_paths_that_pods_answered() -> None:
    markdown = Markdown().render(failing_outcome(), PLAN)
    assert "| nodeport | no | node 75.0 %, load balancer 25.0 % |" in markdown
    assert "| static-route | yes | client 100.0 % |" in markdown
    assert "| service-port | " not in markdown.partition("### Source address")[2].partition("###")[0]
    html = Html().render(failing_outcome(), PLAN)
    section = html[html.index('id="sources"') : html.index("</section>", html.index('id="sources"'))]
    assert "10.0.1.1, 10.3.1.3" in section
    assert "service-port" not in section


def test_bound_stands_beside_the_convergence_with_its_reason_once() -> None:
    html = Html().render(failing_outcome(), PLAN)
    assert html.count(">5.02 s</td>") == 3, "both classes of the path, and its line beside the others"
    assert html.count("the last rule within 5.02 s") == 1


def test_terminal_says_verdict_findings_losses_and_broken_checks() -> None:
    text = on_terminal(invalid_outcome())
    assert text.startswith(" INVALID ")
    for part in (
        "static-route: 83.33%",
        "15.00 s ± 0.01 s",
        "missed",
        "not judged: no request was answered",
        "31 of 1800 failed",
    ):
        assert part in text


@pytest.mark.parametrize("width", [80, 140])
def test_terminal_cuts_no_number_off(width: int) -> None:
    text = on_terminal(failing_outcome(), width)
    assert "…" not in text
    for part in ("static-route", "keepalive", "15.00 s ± 0.01 s", "83.333 %", "1,500"):
        assert part in text
    assert ("during" in text) == (width > 100)


def test_terminal_prints_brackets_of_the_user_as_they_are() -> None:
    assert "[bold]x[/bold] [/]" in on_terminal(replace(calm_outcome(), question="[bold]x[/bold] [/]"))


class _Page(HTMLParser):
    """Elements, references and the balance of tags."""

    void = frozenset({"meta", "link", "br", "img", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.void:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href", "srcset", "data"):
                self.references.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parse(text: str) -> _Page:
    page = _Page()
    page.feed(text)
    page.close()
    return page


@pytest.mark.parametrize("outcome", [failing_outcome(), invalid_outcome(), calm_outcome()], ids=lambda item: item.verdict.value)
def test_page_is_well_formed_and_refers_to_nothing_outside_itself(outcome: Outcome) -> None:
    text = Html().render(outcome, PLAN)
    page = parse(text)
    assert not page.open
    assert not {"script", "iframe", "img", "object"} & set(page.tags)
    assert all(item == "data:," or item.removeprefix("#") in page.ids for item in page.references)
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"@import|url\(", text)


def test_page_escapes_what_the_scenario_names() -> None:
    assert "<script" not in Html().render(replace(failing_outcome(), question=HOSTILE, findings=(HOSTILE,)), PLAN)


def test_page_draws_a_line_for_every_series_in_both_charts() -> None:
    outcome = failing_outcome()
    text = Html().render(outcome, PLAN)
    assert len(re.findall(r'<path class="line l\d"', text)) == 2 * len(outcome.measurements.series)
    assert text.count('<rect class="window fault"') == 2
    assert text.count('<rect class="window rescale"') == 4


def test_page_names_stages_causes_and_what_did_not_converge() -> None:
    base = failing_outcome()
    first, *others = base.measurements.outages
    stuck = replace(first, converged=False, convergence_s=None, outage_s=None)
    text = Html().render(replace(base, measurements=replace(base.measurements, outages=(stuck, *others))), PLAN)
    for part in ("not converged within 30.0 s", "load balancer marks down", "every request fails", "established"):
        assert part in text


def test_page_says_of_an_added_node_what_was_never_seen() -> None:
    base = failing_outcome()
    served = (replace(base.measurements.served[0], first_answer_s=None),)
    assert "never seen" not in Html().render(base, PLAN)
    assert "never seen" in Html().render(replace(base, measurements=replace(base.measurements, served=served)), PLAN)


def test_page_marks_each_span_with_a_failure() -> None:
    tooltips = re.findall(r'<rect class="loss".*?<title>(.*?)</title>', Html().render(failing_outcome(), PLAN))
    assert tooltips[:2] == ["2250 failed between 20 s and 35 s", "400 failed between 20 s and 25 s"]


def test_page_of_a_load_that_sent_nothing_still_renders() -> None:
    base = failing_outcome()
    measured = replace(base.measurements, classes=(), outages=(), rescales=(), served=(), series=(), containers=())
    assert not parse(Html().render(replace(base, measurements=measured), PLAN)).open
