"""junit.xml: objectives and validity checks as test cases, for CI systems."""

import re
from collections.abc import Iterable
from typing import ClassVar
from xml.etree import ElementTree as ET

from orchestrator.model.outcome import Outcome, SloResult, ValidityCheck
from orchestrator.model.plan import Plan

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 section 2.2 has no place for; evidence may quote a process's raw output."""


class JUnit:
    """A missed objective is a failure; one that could not be judged, and a broken validity check, is an error."""

    name: ClassVar[str] = "junit"
    file: ClassVar[str] = "junit.xml"

    def render(self, outcome: Outcome, plan: Plan) -> str:
        objectives = [_objective(outcome.scenario, result) for result in outcome.objectives]
        checks = [_check(outcome.scenario, check) for check in outcome.validity]
        suites = ET.Element("testsuites", name=outcome.scenario)
        _count(suites, [*objectives, *checks])
        suites.append(_suite("objectives", objectives, _properties(outcome)))
        suites.append(_suite("validity", checks, ()))
        ET.indent(suites)
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _properties(outcome: Outcome) -> Iterable[tuple[str, str]]:
    yield "run_id", outcome.run_id
    yield "seed", str(outcome.seed)
    yield "verdict", outcome.verdict.value
    yield "timings_profile", outcome.timings_profile
    yield from ((f"version.{name}", version) for name, version in sorted(outcome.versions.items()))


def _suite(name: str, cases: list[ET.Element], properties: Iterable[tuple[str, str]]) -> ET.Element:
    suite = ET.Element("testsuite", name=name)
    _count(suite, cases)
    entries = tuple(properties)
    if entries:
        element = ET.SubElement(suite, "properties")
        for key, value in entries:
            ET.SubElement(element, "property", name=key, value=_clean(value))
    suite.extend(cases)
    return suite


def _count(element: ET.Element, cases: list[ET.Element]) -> None:
    element.set("tests", str(len(cases)))
    element.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    element.set("errors", str(sum(case.find("error") is not None for case in cases)))


def _objective(scenario: str, result: SloResult) -> ET.Element:
    case = _case(f"{scenario}.objectives", f"{result.subject} {result.kind} {result.objective}")
    if result.met is None:
        _defect(case, "error", f"could not be judged: {result.reason}", f"objective: {result.objective}")
    elif not result.met:
        text = f"objective: {result.objective}\nmeasured: {result.measured}\n{result.reason}".strip()
        _defect(case, "failure", f"measured {result.measured}, objective {result.objective}", text)
    ET.SubElement(case, "system-out").text = _clean(f"measured: {result.measured}")
    return case


def _check(scenario: str, check: ValidityCheck) -> ET.Element:
    case = _case(f"{scenario}.validity", check.name)
    if not check.valid:
        _defect(case, "error", f"found {check.found}, limit {check.limit}", "the numbers of this run cannot be relied on")
    return case


def _case(class_name: str, name: str) -> ET.Element:
    return ET.Element("testcase", classname=_clean(class_name), name=_clean(name))


def _defect(case: ET.Element, tag: str, message: str, text: str) -> None:
    ET.SubElement(case, tag, message=_clean(message)).text = _clean(text)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
