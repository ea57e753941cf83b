"""What Deployments, ReplicaSets and disruption budgets may say (kubernetes, pkg/apis/apps/validation, pkg/apis/policy/validation)."""

from typing import Any

import pytest
from cp_world import World, deployment, names
from test_cp_rules import causes, change_causes

from controlplane.errors import StatusError
from controlplane.objects import Object

NO_PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
)
NONNEGATIVE = "must be greater than or equal to 0"
VALUE = "a valid label must be an empty string or consist of alphanumeric characters"
LABELS = {"app": "web", "v": "1"}
BUDGET = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}}


def with_template(**spec: Any) -> Object:
    raw = deployment(replicas=0)
    raw["spec"]["template"]["spec"] |= spec
    return raw


def selecting(*expressions: Object) -> Object:
    return deployment(replicas=0, selector={"matchLabels": {"app": "web"}, "matchExpressions": list(expressions)})


INVALID_SELECTOR = 'spec.selector: Invalid value: {"matchExpressions":[{"key":"a","operator":'


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            with_template(activeDeadlineSeconds=5),
            ["spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported"],
        ),
        (
            with_template(restartPolicy="Never"),
            ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
        ),
        (
            with_template(restartPolicy="Foo"),
            [
                'spec.template.spec.restartPolicy: Unsupported value: "Foo": supported values: "Always", "OnFailure", "Never"',
                'spec.template.spec.restartPolicy: Unsupported value: "Foo": supported values: "Always"',
            ],
        ),
        (
            selecting({"key": "a", "operator": "In"}),
            [
                "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                INVALID_SELECTOR,
            ],
        ),
        (
            selecting({"key": "a", "operator": "Foo"}),
            ['spec.selector.matchExpressions[0].operator: Invalid value: "Foo": not a valid', INVALID_SELECTOR],
        ),
        (
            selecting({"key": "a", "operator": "In", "values": ["b c"]}),
            [f'spec.selector.matchExpressions[0].values[0]: Invalid value: "b c": {VALUE}', INVALID_SELECTOR],
        ),
        (
            deployment(strategy={"type": "Foo"}),
            [
                'spec.strategy: Unsupported value: {"Type":"Foo","RollingUpdate":null}: '
                'supported values: "Recreate", "RollingUpdate"'
            ],
        ),
        (
            deployment(strategy={"rollingUpdate": {"maxSurge": "25"}}),
            [f'spec.strategy.rollingUpdate.maxSurge: Invalid value: "25": {NO_PERCENT}'],
        ),
        (
            deployment(template={"spec": {"containers": [{"name": "c", "image": "x"}]}}),
            ["spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`"],
        ),
        (
            deployment(progressDeadlineSeconds=-1),
            [
                "spec.progressDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
                "spec.progressDeadlineSeconds: Invalid value: -1: must be greater than minReadySeconds",
            ],
        ),
        (
            {**BUDGET, "spec": {"minAvailable": 1, "maxUnavailable": "50%"}},
            [
                'spec: Invalid value: {"MinAvailable":1,"Selector":null,"MaxUnavailable":"50%","UnhealthyPodEvictionPolicy":null}: '
                "minAvailable and maxUnavailable cannot be both set"
            ],
        ),
        (
            {**BUDGET, "spec": {"minAvailable": "101%"}},
            ['spec.minAvailable: Invalid value: "101%": must not be greater than 100%'],
        ),
        ({**BUDGET, "spec": {"maxUnavailable": "x"}}, [f'spec.maxUnavailable: Invalid value: "x": {NO_PERCENT}']),
        (
            {**BUDGET, "spec": {"maxUnavailable": -1}},
            ["spec.maxUnavailable: Invalid value: -1: must be greater than or equal to 0"],
        ),
    ],
)
def test_workload_says_what_its_controller_can_do(raw: Object, expected: list[str]) -> None:
    found = causes(World(), raw)
    assert [text[: len(start)] for text, start in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("plural", "status", "expected"),
    [
        (
            "deployments",
            {"replicas": -3},
            [
                "status.replicas: Invalid value: -3: must be greater than or equal to 0",
                "status.updatedReplicas: Invalid value: 0: cannot be greater than status.replicas",
                "status.readyReplicas: Invalid value: 0: cannot be greater than status.replicas",
                "status.availableReplicas: Invalid value: 0: cannot be greater than status.replicas",
            ],
        ),
        (
            "deployments",
            {"replicas": 3, "availableReplicas": 2, "unavailableReplicas": 5},
            ["status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas"],
        ),
        (
            "replicasets",
            {"replicas": 0, "fullyLabeledReplicas": 1},
            ["status.fullyLabeledReplicas: Invalid value: 1: cannot be greater than status.replicas"],
        ),
    ],
)
def test_parts_of_a_status_are_no_more_than_the_whole(plural: str, status: Object, expected: list[str]) -> None:
    world = World()
    world.create(deployment(replicas=0))
    (name,) = [item["metadata"]["name"] for item in world.store.items(plural)]
    assert change_causes(world, plural, name, {"status": status}, "status") == expected


def test_counts_of_a_budget_are_not_negative() -> None:
    world = World()
    world.create({**BUDGET, "spec": {"minAvailable": 1}})
    assert change_causes(world, "poddisruptionbudgets", "web", {"status": {"currentHealthy": -1}}, "status") == [
        "status.currentHealthy: Invalid value: -1: must be greater than or equal to 0"
    ]


def rolling(**fields: Any) -> dict:
    return {"strategy": {"type": "RollingUpdate", "rollingUpdate": fields}}


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"replicas": -1}, f"spec.replicas: Invalid value: -1: {NONNEGATIVE}"),
        ({"minReadySeconds": -1}, f"spec.minReadySeconds: Invalid value: -1: {NONNEGATIVE}"),
        ({"revisionHistoryLimit": -1}, f"spec.revisionHistoryLimit: Invalid value: -1: {NONNEGATIVE}"),
        (
            {"minReadySeconds": 10, "progressDeadlineSeconds": 10},
            "spec.progressDeadlineSeconds: Invalid value: 10: must be greater than minReadySeconds",
        ),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (rolling(maxSurge=-1), f"spec.strategy.rollingUpdate.maxSurge: Invalid value: -1: {NONNEGATIVE}"),
        (
            rolling(maxSurge=0, maxUnavailable=0),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ),
        (rolling(maxUnavailable="101%"), "must not be greater than 100%"),
        ({"selector": {}}, "spec.selector: Invalid value: {}: empty selector is invalid for deployment"),
        (
            {"selector": {"matchLabels": {"app": "other"}}},
            'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
        ),
        ({"template": {"metadata": {"labels": LABELS}, "spec": {}}}, "spec.template.spec.containers: Required value"),
    ],
)
def test_deployment_is_refused(spec: dict, complaint: str) -> None:
    with pytest.raises(StatusError) as caught:
        World().create(deployment(**spec))
    assert caught.value.message.startswith('Deployment.apps "web" is invalid: ')
    assert complaint in caught.value.message


def test_selector_of_a_deployment_stays() -> None:
    world = World()
    world.create(deployment())
    labels = {"metadata": {"labels": {"app": "web", "v": "1"}}}
    with pytest.raises(StatusError) as caught:
        world.change("deployments", "web", {"spec": {"selector": {"matchLabels": {"v": "1"}}, "template": labels}})
    assert caught.value.message == (
        'Deployment.apps "web" is invalid: spec.selector: Invalid value: {"matchLabels":{"app":"web","v":"1"}}: field is immutable'
    )


def test_scaling_is_told_with_both_counts() -> None:
    world = World()
    world.add_node("a")
    world.create(deployment(replicas=2))
    world.change("deployments", "web", {"spec": {"replicas": 1}})
    replicaset = names(world.store.items("replicasets"))[0]
    told = [item["message"] for item in world.store.items("events") if item["reason"] == "ScalingReplicaSet"]
    assert told == [
        f"Scaled up replica set {replicaset} from 0 to 2",
        f"Scaled down replica set {replicaset} from 2 to 1",
    ]
