"""Request bodies: read within a limit, decoded by the type of the resource, refused in the API server's words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from controlplane.api.paths import Target
from controlplane.errors import bad_request, invalid, invalid_value, too_large, unsupported_media_type
from controlplane.kinds.registry import find_kind
from controlplane.kinds.resource import Resource
from controlplane.objects import Object
from controlplane.schema.decoding import MalformedError, decode, read_json
from controlplane.schema.protobuf import ProtobufError, UnknownMessageError, decode_message, read_envelope
from controlplane.schema.types import Struct

BODY_LIMIT_BYTES = 3 * 1024 * 1024
"""As the API server's (apiserver, server/config.go, MaxRequestBodyBytes)."""
SUMMARY_BYTES = 30
TYPE_META = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
"""What Go reads of an object first."""
JSON = "application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"


async def read_body(request: web.BaseRequest) -> bytes:
    """Raises StatusError 413."""
    if (request.content_length or 0) > BODY_LIMIT_BYTES:
        raise too_large(f"limit is {BODY_LIMIT_BYTES}")
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise too_large(f"limit is {BODY_LIMIT_BYTES}")
    return bytes(body)


def media_type_of(request: web.BaseRequest) -> str:
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def read_value(body: bytes, complain: Callable[[str], Exception] = bad_request) -> Any:
    """Any JSON value."""
    return read_json(body, lambda why: complain(f"couldn't get version/kind; json parse error: {why}"))


async def read_object(request: web.BaseRequest, kind: str) -> Object:
    """A JSON object, of the kind that is told where it is none. Raises StatusError 400, 413 or 415."""
    media_type = media_type_of(request)
    if media_type == PROTOBUF:
        return read_protobuf(await read_body(request))
    if media_type not in (JSON, ""):
        raise unsupported_media_type((JSON,))
    body = await read_body(request)

    def complain(why: str) -> Exception:
        what = f"the object provided is unrecognized (must be of type {kind})"
        return bad_request(f"{what}: couldn't get version/kind; json parse error: {why} ({_summarize(body)})")

    value = read_json(body, complain)
    if not isinstance(value, dict):
        shown = "array" if isinstance(value, list) else "string" if isinstance(value, str) else "number"
        raise complain(f"json: cannot unmarshal {shown} into Go value of type {TYPE_META}")
    return value


def _summarize(body: bytes) -> str:
    """What came: as it is where it may be an object, else in hexadecimal (apiserver, handlers/rest.go, summarizeData)."""
    if not body:
        return "<empty>"
    shown = body[:SUMMARY_BYTES].decode(errors="replace") if body.startswith(b"{") else body[:SUMMARY_BYTES].hex()
    return f"{shown} ..." if len(body) > SUMMARY_BYTES else shown


def read_protobuf(body: bytes) -> Object:
    """An object of a kind that `kubectl create` makes: it sends nothing else since 1.32. Raises StatusError 400 or 415."""
    try:
        api_version, kind, message = read_envelope(body)
        resource = find_kind(api_version, kind)
        assert resource is not None  # the tables name kinds of the registry only
        return {"apiVersion": api_version, "kind": kind, **decode_message(resource.schema, message)}
    except ProtobufError as error:
        raise bad_request(f"couldn't get version/kind; protobuf parse error: {error}") from error
    except UnknownMessageError as error:
        raise unsupported_media_type((JSON,), str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A fresh tree, and what the client should be warned about."""

    item: Object
    warnings: tuple[str, ...]


def decode_as(resource: Resource, raw: Any, *, validation: str) -> Decoded:
    """An object of the resource's kind. `validation`: Ignore, Warn or Strict (KEP-2885). Raises StatusError 400."""
    return decode_schema(resource.schema, _of_kind(resource, raw), resource.version, validation)


def decode_patched(resource: Resource, raw: Any, *, validation: str, shown: str) -> Decoded:
    """What a patch has made of an object; `shown`: what is told of the patch where that is none.

    Raises:
        StatusError: 400; 422 for the patch (apiserver, endpoints/handlers/patch.go).
    """
    try:
        item, unknown = decode(resource.schema, _of_kind(resource, raw))
    except MalformedError as error:
        raise invalid("", "", "", [invalid_value("patch", shown, str(error))]) from error
    texts = tuple(f'unknown field "{path}"' for path in unknown)
    if texts and validation == "Strict":
        raise invalid("", "", "", [invalid_value("patch", shown, f"strict decoding error: {', '.join(texts)}")])
    return Decoded(item=item, warnings=() if validation == "Ignore" else texts)


def _of_kind(resource: Resource, raw: Any) -> Object:
    if not isinstance(raw, dict):
        raise bad_request("couldn't get version/kind; json parse error: the object must be a JSON object")
    api_version, kind = raw.get("apiVersion") or resource.group_version, raw.get("kind") or resource.kind
    if api_version != resource.group_version:
        raise bad_request(
            f"the API version in the data ({api_version}) does not match the expected API version ({resource.group_version})"
        )
    if kind != resource.kind:
        raise bad_request(
            f'{kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {_why_not(kind, resource)}'
        )
    return {**raw, "apiVersion": api_version, "kind": kind}


def _why_not(kind: str, resource: Resource) -> str:
    """What Go says of an object of another kind, known or not."""
    if find_kind(resource.group_version, kind) is None:
        return (
            f'no kind "{kind}" is registered for version "{resource.group_version}" in scheme "pkg/api/legacyscheme/scheme.go:30"'
        )
    internal = resource.group.partition(".")[0] or "core"
    return f"converting ({resource.version}.{kind}) to ({internal}.{resource.kind}): unknown conversion"


def decode_schema(schema: Struct, raw: Object, version: str, validation: str) -> Decoded:
    """By a type that need not be a resource's, such as Scale. Raises StatusError 400."""
    prefix = f'{schema.name} in version "{version}" cannot be handled as a {schema.name}'
    try:
        item, unknown = decode(schema, raw)
    except MalformedError as error:
        raise bad_request(f"{prefix}: {error}") from error
    texts = tuple(f'unknown field "{path}"' for path in unknown)
    if texts and validation == "Strict":
        raise bad_request(f"{prefix}: strict decoding error: {', '.join(texts)}")
    return Decoded(item=item, warnings=() if validation == "Ignore" else texts)


def place_object(item: Object, target: Target) -> None:
    """Check the object's name and namespace against the URL's, and fill them in. Raises StatusError 400."""
    metadata = item.setdefault("metadata", {})
    if target.name:
        if metadata.get("name") not in (None, "", target.name):
            raise bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})")
        metadata["name"] = target.name
    if target.resource.is_namespaced:
        namespace = target.namespace or ""
        if metadata.get("namespace") not in (None, "", namespace):
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
