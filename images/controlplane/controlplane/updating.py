"""What an update may change of an object, and what of it stays whatever the client sends. Pure.

Source: kubernetes, apiserver, registry/rest (BeforeUpdate) and registry/generic/registry/store.go (Update).
"""

from __future__ import annotations

from controlplane.errors import conflict, invalid, invalid_value, unclassified
from controlplane.kinds.resource import Resource
from controlplane.objects import Object, spec_of

UINT64_DIGITS = 19
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
    for field in ("name", "namespace", "uid", "creationTimestamp", "generation", "deletionTimestamp"):
        _copy_field(metadata, old, field)
    _copy_field(metadata, old, "deletionGracePeriodSeconds")
    metadata["resourceVersion"] = old["resourceVersion"]


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
    for field in ("labels", "annotations", "managedFields"):
        _copy_field(metadata, item["metadata"], field)
    merged = {**before, "metadata": metadata, "spec": _fresh(spec_of(before))}
    if "spec" not in before:
        del merged["spec"]
    merged["status"] = item.get("status") or {}
    return merged


def desired_part(item: Object) -> Object:
    """What a generation counts the changes of."""
    return {key: value for key, value in item.items() if key not in ("metadata", "status", "apiVersion", "kind")}


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
