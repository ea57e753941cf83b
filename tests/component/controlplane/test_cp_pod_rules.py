"""What a pod may say, at creation and in a change, and what the API server makes of it (core/validation, ValidatePodSpec)."""

from typing import Any

import pytest
from cp_world import World, container, deployment, pod
from test_cp_rules import causes, change_causes, pod_with

from controlplane.objects import Object

PLACE = "spec.containers[0]"
LABEL = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'"
QUALIFIED = "name part must consist of alphanumeric characters, '-', '_' or '.'"


def with_container(**fields: Any) -> Object:
    return pod_with(containers=[container(**fields)])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (with_container(image=" x"), [f'{PLACE}.image: Invalid value: " x": must not have leading or trailing whitespace']),
        (with_container(terminationMessagePolicy="Foo"), [f'{PLACE}.terminationMessagePolicy: Unsupported value: "Foo": ']),
        (with_container(lifecycle={"preStop": {}}), [f"{PLACE}.lifecycle.preStop: Required value: must specify a handler type"]),
        (with_container(lifecycle={"preStop": {"exec": {}}}), [f"{PLACE}.lifecycle.preStop.exec.command: Required value"]),
        (with_container(lifecycle={"preStop": {"sleep": {"seconds": 30}}}), []),
        (
            with_container(lifecycle={"preStop": {"sleep": {"seconds": 31}}}),
            [
                f"{PLACE}.lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than "
                "terminationGracePeriodSeconds (30)"
            ],
        ),
        (
            with_container(readinessProbe={"httpGet": {"port": 80, "scheme": "ftp"}}),
            [
                f'{PLACE}.readinessProbe.httpGet.scheme: Unsupported value: "ftp": supported values: "HTTP", "HTTPS"',
            ],
        ),
        (with_container(livenessProbe={"exec": {"command": []}}), [f"{PLACE}.livenessProbe.exec.command: Required value"]),
        (with_container(startupProbe={"grpc": {"port": 0}}), [f"{PLACE}.startupProbe.grpc.port: Invalid value: 0: must be"]),
        (pod_with(nodeSelector={"a b": "c"}), [f'spec.nodeSelector: Invalid value: "a b": {QUALIFIED}']),
        (pod_with(nodeSelector={"a": "b c"}), ['spec.nodeSelector: Invalid value: "b c": a valid label must be an empty string']),
        (pod_with(hostname="UPPER"), [f'spec.hostname: Invalid value: "UPPER": {LABEL}']),
        (pod_with(subdomain="a.b"), [f'spec.subdomain: Invalid value: "a.b": {LABEL}']),
        (pod_with(hostAliases=[{"ip": "foo"}]), ['spec.hostAliases[0].ip: Invalid value: "foo": must be a valid IP address']),
        (
            pod_with(hostAliases=[{"ip": "10.0.0.1", "hostnames": ["a", "A"]}]),
            ['spec.hostAliases[0].hostnames[1]: Invalid value: "A": a lowercase RFC 1123 subdomain'],
        ),
        (pod_with(readinessGates=[{"conditionType": "a b"}]), ['spec.readinessGates[0].conditionType: Invalid value: "a b": ']),
        (pod_with(preemptionPolicy="Foo"), ['spec.preemptionPolicy: Unsupported value: "Foo"']),
        (
            pod_with(activeDeadlineSeconds=0),
            ["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
        ),
        (pod_with(terminationGracePeriodSeconds=-1), []),
    ],
)
def test_pod_says_what_a_kubelet_can_do(raw: Object, expected: list[str]) -> None:
    found = causes(World(), raw)
    assert [text[: len(start)] for text, start in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"key": "a", "value": "b"}, []),
        ({"operator": "Exists"}, []),
        ({"key": "a", "operator": "Exists", "value": "x"}, ["operator: Invalid value: \"x\": value must be empty when `operator` is 'Exists'"]),
        ({"key": "a b"}, [f'key: Invalid value: "a b": {QUALIFIED}']),
        ({"key": "a", "value": "b c"}, ['operator: Invalid value: "b c": a valid label must be an empty string or consist of']),
        ({"key": "a", "operator": "Foo"}, ['operator: Unsupported value: "Foo": supported values: "Equal", "Exists"']),
        ({}, ['operator: Invalid value: "": operator must be Exists when `key` is empty']),
    ],
)  # fmt: skip
def test_toleration_is_one_that_can_meet_a_taint(toleration: Object, expected: list[str]) -> None:
    found = [text.removeprefix("spec.tolerations[0].") for text in causes(World(), pod_with(tolerations=[toleration]))]
    assert [text[: len(start)] for text, start in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"requests": {"cpu": "100m"}, "limits": {"cpu": "0.1"}}, []),
        ({"requests": {"memory": "1Gi"}, "limits": {"memory": "1G"}}, ['requests: Invalid value: "1Gi": must be less than or equal to memory limit of 1G']),
        ({"requests": {"cpu": "-1"}}, ['requests[cpu]: Invalid value: "-1": must be greater than or equal to 0']),
        ({"requests": {"foo": "1"}}, ['requests[foo]: Invalid value: "foo": must be a standard resource type or fully qualified', 'requests[foo]: Invalid value: "foo": must be a standard resource for containers']),
        ({"requests": {"pods": "1"}}, ['requests[pods]: Invalid value: "pods": must be a standard resource for containers']),
        ({"limits": {"a/gpu": "0.5"}, "requests": {"a/gpu": "0.5"}}, ['limits[a/gpu]: Invalid value: "0.5": must be an integer', 'requests[a/gpu]: Invalid value: "0.5": must be an integer']),
        ({"requests": {"a/gpu": "1"}}, ["limits: Required value: Limit must be set for non overcommitable resources"]),
        ({"requests": {"a/gpu": "1"}, "limits": {"a/gpu": "2"}}, ['requests: Invalid value: "1": must be equal to a/gpu limit of 2']),
    ],
)  # fmt: skip
def test_container_asks_for_no_more_than_it_may_have(resources: Object, expected: list[str]) -> None:
    found = causes(World(), with_container(resources=resources))
    assert [text.removeprefix(f"{PLACE}.resources.") for text in found] == expected


@pytest.mark.parametrize(
    ("resources", "requests", "quality"),
    [
        ({}, None, "BestEffort"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, {"cpu": "1", "memory": "1Gi"}, "Guaranteed"),
        (
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m"}},
            {"cpu": "1000m", "memory": "1Gi"},
            "Guaranteed",
        ),
        ({"limits": {"cpu": "1"}}, {"cpu": "1"}, "Burstable"),
        ({"requests": {"cpu": "100m"}}, {"cpu": "100m"}, "Burstable"),
        (
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
            {"cpu": "500m", "memory": "1Gi"},
            "Burstable",
        ),
        ({"requests": {"cpu": "0"}}, {"cpu": "0"}, "BestEffort"),
    ],
)
def test_limits_are_requests_and_both_make_the_class(resources: Object, requests: Object | None, quality: str) -> None:
    made = World().create(with_container(resources=resources))
    assert made["spec"]["containers"][0]["resources"].get("requests") == requests
    assert made["status"]["qosClass"] == quality


UPDATE = (
    "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


@pytest.mark.parametrize(
    ("spec", "patch", "expected"),
    [
        ({}, {"hostNetwork": True}, UPDATE),
        ({}, {"terminationGracePeriodSeconds": 1}, UPDATE),
        ({}, {"schedulingGates": [{"name": "a"}]}, "only deletion is allowed, but found new scheduling gate 'a'"),
    ],
)
def test_pod_stays_what_it_is(spec: Object, patch: Object, expected: str) -> None:
    world = World()
    world.create(pod("web", **spec))
    assert change_causes(world, "pods", "web", {"spec": patch})[-1].endswith(expected)


def test_pod_that_would_never_end_may_be_given_an_end() -> None:
    world = World()
    world.create(pod("web", terminationGracePeriodSeconds=-1))
    changed = world.change("pods", "web", {"spec": {"terminationGracePeriodSeconds": 1, "activeDeadlineSeconds": 9}})
    assert changed["spec"]["terminationGracePeriodSeconds"] == 1


def test_addresses_of_a_pod_are_one_of_each_family_and_the_first_is_its_own() -> None:
    world = World()
    world.create(pod("web"))
    changed = world.change("pods", "web", {"status": {"podIP": "10.0.0.1", "qosClass": None}}, subresource="status")
    assert changed["status"]["podIPs"] == [{"ip": "10.0.0.1"}]
    assert changed["status"]["qosClass"] == "BestEffort"
    changed = world.change("pods", "web", {"status": {"podIP": "10.0.0.2"}}, subresource="status")
    assert changed["status"]["podIPs"] == [{"ip": "10.0.0.2"}]
    assert change_causes(world, "pods", "web", {"status": {"podIP": "foo"}}, "status") == [
        'status.podIPs[0]: Invalid value: "foo": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'
    ]
    both = {"podIPs": [{"ip": "10.0.0.2"}, {"ip": "10.0.0.3"}], "qosClass": "Guaranteed"}
    assert change_causes(world, "pods", "web", {"status": both}, "status") == [
        'status.qosClass: Invalid value: "Guaranteed": field is immutable',
        'status.podIPs: Invalid value: [{"IP":"10.0.0.2"},{"IP":"10.0.0.3"}]: may specify no more than one IP for each IP family',
    ]


def test_template_leaves_host_ports_and_requests_to_the_pod_that_is_made_of_it() -> None:
    world = World()
    raw = deployment(replicas=1)
    limited = container(resources={"limits": {"cpu": "1"}}, ports=[{"containerPort": 80}])
    raw["spec"]["template"]["spec"] = {"hostNetwork": True, "containers": [limited]}
    template = world.create(raw)["spec"]["template"]["spec"]["containers"][0]
    assert template["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert template["resources"] == {"limits": {"cpu": "1"}}
    (made,) = world.pods()
    assert made["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]
    assert made["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}
