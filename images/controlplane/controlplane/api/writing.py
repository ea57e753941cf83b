"""POST, PUT and PATCH: from a request to one call of the cluster."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from controlplane.api.applying import apply_body
from controlplane.api.bodies import (
    Decoded,
    UndecodableError,
    decode_as,
    decode_object,
    media_type_of,
    place_object,
    read_body,
    read_object,
    read_value,
)
from controlplane.api.json_patches import apply_json
from controlplane.api.options import read_write_options
from controlplane.api.paths import Target
from controlplane.api.queries import read_flag
from controlplane.api.reading import answer_object, present
from controlplane.cluster import Cluster
from controlplane.errors import (
    StatusError,
    bad_request,
    invalid,
    unclassified,
    undecodable_patch,
    unroutable_media_type,
    unsupported_media_type,
)
from controlplane.kinds.registry import by_stored
from controlplane.kinds.resource import Resource
from controlplane.objects import Object
from controlplane.patching.merge import apply_merge_patch
from controlplane.patching.strategic import MalformedDirectiveError, StrategicPatchError, apply_strategic_patch
from controlplane.schema.decoding import name_type
from controlplane.schema.texts import show_go
from controlplane.updating import check_same_uid

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
PATCHES = (JSON_PATCH, MERGE, STRATEGIC, APPLY)
WARNINGS_LIMIT = 4 * 1024
WARNING_LIMIT = 256
"""Characters of all warnings together, and of each where they are more."""


def _answer(
    cluster: Cluster, target: Target, request: web.BaseRequest, item: Object, status: int, decoded: Decoded
) -> web.Response:
    response = answer_object(
        cluster, target.resource, item, accept=request.headers.get("Accept", ""), query=request.query, status=status
    )
    for text in _choose_warnings(decoded.warnings):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{escaped}"')
    return response


def _choose_warnings(texts: Iterable[str]) -> list[str]:
    """Those that a header can carry: each once, none with control characters, and no more than clients take.

    Source: apimachinery, `net.NewWarningHeader`; apiserver, endpoints/filters/warning.go (the lengths).
    """
    fit = [text for text in dict.fromkeys(texts) if not any(unicodedata.category(char) == "Cc" for char in text)]
    if sum(map(len, fit)) <= WARNINGS_LIMIT:
        return fit
    short = [text[:WARNING_LIMIT] for text in fit]
    return short[: WARNINGS_LIMIT // WARNING_LIMIT]


def to_stored(resource: Resource, item: Object, before: Object | None = None) -> tuple[Resource, Object]:
    """The resource that defines how the object is stored, and the object in its form.

    Raises:
        StatusError: it breaks a rule that holds for this group and version only; the others come later.
    """
    if resource.to_stored is None:
        return resource, item
    stored = resource.to_stored(item)
    if errors := list(resource.validate(stored, before)):
        # It is called what it is stored as, whoever wrote it.
        home = by_stored(resource.stored)
        raise invalid(home.kind, home.group, item["metadata"].get("name", ""), errors)
    return by_stored(resource.stored), stored


async def create(cluster: Cluster, target: Target, request: web.BaseRequest) -> web.Response:
    raw = await read_object(request, target.resource.kind)
    options = read_write_options(request.query, "CreateOptions")
    decoded = decode_as(target.resource, raw, validation=options.validation or "Warn")
    place_object(decoded.item, target)
    resource, item = to_stored(target.resource, decoded.item)
    created = cluster.create(resource, item, is_dry_run=options.is_dry_run)
    return _answer(cluster, target, request, created, 201, decoded)


async def replace(cluster: Cluster, target: Target, request: web.BaseRequest) -> web.Response:
    raw = await read_object(request, target.resource.kind)
    options = read_write_options(request.query, "UpdateOptions")
    decoded = decode_as(target.resource, raw, validation=options.validation or "Warn")
    place_object(decoded.item, target)
    before = cluster.store.find(target.resource.stored, *target.key)
    resource, item = to_stored(target.resource, decoded.item, before)
    is_dry_run = options.is_dry_run
    if resource.creates_on_update and not target.subresource and before is None:
        item["metadata"].pop("resourceVersion", None)
        return _answer(cluster, target, request, cluster.create(resource, item, is_dry_run=is_dry_run), 201, decoded)
    updated = cluster.update(resource, target.key, lambda _: item, subresource=target.subresource, is_dry_run=is_dry_run)
    return _answer(cluster, target, request, updated, 200, decoded)


async def patch(cluster: Cluster, target: Target, request: web.BaseRequest) -> web.Response:
    media_type = media_type_of(request)
    if media_type not in PATCHES:
        raise unroutable_media_type()
    raw = await read_body(request)
    options = read_write_options(request.query, "PatchOptions", is_apply=media_type == APPLY)
    if media_type == APPLY:
        if target.resource.to_stored is not None:
            raise unsupported_media_type((JSON_PATCH, MERGE, STRATEGIC))
        is_forced = read_flag(request.query, "force")
        applied = apply_body(cluster, target, read_value(raw, _complain_of_yaml), options, is_forced=is_forced)
        return _answer(cluster, target, request, applied.item, 201 if applied.is_new else 200, applied.decoded)
    body = read_value(raw, bad_request if media_type == STRATEGIC else _complain_of_patch)
    is_dry_run, validation = options.is_dry_run, options.validation or "Warn"
    decoded: list[Decoded] = []

    def change(before: Object) -> Object:
        patched = _patched(target.resource, media_type, present(target.resource, before), body, validation=validation)
        # What the client did not touch is known to be right; only its own fields are worth a warning.
        try:
            decoded.append(decode_object(target.resource, patched, validation=validation))
        except UndecodableError as error:
            shown = show_go(body) if media_type == STRATEGIC else json.dumps(patched, separators=(",", ":"), ensure_ascii=False)
            raise undecodable_patch(shown, str(error)) from error
        check_same_uid(target.resource, decoded[-1].item, before)
        place_object(decoded[-1].item, target)
        return to_stored(target.resource, decoded[-1].item, before)[1]

    resource = by_stored(target.resource.stored)
    updated = cluster.update(resource, target.key, change, subresource=target.subresource, is_dry_run=is_dry_run)
    return _answer(cluster, target, request, updated, 200, decoded[-1])


def _complain_of_patch(why: str) -> StatusError:
    return bad_request(f"error decoding patch: {why}")


def _complain_of_yaml(why: str) -> StatusError:
    return bad_request(f"error decoding YAML: error converting YAML to JSON: {why}")


def _patched(resource: Resource, media_type: str, before: Object, body: Any, *, validation: str = "Warn") -> Any:
    if media_type == JSON_PATCH:
        return apply_json(before, body, validation=validation)
    if body is None and media_type == MERGE:
        raise bad_request("Invalid JSON Patch")
    body = {} if body is None else body
    if not isinstance(body, dict):
        why = f"json: cannot unmarshal {name_type(body)} into Go value of type map[string]interface {{}}"
        raise bad_request(f"error decoding patch: {why}" if media_type == MERGE else why)
    if media_type == MERGE:
        return apply_merge_patch(before, body)
    try:
        patched = apply_strategic_patch(resource.schema, before, body)
    except MalformedDirectiveError as error:
        raise bad_request(str(error)) from error
    except StrategicPatchError as error:
        raise unclassified(str(error)) from error
    # The object is made from the tree without a look at what kind the tree says it is.
    return {**patched, "apiVersion": resource.group_version, "kind": resource.kind}
