"""Every registered kind is documented, and lives in a file of its own package."""

import ast
import inspect
from pathlib import Path

import pytest

from loadtests.connections.registry import CONNECTION_CLASSES
from orchestrator.registry import ACTIONS, PATHS, REPORTS
from orchestrator.slo import SLOS
from tests.e2e.fault_effects import ELSEWHERE, STRIKES
from tests.e2e.killed_faults import DRAINS, EXCUSED, FAULTS, NODES, SCALE_DOWN

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
    assert sorted([*struck, "scale", *EXCUSED]) == sorted(ACTIONS)
    for reason in EXCUSED.values():
        assert all((ROOT / word.rstrip(";")).is_file() for word in reason.split() if word.startswith("tests/"))
    nodes = [str(item["target"]) for item in (*FAULTS, *DRAINS) if "target" in item]
    assert SCALE_DOWN["scale"] == {"nodes": NODES - 1}
    assert sorted(nodes) == sorted(f"node-{number}" for number in range(1, NODES))


def test_every_kind_of_fault_is_shown_on_a_real_testbed_to_strike_and_to_be_gone() -> None:
    strikes = [strike for together in STRIKES for strike in together.strikes]
    assert sorted({strike.fault for strike in strikes} | set(ELSEWHERE)) == sorted(ACTIONS)
    assert not {strike.fault for strike in strikes} & set(ELSEWHERE)
    assert len({strike.name for strike in strikes}) == len(strikes)
    variants = {
        "partition control-plane",
        "partition gateway",
        "partition peers",
        "controlplane-down kill",
        "controlplane-down pause",
    }
    assert variants <= {strike.name for strike in strikes}
    for strike in strikes:
        ACTIONS[strike.fault].options.model_validate(strike.options)


def test_faults_that_strike_together_have_targets_of_their_own() -> None:
    for together in STRIKES:
        targets = [strike.options.get("target", strike.fault) for strike in together.strikes]
        assert len(set(targets)) == len(targets)


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_fault_with_a_test_of_its_own_names_one_that_there_is(kind: str) -> None:
    file, name = ELSEWHERE[kind]
    module = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    (test,) = (item for item in module.body if isinstance(item, ast.FunctionDef) and item.name == name)
    decorated = ast.unparse(ast.Module(body=[test], type_ignores=[]))
    assert f"'{kind}'" in decorated or kind == "scale"
