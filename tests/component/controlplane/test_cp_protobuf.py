"""Bodies in protocol buffers: what `kubectl create` sends becomes the object that JSON would have made, all else is refused."""

from typing import Any

import pytest
from cp_http import Api, serve
from cp_world import World

from controlplane.kinds.registry import find_kind
from controlplane.schema.protobuf_fields import FIELDS, INLINE_FIELDS, KINDS
from controlplane.schema.types import ListOf, MapOf, Struct, Type

HEADERS = {
    "Content-Type": "application/vnd.kubernetes.protobuf",
    "Accept": "application/vnd.kubernetes.protobuf,application/json",
}


def varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])


def message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """Numbers as varints, all else by its length."""
    found = b""
    for number, value in fields:
        if isinstance(value, int):
            found += varint(number << 3) + varint(value & (1 << 64) - 1)
        else:
            encoded = value.encode() if isinstance(value, str) else value
            found += varint(number << 3 | 2) + varint(len(encoded)) + encoded
    return found


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\0" + message((1, message((1, api_version), (2, kind))), (2, raw), (3, ""), (4, ""))


async def create(api: Api, body: bytes, path: str = "/api/v1/namespaces/default/configmaps") -> tuple[int, Any]:
    return await api.ask("POST", path, body, headers=HEADERS)


METADATA = message((1, "x"), (2, ""), (7, 0), (8, b""), (11, message((1, "a"), (2, "b"))))


async def test_maps_of_texts_and_of_bytes_are_read_and_what_was_never_set_is_left_out() -> None:
    data = message((1, "k"), (2, "v")), message((1, "b"), (2, b"\x00\xff"))
    body = envelope("v1", "ConfigMap", message((1, METADATA), (2, data[0]), (3, data[1])))
    async with serve(World()) as api:
        status, made = await create(api, body)
    assert status == 201
    assert (made["data"], made["binaryData"]) == ({"k": "v"}, {"b": "AP8="})
    assert made["metadata"]["labels"] == {"a": "b"}
    assert "immutable" not in made


async def test_zero_behind_a_pointer_and_negative_numbers_are_said_on_purpose() -> None:
    spec = message((1, 0), (5, -1))
    async with serve(World()) as api:
        path = "/apis/apps/v1/namespaces/default/deployments"
        status, answer = await create(api, envelope("apps/v1", "Deployment", message((1, METADATA), (2, spec))), path)
    assert status == 422
    assert "spec.minReadySeconds: Invalid value: -1" in answer["message"]
    assert "replicas" not in answer["message"]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"{}", 400, "provided data does not appear to be a protobuf message"),
        (b"k8s\0" + b"\x0a\x7f", 400, "unexpected EOF"),
        (b"k8s\0" + b"\xff" * 12, 400, "integer overflow"),
        (envelope("v1", "ConfigMap", message((1, 7))), 400, "a number where a message is expected"),
        (envelope("v1", "ConfigMap", message((1, message((1, b"\xff"))))), 400, "not UTF-8"),
        (envelope("v1", "Pod", b""), 415, "Pod of v1 is not read from protobuf"),
        (envelope("v1", "ConfigMap", message((1, METADATA), (9, "x"))), 415, "field 9 of v1.ConfigMap is not read from protobuf"),
        (envelope("v1", "Secret", b""), 400, "Secret in version"),
    ],
)
async def test_what_is_not_read_is_refused_and_says_why(body: bytes, status: int, text: str) -> None:
    async with serve(World()) as api:
        got, answer = await create(api, body)
    assert got == status
    assert text in answer["message"]


def structs(schema: Type) -> list[Struct]:
    match schema:
        case ListOf():
            return structs(schema.item)
        case MapOf():
            return structs(schema.value)
        case Struct():
            return [schema, *(found for inner in schema.fields.values() for found in structs(inner))]
        case _:
            return []


def test_every_field_with_a_number_is_one_of_its_type() -> None:
    known: dict[str, set[str]] = {}
    for api_version, kind in KINDS:
        resource = find_kind(api_version, kind)
        assert resource is not None
        for struct in structs(resource.schema):
            known.setdefault(struct.name, set()).update(struct.fields)
    for name, fields in (*FIELDS.items(), *INLINE_FIELDS.items()):
        assert {field.name for field in fields.values() if field.name} <= known[name], name
