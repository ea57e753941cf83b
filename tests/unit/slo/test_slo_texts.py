"""Objectives as users write them, and what they are told about a text that is none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.slo import SLOS, parse_objective

KINDS_BY_UNIT = {unit: sorted(kind for kind, slo in SLOS.items() if slo.unit == unit) for unit in ("ratio", "s", "count", "bool")}


def test_every_kind_has_a_unit_that_can_be_read_and_a_meaning() -> None:
    assert sorted(kind for kinds in KINDS_BY_UNIT.values() for kind in kinds) == sorted(SLOS)
    assert all(slo.meaning for slo in SLOS.values())
    assert all(kind == slo.kind for kind, slo in SLOS.items())


GOOD = {
    "ratio": [(">= 97%", ">=", 0.97), ("> 99.95%", ">", 0.9995), (">=100%", ">=", 1.0), (" <= 0% ", "<=", 0.0)],
    "s": [("<= 8s", "<=", 8.0), ("< 250ms", "<", 0.25), ("<= 1m30s", "<=", 90.0)],
    "count": [("<= 0", "<=", 0.0), ("<12", "<", 12.0), ("== 3", "==", 3.0)],
    "bool": [(True, "==", 1.0), (False, "==", 0.0)],
}
BAD: dict[str, list[object]] = {
    "ratio": ["97%", ">= 97", ">= 101%", ">= -1%", "=> 97%", ">= 97% of all", 0.97, True, None],
    "s": ["8s", "<= 8", "<= 8 s", "<= soon", "<= -8s", 8, None],
    "count": ["<= 0.5", "0", "<= none", "<= -1", "<= 1_000", 0, False],
    "bool": ["true", "== true", 1, None],
}


@pytest.mark.parametrize(
    ("kind", "value", "operator", "threshold"),
    [(kind, *case) for unit, kinds in KINDS_BY_UNIT.items() for kind in kinds for case in GOOD[unit]],
)
def test_objective_is_read_in_its_unit(kind: str, value: object, operator: str, threshold: float) -> None:
    slo = parse_objective(kind, value, "nodeport")
    assert (slo.kind, slo.operator, slo.threshold) == (kind, operator, pytest.approx(threshold))


@pytest.mark.parametrize(
    ("kind", "value"), [(kind, value) for unit, kinds in KINDS_BY_UNIT.items() for kind in kinds for value in BAD[unit]]
)
def test_text_that_is_no_objective_is_refused_with_examples(kind: str, value: object) -> None:
    examples = {"ratio": '">= 97%"', "s": '"<= 8s", "<= 250ms"', "count": '"<= 0"', "bool": "true, false"}[SLOS[kind].unit]
    with pytest.raises(ValueError, match="is not an objective of this kind") as refused:
        parse_objective(kind, value, "nodeport")
    assert str(refused.value) == f"is not an objective of this kind; found {value!r}; allowed: {examples}"


def test_unknown_kind_is_refused_with_all_that_exist() -> None:
    with pytest.raises(ValueError, match=r"unknown objective; found 'uptime'; allowed: availability, converged, ") as refused:
        parse_objective("uptime", ">= 97%", "nodeport")
    assert all(kind in str(refused.value) for kind in SLOS)


@pytest.mark.parametrize(("subject", "path", "name"), [("nodeport", "nodeport", None), ("nodeport/new", "nodeport", "new")])
def test_subject_is_a_path_or_one_class_of_it(subject: str, path: str, name: str | None) -> None:
    slo = parse_objective("availability", ">= 97%", subject)
    assert (slo.path, slo.connection_class, slo.subject) == (path, name, subject)


def test_objective_keeps_the_text_of_the_user() -> None:
    assert parse_objective("availability", ">= 97.0%", "nodeport").text == ">= 97.0%"
    assert parse_objective("converged", True, "nodeport").text == "true"


LETTERS = "<>= 0123456789.,+-_%smhuνé\u0663\u00b2\n\0einfa"
"""What texts of objectives are made of, and what Python also takes for digits or space. Of all of Unicode Hypothesis would make a
table first, which takes three seconds."""


@settings(deadline=None)
@given(
    st.sampled_from(sorted(SLOS)),
    st.text(LETTERS, max_size=12) | st.from_regex(r"(>=|<=|<|>|==) ?[-+0-9a-z.%_]{1,8}", fullmatch=True),
)
def test_any_text_is_an_objective_with_a_sensible_threshold_or_refused(kind: str, text: str) -> None:
    try:
        slo = parse_objective(kind, text, "nodeport")
    except ValueError:
        return
    assert 0 <= slo.threshold < float("inf")
