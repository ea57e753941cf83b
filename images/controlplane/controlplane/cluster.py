"""Writes as Kubernetes does them, whoever asks: defaults, validation, admission, versions, graceful deletion, finalizers.

The HTTP API and the controllers go through here; only status writes of controllers go to the store directly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from controlplane.admission import Admit, keep_admitted
from controlplane.clock import Clock, render_time
from controlplane.errors import (
    FieldError,
    already_exists,
    conflict,
    forbidden,
    invalid,
    invalid_value,
    not_found,
    unclassified,
)
from controlplane.identity import Identities
from controlplane.kinds.metadata import check_metadata
from controlplane.kinds.resource import Resource
from controlplane.objects import Key, Object, is_pod_finished, is_terminating, key_of, spec_of
from controlplane.store.store import ExistsError, Store

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
HOLDING = {"Foreground": FOREGROUND, "Orphan": ORPHAN}
"""Finalizers that hold an owner until the garbage collector has dealt with its dependents."""
PROTECTED_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
COMPLETION_ATTEMPTS = 8
UINT64_DIGITS = 19
STATUS_METADATA = ("labels", "annotations", "managedFields")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOptions:
    """`meta/v1 DeleteOptions`."""

    grace_period_s: int | None = None
    propagation: str = "Background"
    uid: str | None = None
    resource_version: str | None = None
    is_dry_run: bool = False


class Cluster:
    """The store behind Kubernetes' rules."""

    def __init__(self, *, store: Store, clock: Clock, identities: Identities, admissions: Mapping[str, Admit]) -> None:
        self.store = store
        self.clock = clock
        self.identities = identities
        self._admissions = admissions

    def now(self) -> str:
        return render_time(self.clock.now())

    def get(self, resource: Resource, key: Key) -> Object:
        """Raises StatusError 404."""
        item = self.store.find(resource.stored, *key)
        if item is None:
            raise not_found(resource.group, resource.plural, key[1])
        return item

    def create(self, resource: Resource, item: Object, *, is_dry_run: bool = False) -> Object:
        """Create from a tree that this call may change. Raises StatusError."""
        metadata = item.setdefault("metadata", {})
        if _version_of(metadata):
            raise unclassified("resourceVersion should not be set on objects to be created")
        self._check_namespace(resource, metadata.get("namespace", ""))
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = self._complete(resource, metadata)
        for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"):
            metadata.pop(name, None)
        metadata["uid"] = self.identities.uid()
        metadata["creationTimestamp"] = self.now()
        if resource.has_generation:
            metadata["generation"] = 1
        if resource.has_status and not resource.keeps_status_on_create:
            item["status"] = {}
        resource.default(item)
        resource.prepare_create(item)
        self._validate(resource, item, None)
        if admit := self._admissions.get(resource.stored):
            admit(item, None)
        if self.store.find(resource.stored, *key_of(item)) is not None:
            raise already_exists(resource.group, resource.plural, metadata["name"])
        if is_dry_run:
            return item
        try:
            return self.store.create(resource.stored, item)
        except ExistsError:
            raise already_exists(resource.group, resource.plural, metadata["name"]) from None

    def _complete(self, resource: Resource, metadata: Object) -> str:
        for _ in range(COMPLETION_ATTEMPTS):
            name = self.identities.complete(metadata["generateName"])
            if self.store.find(resource.stored, metadata.get("namespace", ""), name) is None:
                return name
        raise already_exists(resource.group, resource.plural, metadata["generateName"])

    def _check_namespace(self, resource: Resource, namespace: str) -> None:
        if not resource.is_namespaced:
            return
        found = self.store.find("namespaces", "", namespace)
        if found is None:
            raise not_found("", "namespaces", namespace)
        if is_terminating(found):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(resource.group, resource.plural, "", why)

    def update(
        self,
        resource: Resource,
        key: Key,
        change: Callable[[Object], Object],
        *,
        subresource: str = "",
        is_dry_run: bool = False,
    ) -> Object:
        """Replace an object by what `change` makes of it: a fresh tree, which this call may change. Raises StatusError."""
        before = self.get(resource, key)
        item = change(before)
        self._check_identity(resource, item, before)
        item = self._merge_status(resource, item, before, subresource)
        resource.default(item)
        resource.prepare_update(item, before)
        if resource.has_generation and _desired(resource, item) != _desired(resource, before):
            item["metadata"]["generation"] = before["metadata"].get("generation", 1) + 1
        admit = self._admissions.get(resource.stored, keep_admitted)
        # Who replaces a pod need not know the tolerations that every pod gets, and whose loss is refused.
        is_early = resource.stored == "pods"
        if is_early and not subresource:
            admit(item, before)
        self._validate(resource, item, before)
        if not is_early:
            admit(item, before)
        if is_dry_run:
            return item
        if is_terminating(item) and self._may_vanish(resource, item):
            # What was held back by its last finalizer goes with it.
            self.store.update(resource.stored, item)
            return self.store.delete(resource.stored, key)
        return self.store.update(resource.stored, item)

    def _check_identity(self, resource: Resource, item: Object, before: Object) -> None:
        metadata, old = item.setdefault("metadata", {}), before["metadata"]
        name = old["name"]
        if metadata.get("uid") not in (None, "", old["uid"]):
            why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {old['uid']}"
            raise conflict(resource.group, resource.plural, name, why)
        version = _version_of(metadata)
        if version is None:
            raise unclassified(f'strconv.ParseUint: parsing "{metadata["resourceVersion"]}": invalid syntax')
        if version == 0 and resource.needs_version:
            error = invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
            # With the resource where the kind belongs, as in registry/generic/registry/store.go.
            raise invalid(resource.plural, resource.group, name, [error])
        if version not in (0, int(old["resourceVersion"])):
            raise conflict(resource.group, resource.plural, name)
        if metadata.get("name") not in (None, "", name):
            error = invalid_value("metadata.name", metadata["name"], "field is immutable")
            raise invalid(resource.kind, resource.group, name, [error])
        errors = [
            invalid_value(f"metadata.{field}", metadata[field], "field is immutable")
            for field in ("deletionTimestamp", "deletionGracePeriodSeconds")
            if metadata.get(field) is not None and metadata[field] != old.get(field)
        ]
        if errors:
            raise invalid(resource.kind, resource.group, name, errors)
        for field in ("name", "namespace", "uid", "creationTimestamp", "generation", "deletionTimestamp"):
            _copy_field(metadata, old, field)
        _copy_field(metadata, old, "deletionGracePeriodSeconds")
        metadata["resourceVersion"] = old["resourceVersion"]

    def _merge_status(self, resource: Resource, item: Object, before: Object, subresource: str) -> Object:
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

    def _validate(self, resource: Resource, item: Object, before: Object | None) -> None:
        old = None if before is None else before["metadata"]
        errors: list[FieldError] = list(check_metadata(item["metadata"], old, resource.name_rule))
        errors += resource.validate(item, before)
        if errors:
            raise invalid(resource.kind, resource.group, item["metadata"].get("name", ""), errors)

    def delete(self, resource: Resource, key: Key, options: DeleteOptions) -> tuple[Object, bool]:
        """Delete, or begin to; returns the object and whether it is gone. Raises StatusError."""
        item = self.get(resource, key)
        metadata = item["metadata"]
        self._check_preconditions(resource, item, options)
        if resource.stored == "namespaces" and key[1] in PROTECTED_NAMESPACES:
            raise forbidden("", "namespaces", key[1], "this namespace may not be deleted")
        if options.is_dry_run:
            return item, True
        finalizers = list(metadata.get("finalizers") or ())
        holding = HOLDING.get(options.propagation)
        if holding is not None and holding not in finalizers and not is_terminating(item):
            finalizers.append(holding)
        grace_s = self._grace_s(resource, item, options)
        if not finalizers and grace_s == 0 and resource.stored != "namespaces":
            return self._show_deleted(resource, self.store.delete(resource.stored, key)), True
        old_grace_s = metadata.get("deletionGracePeriodSeconds")
        if (
            is_terminating(item)
            and (old_grace_s is None or grace_s >= old_grace_s)
            and finalizers == metadata.get("finalizers", [])
        ):
            return item, False
        # The storage of namespaces counts no grace period.
        marked = metadata if resource.stored == "namespaces" else {**metadata, "deletionGracePeriodSeconds": grace_s}
        marked = dict(marked)
        if old_grace_s is None or grace_s < old_grace_s:
            marked["deletionTimestamp"] = render_time(self.clock.now() + timedelta(seconds=grace_s))
        if finalizers:
            marked["finalizers"] = finalizers
        if resource.has_generation:
            marked["generation"] = metadata.get("generation", 1) + 1
        changed = {**item, "metadata": marked}
        if resource.stored == "namespaces":
            changed["status"] = {**(item.get("status") or {}), "phase": "Terminating"}
        return self.store.update(resource.stored, changed), False

    def _check_preconditions(self, resource: Resource, item: Object, options: DeleteOptions) -> None:
        metadata = item["metadata"]
        for title, wanted, actual in (
            ("UID", options.uid, metadata["uid"]),
            ("ResourceVersion", options.resource_version, metadata["resourceVersion"]),
        ):
            if wanted not in (None, actual):
                hint = "deleted and then recreated" if title == "UID" else "modified"
                why = f"the {title} in the precondition ({wanted}) does not match the {title} in record ({actual})"
                # With the kind where the resource belongs, as in registry/rest/delete.go.
                raise conflict(resource.group, resource.kind, metadata["name"], f"{why}. The object might have been {hint}")

    def _show_deleted(self, resource: Resource, item: Object) -> Object:
        """A pod that goes at once is answered as one that has had its grace."""
        if resource.stored != "pods":
            return item
        marks = {"deletionTimestamp": self.now(), **item["metadata"], "deletionGracePeriodSeconds": 0}
        return {**item, "metadata": marks}

    @staticmethod
    def _grace_s(resource: Resource, item: Object, options: DeleteOptions) -> int:
        """Only pods take time to go, and only those that run (registry/core/pod/strategy.go, CheckGracefulDelete)."""
        if resource.stored != "pods":
            return 0
        spec = spec_of(item)
        if not spec.get("nodeName") or is_pod_finished(item):
            return 0
        if options.grace_period_s is None:
            return int(spec.get("terminationGracePeriodSeconds", 30))
        # A negative one is a second (registry/rest/delete.go, BeforeDelete).
        return options.grace_period_s if options.grace_period_s >= 0 else 1

    @staticmethod
    def _may_vanish(resource: Resource, item: Object) -> bool:
        if item["metadata"].get("finalizers"):
            return False
        if resource.stored == "namespaces":
            return False  # the namespace controller removes it once it is empty
        return bool(item["metadata"].get("deletionGracePeriodSeconds", 0) == 0)


def _version_of(metadata: Object) -> int | None:
    """0 for any version (registry/generic/registry/store.go, Update), None for a text that is none."""
    text = metadata.get("resourceVersion") or "0"
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= UINT64_DIGITS else None


def _copy_field(target: Object, source: Object, field: str) -> None:
    if field in source:
        target[field] = source[field]
    else:
        target.pop(field, None)


def _desired(resource: Resource, item: Object) -> Object:
    """What a generation counts the changes of: of a Deployment its annotations too (registry/apps/deployment/strategy.go)."""
    desired = {key: value for key, value in item.items() if key not in ("metadata", "status", "apiVersion", "kind")}
    if resource.stored == "deployments":
        desired["annotations"] = item["metadata"].get("annotations") or {}
    return desired


def _fresh(tree: Object) -> Object:
    """A copy that may be changed without changing what is committed."""
    copied: Object = {}
    for key, value in tree.items():
        copied[key] = _fresh(value) if isinstance(value, dict) else _fresh_list(value) if isinstance(value, list) else value
    return copied


def _fresh_list(items: list[object]) -> list[object]:
    return [_fresh(item) if isinstance(item, dict) else _fresh_list(item) if isinstance(item, list) else item for item in items]
