"""Every registered kind is documented, and lives in a file of its own package."""

import inspect
from pathlib import Path

import pytest

from loadtests.connections.registry import CONNECTION_CLASSES
from orchestrator.registry import ACTIONS, PATHS, REPORTS
from orchestrator.slo import SLOS

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
