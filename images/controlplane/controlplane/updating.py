"""What an update may change of an object, and what of it stays whatever the client sends. Pure.

Source: kubernetes, apiserver, registry/rest (BeforeUpdate) and registry/generic/registry/store.go (Update).
"""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.errors import conflict, invalid, unclassified
from controlplane.field_errors import FieldError, invalid_value
from controlplane.kinds.resource import Resource
from controlplane.objects import Object, spec_of

UINT64_DIGITS = 19
STATUS_METADATA = ("labels", "annotations", "managedFields")
KEPT_AS = {"services": "services/specs", "endpoints": "services/endpoints", "nodes": "minions", "ingresses": "ingress"}
"""Where etcd would have them, if not by their plural."""


def keep_identity(resource: Resource, item: Object, before: Object) -> None:
    """Give the update the metadata that nobody may change. Raises StatusError 409 or 422 where it means another object."""
    metadata, old = item.setdefault("metadata", {}), before["metadata"]
    name = old["name"]
    if metadata.get("uid") not in (None, "", old["uid"]):
        raise conflict(resource.group, resource.plural, name, _another_uid(resource, metadata["uid"], old))
    version = version_of(metadata)
    if version is None:
        raise unclassified(f'strconv.ParseUint: parsing "{metadata["resourceVersion"]}": invalid syntax')
    if resource.needs_version and version == 0:
        error = invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
        raise invalid(resource.plural, resource.group, name, [error])
    if version not in (0, int(old["resourceVersion"])):
        raise conflict(resource.group, resource.plural, name)
    if metadata.get("name") not in (None, "", name):
        error = invalid_value("metadata.name", metadata["name"], "field is immutable")
        raise invalid(resource.kind, resource.group, name, [error])
    if errors := list(_wrong_with_deletion(metadata, old)):
        raise invalid(resource.kind, resource.group, name, errors)
    for field in ("name", "namespace", "uid", "creationTimestamp", "generation", "deletionTimestamp"):
        _copy_field(metadata, old, field)
    _copy_field(metadata, old, "deletionGracePeriodSeconds")
    metadata["resourceVersion"] = old["resourceVersion"]


def _wrong_with_deletion(metadata: Object, old: Object) -> Iterator[FieldError]:
    """Only a deletion sets when an object goes; of one that goes the instant stays, whatever an update says."""
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        wanted, has = metadata.get(field), old.get(field)
        if wanted not in (None, has) and not (has and field == "deletionTimestamp"):
            yield invalid_value(f"metadata.{field}", wanted, "field is immutable")


def check_same_uid(resource: Resource, item: Object, before: Object) -> None:
    """To a PUT the UID is a precondition; in a patch it is one more field that may not change. Raises StatusError 422."""
    uid, old = item.get("metadata", {}).get("uid"), before["metadata"]
    if uid not in (None, "", old["uid"]):
        error = invalid_value("metadata.uid", uid, "field is immutable")
        raise invalid(resource.kind, resource.group, old["name"], [error])


def version_of(metadata: Object) -> int | None:
    """0 for any version (registry/generic/registry/store.go, Update), None for a text that is none."""
    text = metadata.get("resourceVersion") or "0"
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= UINT64_DIGITS else None


def _another_uid(resource: Resource, uid: str, old: Object) -> str:
    """As the API server's storage says it, with its own name for the object (apiserver, storage/errors.go)."""
    place = "/".join(filter(None, (KEPT_AS.get(resource.plural, resource.plural), old.get("namespace"), old["name"])))
    why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['uid']}"
    return f"StorageError: invalid object, Code: 4, Key: /registry/{place}, ResourceVersion: 0, AdditionalErrorMsg: {why}"


def merge_status(resource: Resource, item: Object, before: Object, subresource: str) -> Object:
    """Of a write to the status only that counts, and of any other everything else."""
    if not resource.has_status:
        return item
    if subresource != "status":
        if "status" in before:
            item["status"] = before["status"]
        else:
            item.pop("status", None)
        return item
    # Of a status write only the status counts, and what nodes annotate with it.
    metadata = dict(before["metadata"])
    # Those of a Deployment keep its labels (registry/apps/deployment/strategy.go, deploymentStatusStrategy).
    for field in ("annotations", "managedFields") if resource.stored == "deployments" else STATUS_METADATA:
        _copy_field(metadata, item["metadata"], field)
    merged = {**before, "metadata": metadata, "spec": _fresh(spec_of(before))}
    if "spec" not in before:
        del merged["spec"]
    merged["status"] = item.get("status") or {}
    return merged


def desired_part(resource: Resource, item: Object) -> Object:
    """What a generation counts the changes of: of a Deployment its annotations too (registry/apps/deployment/strategy.go)."""
    desired = {key: value for key, value in item.items() if key not in ("metadata", "status", "apiVersion", "kind")}
    if resource.stored == "deployments":
        desired["annotations"] = item["metadata"].get("annotations") or {}
    return desired


def _copy_field(target: Object, source: Object, field: str) -> None:
    if field in source:
        target[field] = source[field]
    else:
        target.pop(field, None)


def _fresh(tree: Object) -> Object:
    """A copy that may be changed without changing what is committed."""
    copied: Object = {}
    for key, value in tree.items():
        copied[key] = _fresh(value) if isinstance(value, dict) else _fresh_list(value) if isinstance(value, list) else value
    return copied


def _fresh_list(items: list[object]) -> list[object]:
    return [_fresh(item) if isinstance(item, dict) else _fresh_list(item) if isinstance(item, list) else item for item in items]
