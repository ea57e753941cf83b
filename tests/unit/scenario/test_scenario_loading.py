"""A user's mistake becomes one clear error that names file, key, found and allowed."""

from pathlib import Path

import pytest

from orchestrator.errors import ExitCode, ScenarioError, UsageError
from orchestrator.scenario.loading import load_manifests, load_scenario

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted((ROOT / "loadtests" / "scenarios").glob("*.yaml"))

GOOD = """\
name: small
question: Does it work?
manifests: [service.yaml]
paths: {nodeport: {}}
duration: 10s
"""


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "scenario.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_scenario_loads_and_is_named_like_its_file(file: Path) -> None:
    scenario = load_scenario(file)
    assert scenario.name == file.stem
    assert load_manifests(file, scenario.manifests)


def test_durations_and_rates_are_read_with_their_units(tmp_path: Path) -> None:
    scenario = load_scenario(write(tmp_path, GOOD + "load: {rate: 30/m, timeout: 250ms}\n"))
    assert scenario.load.rate == 0.5
    assert scenario.load.timeout == 0.25
    assert scenario.duration == 10.0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("lod: {}\n", "lod: unknown key (did you mean 'load'?); allowed: cluster, convergence_validation, duration"),
        ("cluster: {node: 3}\n", "cluster.node: unknown key (did you mean 'nodes'?); allowed: client_pool, kube_proxy"),
        ("cluster: {nodes: three}\n", "cluster.nodes: has the wrong type; found 'three'; allowed: a whole number, 1 or more"),
        ("cluster: {nodes: 0}\n", "cluster.nodes: is too small; found 0; allowed: a whole number, 1 or more"),
        ("cluster: {timings: {profil: fast}}\n", "cluster.timings.profil: unknown key (did you mean 'profile'?)"),
        ("load: {rate: 200}\n", "load.rate: is not a rate; found 200; allowed: requests per unit of time, such as 200/s, 30/m"),
        (
            "load: {timeout: 1}\n",
            "load.timeout: is not a duration; found 1; allowed: a number with a unit, such as 500ms, 10s, 1m30s",
        ),
        (
            "load: {classes: [new, new]}\n",
            "load: names a connection class twice; found {'classes': ['new', 'new']}; allowed: each once",
        ),
        (
            "timeline: [{at: 3s}]\n",
            "timeline[0]: needs one kind; found {'at': '3s'}; allowed: one of `fault: <kind>`, `together: [...]`, `scale: {nodes, pods}`",
        ),
        (
            "timeline: [{fault: node-kill}]\n",
            "timeline[0]: needs an instant; found {'fault': 'node-kill'}; allowed: `at: 10s`, or `after: {event: node-not-ready}`",
        ),
        ("seed: -1\n", "seed: is too small; found -1; allowed: a whole number from 0 to 9223372036854775807"),
        (f"seed: {2**63}\n", f"seed: is too large; found {2**63}; allowed: a whole number from 0 to {2**63 - 1}"),
        (
            "cluster: {node_labels: {node-1: {a b: x}}}\n",
            "cluster.node_labels.node-1.a b: has the wrong form for a key; found 'a b'; allowed: text of the form ",
        ),
        (
            "cluster: {node_labels: {node-1: {zone: a b}}}\n",
            "cluster.node_labels.node-1.zone: has the wrong form; found 'a b'; allowed: text of the form ",
        ),
        ("name: again\n", "line 6, column 1: not valid YAML: the key 'name' stands twice in one mapping"),
        ("load: [\n", "not valid YAML"),
        ("seed: 2001-99-99\n", "not valid YAML: month must be in 1..12"),
        (f"seed: {'9' * 5000}\n", "not valid YAML: Exceeds the limit"),
        ('cluster: {nodes: "3"}\n', "cluster.nodes: has the wrong type; found '3'"),
        ("cluster: {nodes: true}\n", "cluster.nodes: has the wrong type; found True"),
        (
            'cluster: {kube_proxy: {masquerade_all: "yes"}}\n',
            "cluster.kube_proxy.masquerade_all: has the wrong type; found 'yes'; allowed: true or false",
        ),
        (
            "cluster: {pod_network: 167772160}\n",
            "cluster.pod_network: is not a network; found 167772160; allowed: text such as 10.0.0.0/16",
        ),
    ],
)
def test_mistake_is_named_with_its_key_and_what_is_allowed(tmp_path: Path, change: str, expected: str) -> None:
    file = write(tmp_path, GOOD + change)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert expected in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE


def test_missing_key_is_required(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="duration: is required"):
        load_scenario(write(tmp_path, GOOD.replace("duration: 10s\n", "")))


def test_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none\.yaml: no such file"):
        load_scenario(tmp_path / "none.yaml")


def test_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="must hold one mapping; found list"):
        load_scenario(write(tmp_path, "[1, 2]\n"))


def test_override_by_dotted_key_reaches_lists_and_new_keys(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD + "timeline: [{at: 3s, fault: node-kill}]\n")
    scenario = load_scenario(file, {"timeline.0.at": "4s", "load.rate": "5/s"})
    assert scenario.timeline[0].at == 4.0
    assert scenario.load.rate == 5.0


def test_override_below_a_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--set duration\.x\.y: x is below a value that has no keys"):
        load_scenario(write(tmp_path, GOOD), {"duration.x.y": 1})


def test_override_is_checked_like_the_file(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"cluster\.nodes: has the wrong type; found 'many'"):
        load_scenario(write(tmp_path, GOOD), {"cluster.nodes": "many"})


def test_missing_manifest_is_named_with_the_places_searched(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)
    with pytest.raises(ScenarioError, match=r"manifests\[0\]: no such manifest; searched .* and .*; found 'service\.yaml'"):
        load_manifests(file, ("service.yaml",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind: Service\nmetadata: {name: a}\n", "document 0.apiVersion: is required; allowed: a string"),
        ("apiVersion: v1\nkind: Service\n", "document 0.metadata.name: is required; allowed: a string"),
        ("- a\n", "document 0: must be a mapping; found list"),
    ],
)
def test_manifest_without_identity_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "service.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        load_manifests(write(tmp_path, GOOD), ("service.yaml",))
    assert expected in str(caught.value)


def test_aliases_that_stand_for_millions_are_refused(tmp_path: Path) -> None:
    levels = "".join(f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 9))
    with pytest.raises(ScenarioError, match="with its aliases written out it holds more than 100000 values"):
        load_scenario(write(tmp_path, GOOD + "load:\n  l0: &l0 [1]\n" + levels))


def test_what_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="not valid YAML"):
        load_scenario(write(tmp_path, GOOD + "load: &loop [*loop]\n"))
    with pytest.raises(ScenarioError, match="not valid YAML"):
        load_scenario(write(tmp_path, GOOD + "load: " + "[" * 50000 + "]" * 50000 + "\n"))
