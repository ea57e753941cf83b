"""What the API refuses, in Kubernetes' words: one line for each rule and the causes that it gives."""

from typing import Any

import pytest
from cp_world import World, container, deployment, pod, service

from controlplane.errors import StatusError
from controlplane.objects import Object


def causes(world: World, raw: Object, **parts: Any) -> list[str]:
    """Every cause of the refusal, as `field: message`; none when it is taken."""
    try:
        world.create({**raw, **parts})
    except StatusError as error:
        if error.code != 422:
            return [f"{error.code} {error.message}"]
        return [f"{cause['field']}: {cause['message']}" for cause in (error.details or {})["causes"]]
    return []


def change_causes(world: World, plural: str, name: str, patch: Object, subresource: str = "") -> list[str]:
    with pytest.raises(StatusError) as caught:
        world.change(plural, name, patch, subresource=subresource)
    return [f"{cause['field']}: {cause['message']}" for cause in (caught.value.details or {})["causes"]]


NOT_AN_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
SLICE = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {"name": "web-1"},
    "addressType": "IPv4",
    "ports": [{"name": "http", "port": 80}],
}


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        ({"forZones": [{"name": "a"}], "forNodes": [{"name": "node-1"}]}, []),
        ({"forZones": [{}]}, []),
        ({"forZones": [{"name": "a b"}]}, ['endpoints[0].hints.forZones[0].name: Invalid value: "a b": a valid label must be']),
        ({"forNodes": [{}]}, ['endpoints[0].hints.forNodes[0].name: Invalid value: "": a lowercase RFC 1123 subdomain must']),
        (
            {"forZones": [{"name": "a"}, {"name": "a"}]},
            ['endpoints[0].hints.forZones[1].name: Duplicate value: "a"'],
        ),
        ({"forNodes": [{"name": f"node-{number}"} for number in range(9)]}, ["endpoints[0].hints.forNodes: Too many: 9: "]),
    ],
)
def test_hints_name_zones_and_nodes(hints: Object, expected: list[str]) -> None:
    found = causes(World(), SLICE, endpoints=[{"addresses": ["10.0.1.2"], "hints": hints}])
    assert len(found) >= len(expected)
    assert [text[: len(start)] for text, start in zip(found, expected, strict=False)] == expected
    assert bool(found) == bool(expected)


def test_status_tells_addresses_of_a_load_balancer_that_are_addresses() -> None:
    world = World()
    world.create(service(type="LoadBalancer"))
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "foo"}, {"hostname": "1.2.3.4"}]}}}
    assert change_causes(world, "services", "web", status, "status") == [
        f'status.loadBalancer.ingress[0].ip: Invalid value: "foo": {NOT_AN_ADDRESS}',
        'status.loadBalancer.ingress[1].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address',
    ]


def test_node_address_is_an_address() -> None:
    world = World()
    world.add_node("node-1")
    status = {"status": {"addresses": [{"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": "foo"}]}}
    assert change_causes(world, "nodes", "node-1", status, "status") == [
        f'status.addresses[1].address: Invalid value: "foo": {NOT_AN_ADDRESS}'
    ]


def pod_with(**spec: Any) -> Object:
    return {**pod("web"), "spec": {"containers": [container()]} | spec}


PREFIX = 'Pod in version "v1" cannot be handled as a Pod: '
QUANTITY = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pod_with(containers=[container(resources={"limits": {"cpu": "foo"}})]), PREFIX + QUANTITY),
        (pod_with(containers=[container(resources={"limits": {"cpu": "1Xi"}})]), PREFIX + QUANTITY),
        (pod_with(containers=[container(resources={"limits": {"cpu": "1nn"}})]), PREFIX + "unable to parse quantity's suffix"),
        (
            pod_with(affinity=[1]),
            PREFIX + "json: cannot unmarshal array into Go struct field PodSpec.spec.affinity of type v1.Affinity",
        ),
        (
            pod_with(securityContext="x"),
            PREFIX
            + "json: cannot unmarshal string into Go struct field PodSpec.spec.securityContext of type map[string]interface {}",
        ),
        (
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
            | {"spec": {"taints": [{"key": "a", "effect": "NoSchedule", "timeAdded": "foo"}]}},
            'Node in version "v1" cannot be handled as a Node: '
            'parsing time "foo" as "2006-01-02T15:04:05Z07:00": cannot parse "foo" as "2006"',
        ),
        (
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "foo"}},
            'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 0',
        ),
        (
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "YWJj!"}},
            'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 4',
        ),
    ],
)
def test_what_no_typed_client_could_decode_is_no_such_object(raw: Object, expected: str) -> None:
    assert causes(World(), raw) == [f"400 {expected}"]


@pytest.mark.parametrize("amount", ["1", "+1", ".5", "1.", "100m", "1.5Gi", "1e3", "2E-3", "10E", 1, 0.5, None])
def test_amounts_are_numbers_with_a_suffix(amount: Any) -> None:
    made = World().create(pod_with(containers=[container(resources={"limits": {"cpu": amount}})]))
    assert made["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "0" if amount is None else amount}


def affinity(key: str = "a", operator: str = "In", values: Any = None, **where: str) -> Object:
    requirement = {"key": key, "operator": operator} | ({} if values is None else {"values": values})
    term = {where.get("part", "matchExpressions"): [requirement]}
    return pod_with(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}})


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (affinity(operator="Gt", values=["-3"]), []),
        (affinity(operator="Gt", values=["x"]), ['values[0]: Invalid value: "x": for \'Gt\', \'Lt\' operators, the value must be an integer']),
        (affinity(operator="Lt"), ["values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'"]),
        (affinity(operator="In"), ["values: Required value: must be specified when `operator` is 'In' or 'NotIn'"]),
        (affinity(operator="Exists", values=["x"]), ["values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"]),
        (affinity(operator="Foo"), ['operator: Invalid value: "Foo": not a valid selector operator']),
        (affinity("metadata.name", values=["n"], part="matchFields"), []),
        (affinity("spec.x", values=["n"], part="matchFields"), ['key: Invalid value: "spec.x": not a valid field selector key']),
    ],
)  # fmt: skip
def test_affinity_to_nodes_is_one_that_can_be_judged(raw: Object, expected: list[str]) -> None:
    found = causes(World(), raw)
    assert [text.rpartition("].")[2] if "[" in text else text for text in found] == expected


def ingress(host: str = "example.com", path: Object | None = None, backend: Object | None = None, **spec: Any) -> Object:
    backend = {"service": {"name": "web", "port": {"number": 80}}} if backend is None else backend
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend} | (path or {})]
    metadata = {"name": "web", "annotations": spec.pop("annotations", {})}
    rules = [{"host": host, "http": {"paths": paths}}]
    head = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata}
    return {**head, "spec": {"rules": rules} | spec}


WILDCARD = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case "
    "alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation "
    r"is '\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters"
RULE, PATH = "spec.rules[0]", "spec.rules[0].http.paths[0]"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (ingress("*.example.com"), []),
        (ingress("1.2.3.4"), [f'{RULE}.host: Invalid value: "1.2.3.4": must be a DNS name, not an IP address']),
        (ingress("*"), [f'{RULE}.host: Invalid value: "*": {WILDCARD}']),
        (ingress("a.*.com"), [f'{RULE}.host: Invalid value: "a.*.com": {WILDCARD}']),
        (ingress(path={"path": "/a//b"}), [f"{PATH}.path: Invalid value: \"/a//b\": must not contain '//'"]),
        (ingress(path={"path": "/a/./b"}), [f"{PATH}.path: Invalid value: \"/a/./b\": must not contain '/./'"]),
        (ingress(path={"path": "/a/../b"}), [f"{PATH}.path: Invalid value: \"/a/../b\": must not contain '/../'"]),
        (ingress(path={"path": "/a%2fb"}), [f"{PATH}.path: Invalid value: \"/a%2fb\": must not contain '%2f'"]),
        (ingress(path={"path": "/a/.."}), [f"{PATH}.path: Invalid value: \"/a/..\": cannot end with '/..'"]),
        (ingress(path={"path": "/a//b", "pathType": "ImplementationSpecific"}), []),
        (ingress(path={"path": "", "pathType": "ImplementationSpecific"}), []),
        (
            ingress(path={"path": "a", "pathType": "ImplementationSpecific"}),
            [f'{PATH}.path: Invalid value: "a": must be an absolute path'],
        ),
        (
            ingress(backend={"service": {"name": "web", "port": {"number": 70000}}}),
            [f"{PATH}.backend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive"],
        ),
        (
            ingress(backend={"service": {"name": "web", "port": {"name": "80"}}}),
            [f'{PATH}.backend.service.port.name: Invalid value: "80": must contain at least one letter (a-z)'],
        ),
        (ingress(backend={}), [f'{PATH}.backend: Invalid value: "": resource or service backend is required']),
        (ingress(ingressClassName="Foo"), [f'spec.ingressClassName: Invalid value: "Foo": {SUBDOMAIN}']),
        (
            ingress(ingressClassName="a", annotations={"kubernetes.io/ingress.class": "b"}),
            [
                'annotations.kubernetes.io/ingress.class: Invalid value: "b": must match `ingressClassName` when both are specified'
            ],
        ),
        (ingress(tls=[{"secretName": "Foo"}]), [f'spec.tls[0].secretName: Invalid value: "Foo": {SUBDOMAIN}']),
        (ingress(tls=[{"hosts": ["*"]}]), [f'spec.tls[0].hosts[0]: Invalid value: "*": {WILDCARD}']),
    ],
)
def test_ingress_names_what_can_be_asked_for(raw: Object, expected: list[str]) -> None:
    found = causes(World(), raw)
    assert [text[: len(start)] for text, start in zip(found, expected, strict=True)] == expected


def ingress_class(**spec: Any) -> Object:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "c"}, "spec": spec}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (ingress_class(controller="example.com/a"), []),
        (ingress_class(), ["spec.controller: Required value"]),
        (
            ingress_class(controller="foo"),
            ['spec.controller: Invalid value: "foo": must be a domain-prefixed path (such as "acme.io/foo")'],
        ),
        (ingress_class(controller="example.com/a b"), ['spec.controller: Invalid value: "a b": Invalid path (regex']),
        (ingress_class(controller="a.b/" + "c" * 247), ["spec.controller: Too long: may not be more than 250 bytes"]),
        (ingress_class(controller="a.b/c", parameters={"kind": "K", "name": "n"}), []),
        (ingress_class(controller="a.b/c", parameters={"kind": "K"}), ["spec.parameters.name: Required value: name is required"]),
        (
            ingress_class(controller="a.b/c", parameters={"kind": "a/b", "name": "n"}),
            ["spec.parameters.kind: Invalid value: \"a/b\": may not contain '/'"],
        ),
        (
            ingress_class(controller="a.b/c", parameters={"kind": "K", "name": "n", "scope": "Namespace"}),
            ["spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"],
        ),
    ],
)
def test_ingress_class_names_its_controller(raw: Object, expected: list[str]) -> None:
    found = causes(World(), raw)
    assert [text[: len(start)] for text, start in zip(found, expected, strict=True)] == expected


def test_controller_of_an_ingress_class_stays() -> None:
    world = World()
    world.create(ingress_class(controller="example.com/a"))
    assert change_causes(world, "ingressclasses", "c", {"spec": {"controller": "example.com/b"}}) == [
        'spec.controller: Invalid value: "example.com/b": field is immutable'
    ]


def config_map(**metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"} | metadata}


def owner(name: str, **fields: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": f"uid-{name}"} | fields


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (config_map(finalizers=["example.com/hold", "kubernetes"]), []),
        (
            config_map(finalizers=["hold"]),
            [
                'metadata.finalizers[0]: Invalid value: "hold": name is neither a standard finalizer name nor is it fully qualified'
            ],
        ),
        (config_map(finalizers=["a/-"]), ['metadata.finalizers: Invalid value: "a/-": name part must consist of alphanumeric']),
        (
            config_map(finalizers=["orphan", "foregroundDeletion"]),
            [
                'metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and foregroundDeletion cannot'
            ],
        ),
        (config_map(ownerReferences=[owner("a", controller=True), owner("b", controller=False)]), []),
        (
            config_map(ownerReferences=[owner("a", uid="")]),
            ['metadata.ownerReferences.uid: Invalid value: "": uid must not be empty'],
        ),
        (config_map(ownerReferences=[owner("a", kind="Event")]), ["metadata.ownerReferences: Invalid value: {"]),
    ],
)
def test_metadata_names_finalizers_and_owners_as_they_are_named(raw: Object, expected: list[str]) -> None:
    found = causes(World(), raw)
    assert [text[: len(start)] for text, start in zip(found, expected, strict=True)] == expected


def test_object_has_one_controller() -> None:
    (found,) = causes(World(), config_map(ownerReferences=[owner("a", controller=True), owner("b", controller=True)]))
    assert found.endswith('Only one reference can have Controller set to true. Found "true" in references for Pod/a and Pod/b')


def test_object_that_is_being_deleted_gets_no_new_finalizers() -> None:
    world = World()
    world.create(config_map(finalizers=["a/b"]))
    world.delete("configmaps", "c")
    assert change_causes(world, "configmaps", "c", {"metadata": {"finalizers": ["a/b", "a/c"]}}) == [
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, "
        'found new finalizers []string{"a/c"}'
    ]
    world.change("configmaps", "c", {"metadata": {"finalizers": None}})
    assert not world.exists("configmaps", "c")


PLACE = "spec.containers[0]"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            pod_with(hostNetwork=True, containers=[container(ports=[{"containerPort": 80, "hostPort": 81}])]),
            [f"{PLACE}.ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true"],
        ),
        (pod_with(hostNetwork=True, containers=[container(ports=[{"containerPort": 80}])]), []),
        (
            pod_with(containers=[container(livenessProbe={"tcpSocket": {"port": 80}, "successThreshold": 2})]),
            [f"{PLACE}.livenessProbe.successThreshold: Invalid value: 2: must be 1"],
        ),
        (
            pod_with(dnsPolicy="Foo"),
            ['spec.dnsPolicy: Unsupported value: "Foo": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"'],
        ),
        (
            pod_with(containers=[container(imagePullPolicy="Foo")]),
            [f'{PLACE}.imagePullPolicy: Unsupported value: "Foo": supported values: "Always", "IfNotPresent", "Never"'],
        ),
        (
            pod_with(volumes=[{"name": "a"}], containers=[container(volumeMounts=[{"name": "a", "mountPath": "/a"}])]),
            [],
        ),
        (
            pod_with(containers=[container(volumeMounts=[{"name": "a", "mountPath": "/a"}, {"name": "a", "mountPath": "/a"}])]),
            [
                f'{PLACE}.volumeMounts[0].name: Not found: "a"',
                f'{PLACE}.volumeMounts[1].name: Not found: "a"',
                f'{PLACE}.volumeMounts[1].mountPath: Invalid value: "/a": must be unique',
            ],
        ),
        (pod_with(volumes=[{"name": "a"}, {"name": "a"}]), ['spec.volumes[1].name: Duplicate value: "a"']),
        (
            pod_with(volumes=[{"name": "a", "emptyDir": {}, "secret": {}}]),
            ["spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type"],
        ),
        (
            pod_with(containers=[container(env=[{"name": "a=b"}, {}])]),
            [
                f'{PLACE}.env[0].name: Invalid value: "a=b": a valid environment variable name must consist only of printable '
                "ASCII characters other than '='",
                f"{PLACE}.env[1].name: Required value",
            ],
        ),
    ],
)  # fmt: skip
def test_pod_is_one_that_could_run(raw: Object, expected: list[str]) -> None:
    assert causes(World(), raw) == expected


def test_zeros_of_a_probe_are_its_defaults() -> None:
    zeros = dict.fromkeys(("timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"), 0)
    made = World().create(pod_with(containers=[container(readinessProbe={"tcpSocket": {"port": 80}} | zeros)]))
    probe = made["spec"]["containers"][0]["readinessProbe"]
    assert [probe[name] for name in zeros] == [1, 10, 1, 3]


def test_volume_without_a_source_is_an_empty_directory() -> None:
    made = World().create(pod_with(volumes=[{"name": "a"}, {"name": "b", "configMap": {"name": "c"}}]))
    assert made["spec"]["volumes"] == [{"name": "a", "emptyDir": {}}, {"name": "b", "configMap": {"name": "c"}}]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"ipFamilyPolicy": "Foo"},
            'spec.ipFamilyPolicy: Unsupported value: "Foo": supported values: "PreferDualStack", "RequireDualStack", "SingleStack"',
        ),
        (
            {"ipFamilyPolicy": "RequireDualStack"},
            'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
        ),
        (
            {"trafficDistribution": "Foo"},
            'spec.trafficDistribution: Unsupported value: "Foo": supported values: "PreferClose", "PreferSameNode", "PreferSameZone"',
        ),
    ],
)
def test_service_asks_for_what_there_is(spec: Object, expected: str) -> None:
    assert causes(World(), service(**spec)) == [expected]


def test_deployment_without_selector_has_both_causes() -> None:
    raw = deployment()
    del raw["spec"]["selector"]
    assert causes(World(), raw) == [
        "spec.selector: Required value",
        'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
    ]


KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name'"
)


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("Secret", {"data": {"a.b-c_D": "YQ=="}}, []),
        ("Secret", {"data": {"a b": "YQ=="}}, [f'data[a b]: Invalid value: "a b": {KEY}']),
        ("ConfigMap", {"data": {"..": ""}}, ["data[..]: Invalid value: \"..\": must not be '..'"]),
        ("ConfigMap", {"data": {"..a": ""}}, ["data[..a]: Invalid value: \"..a\": must not start with '..'"]),
        ("ConfigMap", {"data": {"k" * 254: ""}}, [f"data[{'k' * 254}]: Invalid value: "]),
        ("ConfigMap", {"binaryData": {"a/b": ""}}, [f'binaryData[a/b]: Invalid value: "a/b": {KEY}']),
        (
            "ConfigMap",
            {"data": {"a": "b"}, "binaryData": {"a": "YQ=="}},
            ['data[a]: Invalid value: "a": duplicate of key present in binaryData'],
        ),
        ("ConfigMap", {"data": {"a": "x" * 1024 * 1025}}, ["[]: Too long: may not be more than 1048576 bytes"]),
        ("Secret", {"stringData": {"a": "x" * 1024 * 1025}}, ["data: Too long: may not be more than 1048576 bytes"]),
    ],
)
def test_keys_of_data_can_be_names_of_files(kind: str, content: Object, expected: list[str]) -> None:
    found = causes(World(), {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}} | content)
    assert [text[: len(start)] for text, start in zip(found, expected, strict=True)] == expected
