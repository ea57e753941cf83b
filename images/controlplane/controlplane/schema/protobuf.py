"""From Kubernetes' protocol buffers to the JSON tree of the same object: only what `kubectl create` sends, all else is refused.

Source: protobuf.dev, "Encoding"; apimachinery, pkg/runtime/serializer/protobuf (the envelope: `k8s`, a zero, runtime.Unknown).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from controlplane.schema.protobuf_fields import FIELDS, INLINE_FIELDS, KINDS, Field
from controlplane.schema.types import BYTES, INT_OR_STRING, TIME, ListOf, MapOf, Scalar, Struct, Type

MAGIC = b"k8s\x00"
Value = int | bytes


class ProtobufError(Exception):
    """It is no such message."""


class UnknownMessageError(Exception):
    """It is one that is not read: a kind or a field without a number in the tables."""


def read_envelope(body: bytes) -> tuple[str, str, bytes]:
    """API version, kind and the object's own bytes.

    Raises:
        ProtobufError, UnknownMessageError
    """
    if not body.startswith(MAGIC):
        raise ProtobufError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    unknown = dict(_split(body[len(MAGIC) :]))
    about = dict(_split(_bytes(unknown.get(1, b""))))
    api_version, kind = (_text(about.get(number, b"")) for number in (1, 2))
    if (api_version, kind) not in KINDS or unknown.get(3):
        raise UnknownMessageError(f"{kind} of {api_version} is not read from protobuf")
    return api_version, kind, _bytes(unknown.get(2, b""))


def decode_message(schema: Struct, message: bytes) -> dict[str, Any]:
    """The JSON tree of a message.

    Raises:
        ProtobufError, UnknownMessageError
    """
    return _decode_fields(schema, FIELDS.get(schema.name, {}), message)


def _decode_fields(schema: Struct, fields: Mapping[int, Field], message: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = {}
    for number, value in _split(message):
        field = fields.get(number)
        if field is None:
            # What was never set is sent all the same, zeros and messages of zeros.
            if _is_set(value):
                raise UnknownMessageError(f"field {number} of {schema.go} is not read from protobuf")
        elif not field.name:
            decoded |= _decode_fields(schema, INLINE_FIELDS[schema.name], _bytes(value))
        elif value or field.is_pointer or not isinstance(schema.fields[field.name], Scalar):
            _put(decoded, field.name, schema.fields[field.name], value)
    return decoded


def _is_set(value: Value, depth: int = 8) -> bool:
    if isinstance(value, int) or not value or depth == 0:
        return bool(value)
    try:
        return any(_is_set(inner, depth - 1) for _, inner in _split(value))
    except ProtobufError:
        return True


def _put(decoded: dict[str, Any], name: str, schema: Type, value: Value) -> None:
    match schema:
        case ListOf():
            decoded.setdefault(name, []).append(_decode(schema.item, value))
        case MapOf():
            entry = dict(_split(_bytes(value)))
            decoded.setdefault(name, {})[_text(entry.get(1, b""))] = _decode(schema.value, entry.get(2, b""))
        case _:
            if (found := _decode(schema, value)) is not None:
                decoded[name] = found


def _decode(schema: Type, value: Value) -> Any:
    if isinstance(schema, Struct):
        return decode_message(schema, _bytes(value))
    if schema == BYTES:
        return base64.b64encode(_bytes(value)).decode()
    if schema == INT_OR_STRING:
        parts = dict(_split(_bytes(value)))
        return _text(parts.get(3, b"")) if parts.get(1) else _number(parts.get(2, 0))
    if schema == TIME:
        seconds = _number(dict(_split(_bytes(value))).get(1, 0))
        try:
            return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else None
        except (OverflowError, ValueError, OSError):
            raise ProtobufError(f"{seconds} s is no instant") from None
    if isinstance(schema, Scalar) and str in schema.accepts:
        return _text(value)
    if isinstance(schema, Scalar):
        return bool(_number(value)) if bool in schema.accepts else _number(value)
    raise UnknownMessageError(f"{schema.go} is not read from protobuf")


def _split(message: bytes) -> Iterator[tuple[int, Value]]:
    """Field numbers and values, in their order. Raises ProtobufError."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, place = _varint(message, place)
            yield number, value
        elif wire == 2:
            size, place = _varint(message, place)
            if size > len(message) - place:
                raise ProtobufError("unexpected EOF")
            yield number, message[place : place + size]
            place += size
        else:
            raise ProtobufError(f"field {number}: wire type {wire} is not expected")


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise ProtobufError("unexpected EOF")
        value |= (message[place] & 127) << shift
        place += 1
        if message[place - 1] < 128:
            return value, place
    raise ProtobufError("integer overflow")


def _bytes(value: Value) -> bytes:
    if isinstance(value, int):
        raise ProtobufError("a number where a message is expected")
    return value


def _text(value: Value) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError:
        raise ProtobufError("a text that is not UTF-8") from None


def _number(value: Value) -> int:
    if not isinstance(value, int):
        raise ProtobufError("a message where a number is expected")
    # Negative ones are sent in two's complement of 64 bits.
    return value - (1 << 64) if value >> 63 else value
