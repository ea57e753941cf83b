"""Whatever is sent, the API answers with the right kind of Status, and what it refuses changes nothing."""

import contextlib
import json
import os
from typing import Any

from cp_world import World, deployment, pod, service
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from controlplane.api.bodies import decode_as, place_object, read_protobuf
from controlplane.api.paths import Target, parse_target
from controlplane.api.queries import read_predicate
from controlplane.api.writing import _patched
from controlplane.errors import StatusError
from controlplane.kinds.registry import RESOURCES, STORED, by_stored
from controlplane.kinds.resource import Resource
from controlplane.patching.apply import DuplicateEntryError, apply_configuration
from controlplane.patching.merge import apply_merge_patch
from controlplane.schema.protobuf_fields import KINDS
from controlplane.schema.types import ListOf, MapOf, Opaque, Scalar, Struct, Type

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8
)
TEXTS = (
    *("", "a", "x-y", "10.0.0.1", "10.3.241.9", "None", "NodePort", "LoadBalancer", "Local", "TCP", "50%", "é"),
    *("1", "0.5", "100m", "1.5Gi", "1e3", "Gt", "In", "2026-01-01T00:00:00Z", "YQ=="),
)
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
FEW = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
STORED_RESOURCES = [by_stored(stored) for stored in STORED]
WORLD = World()
WORLD.add_node("node-1")


def values(schema: Type, depth: int = 4) -> st.SearchStrategy[Any]:
    """Mostly what the type allows, sometimes anything: what gets past the decoder and reaches the rules."""
    match schema:
        case Scalar():
            texts = st.sampled_from(TEXTS)
            numbers = st.integers(-2, 3) | st.sampled_from([80, 30080, 32767, 70000, 2**31, 2**70])
            kinds = [texts if str in schema.accepts else None, numbers if int in schema.accepts else None]
            kinds.append(st.booleans() if bool in schema.accepts else None)
            usual = st.one_of([kind for kind in kinds if kind is not None])
            return usual if depth > 0 else usual | SCALARS
        case ListOf():
            return st.lists(values(schema.item, depth - 1), max_size=2) if depth > 0 else st.just([])
        case MapOf():
            return st.dictionaries(st.sampled_from(["app", "a/b", "", "é"]), values(schema.value, depth - 1), max_size=2)
        case Struct():
            if depth <= 0:
                return st.just({})
            fields = {
                key: values(inner, depth - 1)
                for key, inner in schema.fields.items()
                if key not in ("metadata", "kind", "apiVersion", "managedFields")
            }
            return st.fixed_dictionaries({}, optional=fields)
        case Opaque():
            return JSON
    raise AssertionError(schema)


def check_decodable(schema: Type, value: Any, place: str = "") -> None:
    """What is kept is what a typed client can decode, at every place: one object that is not would cost it the whole list."""
    match schema:
        case Scalar():
            assert value is None or (
                isinstance(value, schema.accepts) and (schema.why_not is None or not schema.why_not(value))
            ), place
        case ListOf():
            assert isinstance(value, list), place
            for item in value:
                check_decodable(schema.item, item, f"{place}[]")
        case MapOf():
            assert isinstance(value, dict), place
            for item in value.values():
                check_decodable(schema.value, item, f"{place}.*")
        case Struct():
            assert isinstance(value, dict), place
            for key, item in value.items():
                check_decodable(schema.fields[key], item, f"{place}.{key}")
        case Opaque():
            assert isinstance(value, dict), place


def check_outcome(refusal: StatusError | None, before: int) -> None:
    """A refusal is a Status of the client's fault and changed nothing; what was taken leaves no controller failing."""
    if refusal is None:
        WORLD.settle()
        assert not WORLD.plane.loop.failing
        for resource in STORED_RESOURCES:
            for item in WORLD.store.items(resource.stored):
                if int(item["metadata"]["resourceVersion"]) > before:
                    check_decodable(resource.schema, item, resource.kind)
        return
    assert 400 <= refusal.code < 500 or "failed to allocate" in refusal.message
    assert json.dumps(refusal.render())
    assert WORLD.store.version == before


def attempt(resource: Resource, raw: Any) -> None:
    before = WORLD.store.version
    refusal = None
    try:
        item = decode_as(resource, raw, validation="Warn").item
        place_object(item, Target(resource=resource, namespace="default" if resource.is_namespaced else None))
        if resource.to_stored is not None:
            item = resource.to_stored(item)
        WORLD.cluster.create(by_stored(resource.stored), item)
    except StatusError as error:
        refusal = error
    check_outcome(refusal, before)


@FEW
@given(resource=st.sampled_from(RESOURCES), raw=JSON)
def test_any_json_as_a_body_is_taken_or_refused(resource: Resource, raw: Any) -> None:
    attempt(resource, raw)


@FEW
@given(data=st.data(), resource=st.sampled_from(RESOURCES))
def test_any_object_of_a_kind_is_taken_or_refused_and_the_controllers_survive_it(data: st.DataObject, resource: Resource) -> None:
    raw = data.draw(values(resource.schema))
    attempt(resource, {**raw, "metadata": {"generateName": "fuzz-", "labels": {"app": "a"}}})


PATCH_TYPES = st.sampled_from(
    ["application/merge-patch+json", "application/json-patch+json", "application/strategic-merge-patch+json"]
)
POINTERS = st.sampled_from(
    ["/spec", "/spec/ports/0", "/metadata/labels/app", "/status", "/kind", "/metadata/name", "", "/spec/ports/-"]
)
OPERATIONS = st.lists(
    st.fixed_dictionaries({"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]), "path": POINTERS}, optional={"value": JSON, "from": POINTERS}),
    max_size=3,
)  # fmt: skip
TARGETS = {"services": service("patched"), "pods": pod("patched"), "deployments": deployment("patched", 1)}
for _raw in TARGETS.values():
    WORLD.create(_raw)


@FEW
@given(
    data=st.data(), plural=st.sampled_from(sorted(TARGETS)), media_type=PATCH_TYPES, subresource=st.sampled_from(["", "status"])
)
def test_any_patch_is_applied_or_refused(data: st.DataObject, plural: str, media_type: str, subresource: str) -> None:
    resource = by_stored(plural)
    shaped = st.fixed_dictionaries(
        {}, optional={"spec": values(resource.schema.fields["spec"]), "status": JSON, "metadata": JSON}
    )
    body = data.draw((OPERATIONS if "json-patch" in media_type else shaped) | JSON)
    before = WORLD.store.version

    def change(item: Any) -> Any:
        decoded = decode_as(resource, _patched(resource, media_type, item, body), validation="Ignore").item
        place_object(decoded, Target(resource=resource, namespace="default", name="patched"))
        return decoded

    refusal = None
    try:
        WORLD.cluster.update(resource, ("default", "patched"), change, subresource=subresource)
    except StatusError as error:
        refusal = error
    check_outcome(refusal, before)
    if not WORLD.exists(plural, "patched"):
        WORLD.create(TARGETS[plural])


@FEW
@given(before=values(by_stored("services").schema), wanted=values(by_stored("services").schema))
def test_apply_twice_is_apply_once(before: Any, wanted: Any) -> None:
    schema = by_stored("services").schema
    options = {"manager": "one", "is_forced": True, "now": "2026-01-01T00:00:00Z", "api_version": "v1"}
    try:
        once = apply_configuration(schema, apply_configuration(schema, None, before, **options), wanted, **options)
    except DuplicateEntryError:
        reject()
    assert apply_configuration(schema, once, wanted, **options) == once


@FEW
@given(target=JSON, patch=JSON)
def test_merge_patch_twice_is_merge_patch_once(target: Any, patch: Any) -> None:
    once = apply_merge_patch(target, patch)
    assert apply_merge_patch(once, patch) == once


SELECTORS = st.text(alphabet="ab=!,() <>-/.inot\\é", max_size=20) | st.text(max_size=10)


@FEW
@given(labels=SELECTORS, fields=SELECTORS, resource=st.sampled_from(RESOURCES))
def test_any_selector_selects_or_is_refused(labels: str, fields: str, resource: Resource) -> None:
    for query in ({"labelSelector": labels}, {"fieldSelector": fields}):
        with contextlib.suppress(StatusError):
            assert read_predicate(Target(resource=resource, namespace=None), query)(pod("p", labels={"a": "b"})) in (True, False)


@FEW
@given(
    path=st.lists(
        st.sampled_from(["api", "apis", "v1", "apps", "namespaces", "default", "pods", "status", "scale", "x", "", "é"]),
        max_size=8,
    )
)
def test_any_path_is_a_target_or_not_found(path: list[str]) -> None:
    with contextlib.suppress(StatusError):
        parse_target("/" + "/".join(path))


@FEW
@given(kind=st.sampled_from(sorted(KINDS)), body=st.binary(max_size=200), length=st.integers(0, 127))
def test_any_bytes_as_protobuf_are_an_object_or_refused(kind: tuple[str, str], body: bytes, length: int) -> None:
    about = b"".join(bytes([10 + 8 * place, len(text)]) + text.encode() for place, text in enumerate(kind))
    envelope = b"k8s\x00" + bytes([10, len(about)]) + about + bytes([18, length]) + body[:length]
    for attempted in (body, envelope):
        with contextlib.suppress(StatusError):
            assert isinstance(read_protobuf(attempted), dict)
