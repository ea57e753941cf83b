"""As much OpenAPI v2 as kubectl before 1.27 asks for: which kinds there are, and that writes to them take `dryRun`.

It wants the document in protocol buffers. Strings and messages are all it has, so a tag, a length and bytes are all that is
written here (protobuf.dev, "Encoding"); field numbers are those of gnostic's OpenAPIv2.proto.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from controlplane.api.discovery import VERSION
from controlplane.api.openapi import WRITE_PARAMETERS, each_kind
from controlplane.objects import Object

PROTOBUF = "application/com.github.proto-openapi.spec.v2"
"""How the name of its media type begins: `@v1.0+protobuf` followed, and since an at sign cannot be in one, `.v1.0+protobuf`."""
_KIND = "x-kubernetes-group-version-kind"
_LENGTH_DELIMITED = 2
_METHOD_FIELDS = {"put": 3, "post": 4, "patch": 8}


def render_document() -> Object:
    """The document in JSON (OpenAPI Specification 2.0)."""
    paths: dict[str, object] = {}
    for collection, kind in each_kind():
        parameters = [{"name": name, "in": "query", "type": "string"} for name in WRITE_PARAMETERS]
        operation = {"parameters": parameters, "responses": {"200": {"description": "OK"}}, _KIND: kind}
        paths[collection] = {"post": operation}
        paths[f"{collection}/{{name}}"] = {"put": operation, "patch": operation}
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": paths,
        "definitions": {},
    }


def encode_document() -> bytes:
    """The same document in protocol buffers (message Document), without the responses, which nobody reads."""
    document = render_document()
    info = _field(1, document["info"]["title"]) + _field(2, document["info"]["version"])
    paths = b"".join(_field(2, _named(path, _path_item(item))) for path, item in document["paths"].items())
    return _field(1, document["swagger"]) + _field(2, info) + _field(8, paths) + _field(9, b"")


def _path_item(operations: Object) -> bytes:
    return b"".join(_field(_METHOD_FIELDS[method], _operation(operation)) for method, operation in operations.items())


def _operation(operation: Object) -> bytes:
    parameters = b"".join(_field(8, _query_parameter(item)) for item in operation["parameters"])
    # An Any: of its two forms, JSON and YAML text, kubectl reads the second, of which JSON is a part.
    return parameters + _field(13, _named(_KIND, _field(2, json.dumps(operation[_KIND]))))


def _query_parameter(parameter: Object) -> bytes:
    """ParametersItem > Parameter > NonBodyParameter > QueryParameterSubSchema."""
    schema = _field(2, parameter["in"]) + _field(4, parameter["name"]) + _field(6, parameter["type"])
    return _field(1, _field(2, _field(3, schema)))


def _named(name: str, value: bytes) -> bytes:
    """Named... messages are how the schema writes maps."""
    return _field(1, name) + _field(2, value)


def _field(number: int, value: str | bytes) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return bytes([*_varint(number << 3 | _LENGTH_DELIMITED), *_varint(len(content))]) + content


def _varint(value: int) -> Iterator[int]:
    while value > 0x7F:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value
