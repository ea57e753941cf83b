"""Rules of Deployments and ReplicaSets in the API server's words."""

from typing import Any

import pytest
from cp_world import World, container, deployment, names, pod

from controlplane.errors import StatusError

PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
)
NONNEGATIVE = "must be greater than or equal to 0"


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
            {"strategy": {"type": "Foo"}},
            'spec.strategy: Unsupported value: {"Type":"Foo","RollingUpdate":null}: supported values: "Recreate", "RollingUpdate"',
        ),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (rolling(maxSurge="x"), f'spec.strategy.rollingUpdate.maxSurge: Invalid value: "x": {PERCENT}'),
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
    ],
)
def test_deployment_is_refused(spec: dict, complaint: str) -> None:
    with pytest.raises(StatusError) as caught:
        World().create(deployment(**spec))
    assert caught.value.message.startswith('Deployment.apps "web" is invalid: ')
    assert complaint in caught.value.message


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (
            {"restartPolicy": "Never"},
            'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        ),
        (
            {"restartPolicy": "Foo"},
            'spec.template.spec.restartPolicy: Unsupported value: "Foo": supported values: "Always", "OnFailure", "Never"',
        ),
        (
            {"activeDeadlineSeconds": 5},
            "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported",
        ),
        ({"containers": []}, "spec.template.spec.containers: Required value"),
    ],
)
def test_template_is_refused(spec: dict, complaint: str) -> None:
    raw = deployment()
    raw["spec"]["template"]["spec"] |= spec
    with pytest.raises(StatusError) as caught:
        World().create(raw)
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


@pytest.mark.parametrize(
    ("resources", "requests", "quality"),
    [
        ({}, None, "BestEffort"),
        ({"requests": {"cpu": "0"}}, {"cpu": "0"}, "BestEffort"),
        ({"requests": {"cpu": "100m"}}, {"cpu": "100m"}, "Burstable"),
        ({"limits": {"cpu": "1"}}, {"cpu": "1"}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, {"cpu": "1", "memory": "1Gi"}, "Guaranteed"),
        (
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
            {"cpu": "500m", "memory": "1Gi"},
            "Burstable",
        ),
    ],
)
def test_requests_of_a_pod_are_its_limits_where_it_has_none_and_make_its_quality(
    resources: dict, requests: dict | None, quality: str
) -> None:
    world = World()
    made = world.create(pod("p", containers=[container(resources=resources)]))
    assert made["spec"]["containers"][0]["resources"].get("requests") == requests
    assert made["status"]["qosClass"] == quality
    template = deployment(replicas=0)
    template["spec"]["template"]["spec"]["containers"] = [container(resources=resources)]
    assert world.create(template)["spec"]["template"]["spec"]["containers"][0]["resources"] == resources
