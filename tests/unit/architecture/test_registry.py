"""Every registered kind is documented, and lives in a file of its own package."""

import inspect
from pathlib import Path

import pytest

from loadtests.connections.registry import CONNECTION_CLASSES
from orchestrator.registry import ACTIONS, PATHS, REPORTS
from orchestrator.slo import SLOS
from tests.e2e.killed_faults import DRAINS, EXCUSED, FAULTS, NODES

ROOT = Path(__file__).resolve().parents[3]
EXTENDING = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
KINDS = {
    **{name: ("ingress", kind) for name, kind in PATHS.items()},
    **{name: ("faults", kind) for name, kind in ACTIONS.items()},
    **{name: ("slo", kind) for name, kind in SLOS.items()},
    **{name: ("report", kind) for name, kind in REPORTS.items()},
}


@pytest.mark.parametrize("name", KINDS)
def test_kind_has_its_row_in_the_extension_guide_naming_its_file(name: str) -> None:
    folder, kind = KINDS[name]
    file = Path(inspect.getfile(type(kind)))
    assert file.parent == ROOT / "orchestrator" / folder
    assert f"| `{name}` | `{file.name}` |" in EXTENDING


@pytest.mark.parametrize("name", CONNECTION_CLASSES)
def test_connection_class_has_its_row_in_the_extension_guide(name: str) -> None:
    assert f"| `{name}` |" in EXTENDING


def test_every_kind_of_fault_heals_itself_when_its_orchestrator_is_killed_or_says_why_it_is_not_tried() -> None:
    struck = [str(item["fault"]) for item in (*FAULTS, *DRAINS)]
    assert sorted([*struck, *EXCUSED]) == sorted(ACTIONS)
    for reason in EXCUSED.values():
        assert all((ROOT / word.rstrip(";")).is_file() for word in reason.split() if word.startswith("tests/"))
    nodes = [str(item["target"]) for item in (*FAULTS, *DRAINS) if "target" in item]
    assert sorted(nodes) == sorted(f"node-{number}" for number in range(1, NODES + 1))
