"""Server-side apply: from a configuration to one call of the cluster (KEP-555)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controlplane.api.bodies import Decoded, decode_as, place_object
from controlplane.api.options import WriteOptions
from controlplane.api.paths import Target
from controlplane.cluster import Cluster
from controlplane.errors import StatusError, bad_request, conflict, not_found, unclassified
from controlplane.objects import Object
from controlplane.patching.apply import ApplyConflictError, DuplicateEntryError, apply_configuration
from controlplane.updating import check_same_uid

QUOTE = '"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The object as it is now, whether it was made, and what the client sent."""

    item: Object
    is_new: bool
    decoded: Decoded


def apply_body(cluster: Cluster, target: Target, body: Any, options: WriteOptions, *, is_forced: bool) -> Applied:
    """Make or change the target by a configuration. Raises StatusError."""
    resource = target.resource
    version = body.get("apiVersion", "") if isinstance(body, dict) else resource.group_version
    if version != resource.group_version:
        raise bad_request(
            f"Incorrect version specified in apply patch. Specified patch version: {version}, expected: {resource.group_version}"
        )
    if isinstance(body, dict) and isinstance(body.get("metadata"), dict) and body["metadata"].get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    decoded = decode_as(resource, body, validation="Warn")
    _check_declared(target, decoded)
    place_object(decoded.item, target)
    before = cluster.store.find(resource.stored, *target.key)

    def change(old: Object | None) -> Object:
        if old is not None:
            check_same_uid(resource, decoded.item, old)
        try:
            merged = apply_configuration(
                resource.schema,
                old,
                decoded.item,
                manager=options.manager,
                is_forced=is_forced,
                now=cluster.now(),
                api_version=resource.group_version,
                subresource=target.subresource,
            )
        except DuplicateEntryError as error:
            raise unclassified(f"failed to create typed patch object ({_name_for_apply(target)}): {error}") from error
        except ApplyConflictError as error:
            raise StatusError(409, "Conflict", str(error), {"causes": error.causes}) from error
        # The merge may share parts with the committed object.
        return decode_as(resource, merged, validation="Ignore").item

    if before is None:
        if target.subresource:
            raise not_found(resource.group, resource.plural, target.name)
        if uid := decoded.item["metadata"].get("uid"):
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise conflict(resource.group, resource.plural, target.name, why)
        created = cluster.create(resource, change(None), is_dry_run=options.is_dry_run)
        return Applied(item=created, is_new=True, decoded=decoded)
    updated = cluster.update(resource, target.key, change, subresource=target.subresource, is_dry_run=options.is_dry_run)
    return Applied(item=updated, is_new=False, decoded=decoded)


def _check_declared(target: Target, decoded: Decoded) -> None:
    """An applied configuration is of the schema, whatever fieldValidation says. Raises StatusError 500."""
    texts = [f".{text.split(QUOTE)[1]}: field not declared in schema" for text in decoded.warnings]
    if texts:
        told = texts[0] if len(texts) == 1 else "errors:" + "".join(f"\n  {text}" for text in texts)
        raise unclassified(f"failed to create typed patch object ({_name_for_apply(target)}): {told}")


def _name_for_apply(target: Target) -> str:
    resource = target.resource
    return f"{target.namespace or ''}/{target.name}; {resource.group}/{resource.version}, Kind={resource.kind}"
