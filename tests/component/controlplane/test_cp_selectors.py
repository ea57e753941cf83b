"""Selectors: what they select and what is none."""

import pytest

from controlplane.selectors import (
    Operator,
    Requirement,
    SelectorError,
    combine,
    matches_selector,
    parse_field_selector,
    parse_label_selector,
)

LABELS = {"app": "web", "tier": "front", "size": "5"}


@pytest.mark.parametrize(
    ("text", "selects"),
    [
        ("", True),
        ("app", True),
        ("missing", False),
        ("!missing", True),
        ("! app", False),
        ("app=web", True),
        ("app==web", True),
        ("app = web , tier = front", True),
        ("app!=web", False),
        ("missing!=web", True),
        ("app in (web, db)", True),
        ("app in (db)", False),
        ("app notin (db,cache)", True),
        ("missing notin (a)", True),
        ("app in ()", False),
        ("app=", False),
        ("size>4", True),
        ("size<5", False),
        ("app>4", False),
        ("!service.kubernetes.io/headless", True),
        ("app in (web),!missing,tier", True),
        ("in=x", False),
    ],
)
def test_label_selector(text: str, selects: bool) -> None:
    assert combine(None, parse_label_selector(text), ())({"metadata": {"labels": LABELS}}) is selects


@pytest.mark.parametrize(
    "text",
    [
        ",",
        "app,",
        "=web",
        "app in",
        "app in (",
        "app in web",
        "app=a=b",
        "!",
        "a b",
        "app in (a b)",
        "-x",
        "app=-x",
        "size>x",
        "a/b/c",
        "(",
        "app==!",
    ],
)
def test_text_that_is_no_label_selector_is_refused(text: str) -> None:  # fmt: skip
    with pytest.raises(SelectorError):
        parse_label_selector(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a===b", "unable to parse requirement: found '=', expected: identifier"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (=", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
        ("a in (b,!", "unable to parse requirement: found '!', expected: ',', or identifier"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a=b,", "found '', expected: identifier after ','"),
        ("a,=", "found '=', expected: identifier after ','"),
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        (
            "a>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        (
            "a in (b,-c)",
            'unable to parse requirement: values[0][a]: Invalid value: "-c": a valid label must be an empty string or',
        ),
        ("-a=b", 'unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of'),
    ],
)
def test_wrong_label_selector_is_named_as_the_api_server_names_it(text: str, message: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_label_selector(text)
    assert str(caught.value).startswith(message)


POD = {"metadata": {"name": "p", "namespace": "n"}, "spec": {"nodeName": "node-1", "hostNetwork": True}, "status": {}}
SELECTABLE = {"metadata.name": "", "spec.nodeName": "", "status.phase": "", "spec.hostNetwork": "false"}


@pytest.mark.parametrize(
    ("text", "selects"),
    [
        ("", True),
        ("metadata.name=p", True),
        ("metadata.name!=p", False),
        ("spec.nodeName=node-1,metadata.name=p", True),
        ("spec.nodeName==node-2", False),
        ("status.phase!=Running", True),
        ("spec.hostNetwork=true", True),
        (r"metadata.name=a\,b", False),
    ],
)
def test_field_selector(text: str, selects: bool) -> None:
    assert combine(None, (), parse_field_selector(text, SELECTABLE))(POD) is selects


@pytest.mark.parametrize("text", ["spec.other=1", "metadata.name", "=x", "metadata.name>3"])
def test_text_that_is_no_field_selector_is_refused(text: str) -> None:
    with pytest.raises(SelectorError):
        parse_field_selector(text, SELECTABLE)


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["1"]}]}, True),
    ],
)
def test_label_selector_object(selector: dict | None, selects: bool) -> None:
    assert matches_selector(selector, LABELS) is selects


def test_namespace_labels_and_fields_must_all_match() -> None:
    predicate = combine("n", parse_label_selector("!x"), parse_field_selector("metadata.name=p", SELECTABLE))
    assert predicate(POD)
    assert not predicate({**POD, "metadata": {"name": "p", "namespace": "other"}})


@pytest.mark.parametrize("values", [(), ("x",), ("1" * 30,)])
def test_comparison_with_what_is_no_number_matches_nothing(values: tuple[str, ...]) -> None:
    assert not Requirement(key="a", operator=Operator.GREATER, values=frozenset(values)).matches({"a": "5"})
