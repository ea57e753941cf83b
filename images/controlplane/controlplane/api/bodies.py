"""Request bodies: read within a limit, decoded by the type of the resource, refused in the API server's words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from controlplane.api.paths import Target
from controlplane.errors import StatusError, bad_request, too_large, unsupported_media_type
from controlplane.kinds.registry import find_kind
from controlplane.kinds.resource import Resource
from controlplane.objects import Object
from controlplane.schema.decoding import MalformedError, decode, name_type, read_json
from controlplane.schema.protobuf import ProtobufError, UnknownMessageError, decode_message, read_envelope
from controlplane.schema.types import Struct

BODY_LIMIT_BYTES = 3 * 1024 * 1024
"""As the API server's (apiserver, server/config.go, MaxRequestBodyBytes)."""
JSON = "application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"
SUMMARY_BYTES = 30
"""What an answer shows of a body that is no object."""
HEADER = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
"""What the API server decodes first of any object, as its messages name it."""


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


def _complain(why: str) -> StatusError:
    return bad_request(f"couldn't get version/kind; json parse error: {why}")


def read_value(body: bytes, complain: Callable[[str], Exception] = _complain) -> Any:
    """Any JSON value. Raises what `complain` makes of the reason."""
    return read_json(body, complain)


async def read_object(request: web.BaseRequest, kind: str) -> Object:
    """A JSON object; null is one without fields. Raises StatusError 400, 413 or 415.

    Source: apiserver, endpoints/handlers/rest.go, transformDecodeError.
    """
    media_type = media_type_of(request)
    if media_type == PROTOBUF:
        return read_protobuf(await read_body(request))
    if media_type not in (JSON, ""):
        raise unsupported_media_type((JSON,))
    body = await read_body(request)

    def complain(why: str) -> StatusError:
        text = f"couldn't get version/kind; json parse error: {why}"
        return bad_request(f"the object provided is unrecognized (must be of type {kind}): {text} ({_summarize(body)})")

    value = read_value(body, complain)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise complain(f"json: cannot unmarshal {name_type(value)} into Go value of type {HEADER}")
    return value


def _summarize(body: bytes) -> str:
    shown = body[:SUMMARY_BYTES]
    text = shown.decode(errors="replace") if shown.startswith(b"{") else shown.hex() or "<empty>"
    return f"{text} ..." if len(body) > SUMMARY_BYTES else text


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


class UndecodableError(Exception):
    """A tree is no object of the kind that is wanted; the message says why."""


def decode_as(resource: Resource, raw: Any, *, validation: str) -> Decoded:
    """An object of the resource's kind. `validation`: Ignore, Warn or Strict (KEP-2885). Raises StatusError 400."""
    try:
        return decode_object(resource, raw, validation=validation)
    except UndecodableError as error:
        if not isinstance(raw, dict):
            raise bad_request(str(error)) from error
        version = str(raw.get("apiVersion") or resource.version).rpartition("/")[2]
        kind = raw.get("kind") or resource.kind
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {resource.kind}: {error}') from error


def decode_object(resource: Resource, raw: Any, *, validation: str) -> Decoded:
    """As `decode_as`, with the bare reason.

    Raises:
        UndecodableError
        StatusError: 400 for the same objects in another version than the URL's.
    """
    raw = {} if raw is None else raw
    if not isinstance(raw, dict):
        why = f"json: cannot unmarshal {name_type(raw)} into Go value of type {HEADER}"
        raise UndecodableError(f"couldn't get version/kind; json parse error: {why}")
    api_version, kind = raw.get("apiVersion") or resource.group_version, raw.get("kind") or resource.kind
    if (api_version, kind) != (resource.group_version, resource.kind):
        raise _other_kind(resource, api_version, kind)
    return _decode_tree(resource.schema, {**raw, "apiVersion": api_version, "kind": kind}, validation)


def _other_kind(resource: Resource, api_version: Any, kind: Any) -> Exception:
    found = find_kind(api_version, kind)
    if found is None:
        scheme = "pkg/api/legacyscheme/scheme.go:30"
        return UndecodableError(f'no kind "{kind}" is registered for version "{api_version}" in scheme "{scheme}"')
    if found.stored == resource.stored:
        expected = resource.group_version
        return bad_request(f"the API version in the data ({api_version}) does not match the expected API version ({expected})")
    package = resource.group.partition(".")[0] or "core"
    return UndecodableError(
        f"converting ({found.version}.{found.kind}) to ({package}.{resource.kind}): unknown conversion",
    )


def _decode_tree(schema: Struct, raw: Object, validation: str) -> Decoded:
    try:
        item, unknown = decode(schema, raw)
    except MalformedError as error:
        raise UndecodableError(str(error)) from error
    texts = tuple(f'unknown field "{path}"' for path in unknown)
    if texts and validation == "Strict":
        raise UndecodableError(f"strict decoding error: {', '.join(texts)}")
    return Decoded(item=item, warnings=() if validation == "Ignore" else texts)


def decode_schema(schema: Struct, raw: Object, version: str, validation: str) -> Decoded:
    """By a type that need not be a resource's, such as Scale. Raises StatusError 400."""
    try:
        return _decode_tree(schema, raw, validation)
    except UndecodableError as error:
        raise bad_request(f'{schema.name} in version "{version}" cannot be handled as a {schema.name}: {error}') from error


def place_object(item: Object, target: Target) -> None:
    """Check the object's name and namespace against the URL's, and fill them in. Raises StatusError 400."""
    metadata = item.setdefault("metadata", {})
    if target.name:
        if not metadata.get("name"):
            raise bad_request(f"the name of the object ({target.name} based on URL) was undeterminable: name must be provided")
        if metadata["name"] != target.name:
            raise bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})")
    if target.resource.is_namespaced:
        namespace = target.namespace or ""
        if metadata.get("namespace") not in (None, "", namespace):
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
