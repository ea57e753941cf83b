"""Patches: the tables of the RFCs, and the cases that kubectl sends."""

import copy

import pytest

from controlplane.kinds.registry import find_kind
from controlplane.patching.apply import ApplyConflictError, DuplicateEntryError, apply_configuration
from controlplane.patching.json_patch import PatchError, apply_json_patch
from controlplane.patching.merge import apply_merge_patch
from controlplane.patching.strategic import StrategicPatchError, apply_strategic_patch

POD = find_kind("v1", "Pod").schema
SERVICE = find_kind("v1", "Service").schema
NODE = find_kind("v1", "Node").schema
DEPLOYMENT = find_kind("apps/v1", "Deployment").schema


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_follows_rfc_7396_appendix_a(target: object, patch: object, result: object) -> None:
    before = copy.deepcopy(target)
    assert apply_merge_patch(target, patch) == result
    assert target == before


@pytest.mark.parametrize(
    ("document", "operations", "result"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
        ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
        ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["abc"]}], {"foo": ["bar", ["abc"]]}),
        ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
        ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
        ({"foo": ["a", "b"]}, [{"op": "replace", "path": "/foo/0", "value": "c"}], {"foo": ["c", "b"]}),
        ({"foo": {"a": 1}, "qux": {}}, [{"op": "move", "from": "/foo/a", "path": "/qux/b"}], {"foo": {}, "qux": {"b": 1}}),
        (
            {"foo": ["all", "grass", "cows"]},
            [{"op": "move", "from": "/foo/1", "path": "/foo/2"}],
            {"foo": ["all", "cows", "grass"]},
        ),
        ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
        ({"a/b": 1, "m~n": 2}, [{"op": "test", "path": "/a~1b", "value": 1}, {"op": "remove", "path": "/m~0n"}], {"a/b": 1}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
        ({"": 1}, [{"op": "replace", "path": "/", "value": 2}], {"": 2}),
    ],
)
def test_json_patch_follows_rfc_6902_appendix_a(document: object, operations: list, result: object) -> None:
    before = copy.deepcopy(document)
    assert apply_json_patch(document, operations) == result
    assert document == before


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "add", "path": "/a/b/c", "value": 1}],
        [{"op": "remove", "path": "/missing"}],
        [{"op": "replace", "path": "/list/2", "value": 1}],
        [{"op": "replace", "path": "/missing/member", "value": 1}],
        [{"op": "remove", "path": "/list/-3"}],
        [{"op": "add", "path": "/list/9", "value": 1}],
        [{"op": "add", "path": "/list/²", "value": 1}],
        [{"op": "test", "path": "/one", "value": True}],
        [{"op": "move", "from": "/map", "path": "/map/inside"}],
        [{"op": "dance", "path": "/one"}],
        [{"op": "add", "path": "one", "value": 1}],
        [{"op": "test", "path": "/missing", "value": 1}],
        [{}],
    ],
)
def test_json_patch_that_cannot_be_applied_is_refused(operations: list) -> None:
    with pytest.raises(PatchError):
        apply_json_patch({"list": [1, 2], "one": 1, "map": {}}, operations)


@pytest.mark.parametrize(
    ("operation", "items"),
    [
        ({"op": "remove", "path": "/list/-1"}, [1]),
        ({"op": "add", "path": "/list/-1", "value": 3}, [1, 2, 3]),
        ({"op": "add", "path": "/list/-3", "value": 3}, [3, 1, 2]),
        ({"op": "replace", "path": "/list/01", "value": 3}, [1, 3]),
        ({"op": "test", "path": "/missing", "value": None}, [1, 2]),
        ({"op": "replace", "path": "/list/0"}, [None, 2]),
        ({"op": "replace", "path": "/missing", "value": 1}, [1, 2]),
    ],
)
def test_json_patch_takes_what_the_api_server_takes_beyond_the_rfc(operation: dict, items: list) -> None:
    assert apply_json_patch({"list": [1, 2]}, [operation])["list"] == items


def pod(*containers: dict, **spec: object) -> dict:
    return {"spec": {"containers": list(containers), **spec}}


@pytest.mark.parametrize(
    ("schema", "target", "patch", "result"),
    [
        pytest.param(
            POD,
            pod({"name": "a", "image": "1"}, {"name": "b", "image": "1"}),
            pod({"name": "b", "image": "2"}, {"name": "c", "image": "3"}),
            pod({"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c", "image": "3"}),
            id="containers are merged by name",
        ),
        pytest.param(
            POD,
            pod({"name": "a"}, {"name": "b"}),
            pod({"name": "a", "$patch": "delete"}),
            pod({"name": "b"}),
            id="an item is deleted by its key",
        ),
        pytest.param(
            POD,
            pod({"name": "a", "ports": [{"containerPort": 80}]}),
            pod({"name": "a", "ports": [{"containerPort": 81, "name": "x"}]}),
            pod({"name": "a", "ports": [{"containerPort": 81, "name": "x"}, {"containerPort": 80}]}),
            id="container ports are merged by containerPort",
        ),
        pytest.param(
            POD,
            pod(tolerations=[{"key": "a"}]),
            {"spec": {"tolerations": [{"key": "b"}]}},
            pod(tolerations=[{"key": "b"}]),
            id="tolerations are replaced",
        ),
        pytest.param(
            SERVICE,
            {"spec": {"ports": [{"port": 80, "nodePort": 30080}]}},
            {"spec": {"ports": [{"port": 80, "targetPort": 81}]}},
            {"spec": {"ports": [{"port": 80, "nodePort": 30080, "targetPort": 81}]}},
            id="service ports are merged by port and keep what was allocated",
        ),
        pytest.param(
            NODE,
            {"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "True"}]}},
            {"status": {"conditions": [{"type": "Ready", "status": "False"}], "$setElementOrder/conditions": [{"type": "Other"}, {"type": "Ready"}]}},
            {"status": {"conditions": [{"type": "Other", "status": "True"}, {"type": "Ready", "status": "False"}]}},
            id="conditions are merged by type and ordered as told",
        ),
        pytest.param(
            NODE,
            {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}},
            {"spec": {"taints": [{"key": "b", "effect": "NoExecute"}]}},
            {"spec": {"taints": [{"key": "b", "effect": "NoExecute"}]}},
            id="a list without a key is replaced",
        ),
        pytest.param(
            POD,
            {"spec": {"imagePullSecrets": [{"name": "a"}]}},
            {"spec": {"imagePullSecrets": [{"$patch": "replace"}, {"name": "b"}]}},
            {"spec": {"imagePullSecrets": [{"name": "b"}]}},
            id="a list is replaced as a whole",
        ),
        pytest.param(
            DEPLOYMENT,
            {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}},
            {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
            {"spec": {"strategy": {"type": "Recreate"}}},
            id="keys that are not retained go",
        ),
        pytest.param(
            POD,
            {"metadata": {"finalizers": ["a", "b"]}},
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}},
            {"metadata": {"finalizers": ["c", "b"]}},
            id="a set of texts is added to and taken from",
        ),
        pytest.param(POD, {"metadata": {"labels": {"a": "1", "b": "2"}}}, {"metadata": {"labels": {"a": None}}}, {"metadata": {"labels": {"b": "2"}}}, id="null removes"),
        pytest.param(POD, {"spec": {"nodeSelector": {"a": "1"}}}, {"spec": {"nodeSelector": {"$patch": "replace", "b": "2"}}}, {"spec": {"nodeSelector": {"b": "2"}}}, id="a map is replaced"),
    ],
)  # fmt: skip
def test_strategic_merge_patch(schema: object, target: dict, patch: dict, result: dict) -> None:
    before = copy.deepcopy(target)
    if not target["spec"].get("containers", True) if "spec" in target else False:
        del target["spec"]["containers"], result["spec"]["containers"], before["spec"]["containers"]
    assert apply_strategic_patch(schema, target, patch) == result
    assert target == before


def names(*texts: str) -> list[dict]:
    return [{"name": text} for text in texts]


@pytest.mark.parametrize(
    ("old", "patch", "order", "result"),
    [
        ("ab", "c", None, "cab"),
        ("ab", "bc", None, "abc"),
        ("ab", "cb", None, "cab"),
        ("abc", "ca", None, "bca"),
        ("ab", "c", "abc", "abc"),
        ("ab", "c", "ca", "cab"),
        ("abcd", "e", "ce", "abced"),
        ("abc", "", "ca", "bca"),
        ("", "ba", None, "ba"),
    ],
)
def test_strategic_merge_patch_puts_new_items_first_unless_told(old: str, patch: str, order: str | None, result: str) -> None:
    spec: dict = {"containers": names(*patch)} if patch else {}
    if order is not None:
        spec["$setElementOrder/containers"] = names(*order)
    assert apply_strategic_patch(POD, pod(*names(*old)), {"spec": spec}) == pod(*names(*result))


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"spec": {"containers": [{"image": "x"}]}}, "map: map[image:x] does not contain declared merge key: name"),
        ({"spec": {"containers": [{"$patch": "foo", "name": "a"}]}}, "unknown patch type: foo in map: map[$patch:foo name:a]"),
        ({"spec": {"containers": [{"$patch": "delete"}]}}, "map: map[$patch:delete] does not contain declared merge key: name"),
        ({"spec": {"containers": [{"$patch": "merge", "name": "a"}]}}, "merging lists cannot yet be specified in the patch"),
        (
            {"spec": {"containers": names("c"), "$setElementOrder/containers": names("b")}},
            "The order in patch list:\n[map[name:c]]\n doesn't match $setElementOrder list:\n[map[name:b]]\n",
        ),
        (
            {"spec": {"containers": names("a", "b"), "$setElementOrder/containers": names("b", "a")}},
            "The order in patch list:\n[map[name:a] map[name:b]]\n doesn't match $setElementOrder list:\n[map[name:b] map[name:a]]\n",
        ),
        ({"spec": {"$setElementOrder/containers": "x"}}, "expected a []interface {}, but received a string"),
        ({"spec": {"$retainKeys": ["a"], "hostNetwork": True}}, "invalid patch format of retainKeys"),
        ({"spec": {"$retainKeys": "a"}}, "invalid patch format of retainKeys"),
        (
            {"spec": {"$patch": "merge", "hostNetwork": True}},
            "unknown patch type: merge in map: map[$patch:merge hostNetwork:true]",
        ),
    ],
)
def test_strategic_merge_patch_names_the_wrong_directive_as_the_api_server_does(patch: dict, message: str) -> None:
    with pytest.raises(StrategicPatchError) as caught:
        apply_strategic_patch(POD, pod({"name": "a"}), patch)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "patch", [[], {"spec": {"containers": ["a"]}}, {"spec": {"containers": [{"image": "x"}]}}, {"$patch": "dance"}]
)
def test_strategic_merge_patch_without_its_keys_is_refused(patch: object) -> None:
    with pytest.raises(StrategicPatchError):
        apply_strategic_patch(POD, pod({"name": "a"}), patch)


def apply(before: dict | None, wanted: dict, manager: str = "one", *, force: bool = False) -> dict:
    return apply_configuration(
        SERVICE, before, wanted, manager=manager, is_forced=force, now="2026-01-01T00:00:00Z", api_version="v1"
    )


def test_apply_removes_what_its_manager_no_longer_wants() -> None:
    first = apply(
        None, {"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"ports": [{"port": 80, "protocol": "TCP", "name": "x"}]}}
    )
    second = apply(first, {"metadata": {"labels": {"a": "1"}}, "spec": {"ports": [{"port": 81, "protocol": "TCP"}]}})
    assert second["metadata"]["labels"] == {"a": "1"}
    assert second["spec"]["ports"] == [{"port": 81, "protocol": "TCP"}]


def test_apply_keeps_what_others_own() -> None:
    first = apply(None, {"metadata": {"labels": {"a": "1"}}})
    second = apply(first, {"metadata": {"labels": {"b": "2"}}}, "two")
    third = apply(second, {"metadata": {"annotations": {"x": "y"}}})
    assert third["metadata"]["labels"] == {"b": "2"}
    assert {entry["manager"] for entry in third["metadata"]["managedFields"]} == {"one", "two"}


def test_apply_of_anothers_field_with_another_value_is_a_conflict() -> None:
    first = apply(None, {"metadata": {"labels": {"a": "1"}}})
    with pytest.raises(ApplyConflictError, match=r'Apply failed with 1 conflict: conflict with "one": \.metadata\.labels\.a'):
        apply(first, {"metadata": {"labels": {"a": "2"}}}, "two")


def test_apply_of_the_same_value_shares_the_field() -> None:
    first = apply(None, {"metadata": {"labels": {"a": "1"}}})
    shared = apply(first, {"metadata": {"labels": {"a": "1"}}}, "two")
    left = apply(shared, {"metadata": {}}, "one")
    assert left["metadata"]["labels"] == {"a": "1"}


def test_apply_that_names_an_item_twice_is_refused() -> None:
    with pytest.raises(DuplicateEntryError, match="duplicate entries"):
        apply(None, {"spec": {"ports": [{"port": 80, "protocol": "TCP"}, {"port": 80}]}})


def test_forced_apply_takes_the_field_over() -> None:
    first = apply(None, {"metadata": {"labels": {"a": "1"}}})
    forced = apply(first, {"metadata": {"labels": {"a": "2"}}}, "two", force=True)
    assert forced["metadata"]["labels"] == {"a": "2"}
    assert [entry["manager"] for entry in forced["metadata"]["managedFields"]] == ["two"]


def test_apply_twice_changes_nothing() -> None:
    wanted = {"metadata": {"labels": {"a": "1"}}, "spec": {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}]}}
    first = apply(None, wanted)
    assert apply(first, wanted) == first


def test_several_conflicts_are_told_by_their_managers() -> None:
    first = apply(None, {"metadata": {"labels": {"a": "1"}}, "spec": {"ports": [{"port": 80, "protocol": "TCP", "name": "x"}]}})
    second = apply(first, {"metadata": {"labels": {"b": "1"}}}, "another")
    wanted = {"metadata": {"labels": {"a": "2", "b": "2"}}, "spec": {"ports": [{"port": 80, "protocol": "TCP", "name": "y"}]}}
    with pytest.raises(ApplyConflictError) as caught:
        apply(second, wanted, "two")
    assert str(caught.value) == (
        "Apply failed with 3 conflicts: "
        'conflicts with "another":\n- .metadata.labels.b\n'
        'conflicts with "one":\n- .metadata.labels.a\n- .spec.ports[port=80,protocol="TCP"].name'
    )
    assert [cause["message"] for cause in caught.value.causes].count('conflict with "one"') == 2
