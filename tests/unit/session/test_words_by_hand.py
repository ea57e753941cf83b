"""Words of commands on a testbed that is up: what makes no sense there is refused before the testbed is asked for."""

from pathlib import Path

import pytest

from orchestrator.cli.by_hand import read_seconds
from orchestrator.cli.striking import inject, parse_options
from orchestrator.errors import UsageError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0s", "--for 0s: is too short; allowed: more than 0s"),
        ("-5s", "--for -5s: is too short; allowed: more than 0s"),
        ("5", "--for 5: is not a duration; allowed: a number with a unit, such as 500ms"),
    ],
)
def test_time_is_more_than_none(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_seconds("--for", text)
    assert read_seconds("--for", "1500ms") == 1.5


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("at=5s", "at: a strike by hand is one, and now; allowed: in a scenario's timeline"),
        ("every=5s", "every: a strike by hand is one, and now"),
        ("after={event: node-ready}", "after: a strike by hand is one, and now"),
        ("for=5s", "for: a strike by hand is one, and now; allowed: --for"),
    ],
)
def test_strike_by_hand_is_one_and_now(option: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        inject("run", "node-kill", ["target=node-1", option], results=tmp_path)


def test_values_are_those_of_a_timeline() -> None:
    found = parse_options(["target={count: 2}", "ratio=10%", "drain=true"])
    assert found == {"target": {"count": 2}, "ratio": "10%", "drain": True}
    with pytest.raises(UsageError, match="target: is not KEY=VALUE"):
        parse_options(["target"])
