"""Writes as Kubernetes does them, whoever asks: defaults, validation, admission, versions, graceful deletion, finalizers.

The HTTP API and the controllers go through here; only status writes of controllers go to the store directly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from controlplane.admission import Admit, keep_admitted
from controlplane.clock import Clock, render_time
from controlplane.deletion import HOLDING, DeleteOptions, check_preconditions, deadline_of, grace_of, may_vanish
from controlplane.errors import already_exists, forbidden, invalid, namespace_terminating, not_found, unclassified
from controlplane.field_errors import FieldError
from controlplane.identity import Identities
from controlplane.kinds.metadata import check_metadata
from controlplane.kinds.resource import Resource
from controlplane.objects import Key, Object, is_terminating, key_of
from controlplane.store.store import ExistsError, Store
from controlplane.updating import desired_part, keep_identity, merge_status, version_of

PROTECTED_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
COMPLETION_ATTEMPTS = 8


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
        if version_of(metadata):
            raise unclassified("resourceVersion should not be set on objects to be created")
        self._check_namespace(resource, metadata)
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

    def _check_namespace(self, resource: Resource, metadata: Object) -> None:
        """The admission plugin NamespaceLifecycle, which comes before a name is made up. Raises StatusError 403 or 404."""
        if not resource.is_namespaced:
            return
        namespace = metadata.get("namespace", "")
        found = self.store.find("namespaces", "", namespace)
        if found is None:
            raise not_found("", "namespaces", namespace)
        if is_terminating(found):
            name = metadata.get("name") or metadata.get("generateName") or "Unknown"
            raise namespace_terminating(resource.group, resource.plural, name, namespace)

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
        keep_identity(resource, item, before)
        item = merge_status(resource, item, before, subresource)
        resource.default(item)
        resource.prepare_update(item, before)
        if resource.has_generation and desired_part(resource, item) != desired_part(resource, before):
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
        if is_terminating(item) and may_vanish(resource, item):
            # What was held back by its last finalizer goes with it.
            self.store.update(resource.stored, item)
            return self.store.delete(resource.stored, key)
        return self.store.update(resource.stored, item)

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
        check_preconditions(resource, item, options)
        if resource.stored == "namespaces" and key[1] in PROTECTED_NAMESPACES:
            raise forbidden("", "namespaces", key[1], "this namespace may not be deleted")
        if options.is_dry_run:
            return item, True
        finalizers = list(metadata.get("finalizers") or ())
        holding = HOLDING.get(options.propagation)
        if holding is not None and holding not in finalizers and not is_terminating(item):
            finalizers.append(holding)
        grace_s = grace_of(resource, item, options)
        if not finalizers and grace_s == 0 and resource.stored != "namespaces":
            if resource.stored == "pods":
                # Whoever sees it go sees when and how (registry/rest/delete.go, BeforeDelete).
                marked = metadata | deadline_of(metadata, 0, self.clock.now())
                self.store.update(resource.stored, {**item, "metadata": marked})
            return self.store.delete(resource.stored, key), True
        old_grace_s = metadata.get("deletionGracePeriodSeconds")
        if (
            is_terminating(item)
            and (old_grace_s is None or grace_s >= old_grace_s)
            and finalizers == metadata.get("finalizers", [])
        ):
            return item, False
        marked = dict(metadata)
        if old_grace_s is None or grace_s < old_grace_s:
            marked |= deadline_of(metadata, grace_s, self.clock.now())
        if resource.stored == "namespaces":
            # Their storage counts no grace period.
            marked.pop("deletionGracePeriodSeconds", None)
        if finalizers:
            marked["finalizers"] = finalizers
        if resource.has_generation:
            marked["generation"] = metadata.get("generation", 1) + 1
        changed = {**item, "metadata": marked}
        if resource.stored == "namespaces":
            changed["status"] = {**(item.get("status") or {}), "phase": "Terminating"}
        return self.store.update(resource.stored, changed), False
