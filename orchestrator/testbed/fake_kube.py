"""A Kubernetes API in memory, for tests: keeps objects and tells of every change. No controllers, no validation."""

import copy
from collections.abc import Callable, Mapping
from typing import cast

from orchestrator.model.kubernetes import BY_PLURAL, KINDS
from orchestrator.testbed.kube import ClusterError

Manifest = Mapping[str, object]
Change = Callable[[str, str, Manifest], None]
Key = tuple[str, str, str]


def merge_patch(target: object, patch: object) -> object:
    """RFC 7396."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


class FakeKube:
    """Implements contracts.Kube. `on_change` is called with (verb, resource, object) after each change."""

    def __init__(self, on_change: Change | None = None) -> None:
        self._on_change = on_change
        self._objects: dict[Key, Manifest] = {}
        self.calls: list[tuple[str, str, str]] = []

    def close(self) -> None:
        return

    def put(self, resource: str, manifest: Manifest) -> None:
        """An object that somebody else has made."""
        self._objects[_key(resource, manifest)] = manifest

    def get(self, resource: str, name: str, *, namespace: str | None = None) -> Manifest | None:
        return self._objects.get((resource, namespace or "", name))

    def list(self, resource: str, *, namespace: str | None = None, label_selector: str | None = None) -> tuple[Manifest, ...]:
        return tuple(item for key, item in self._objects.items() if key[0] == resource and namespace in (None, key[1]))

    def apply(self, manifest: Manifest) -> Manifest:
        resource = KINDS[str(manifest["kind"])].plural
        key = _key(resource, manifest)
        return self._change("apply", key, merge_patch(self._objects.get(key, {}), manifest))

    def patch(
        self, resource: str, name: str, body: Manifest, *, namespace: str | None = None, subresource: str | None = None
    ) -> Manifest:
        key = (resource, namespace or "", name)
        if key not in self._objects:
            raise ClusterError(f"PATCH {resource}/{name}: status 404: not found")
        return self._change("patch", key, merge_patch(self._objects[key], body))

    def delete(self, resource: str, name: str, *, namespace: str | None = None, grace_period_s: int | None = None) -> None:
        key = (resource, namespace or "", name)
        if key in self._objects:
            gone = self._objects.pop(key)
            self.calls.append(("delete", resource, name))
            self._tell("delete", resource, gone)

    def evict(self, pod: str, *, namespace: str) -> None:
        self.calls.append(("evict", "pods", pod))
        self.delete("pods", pod, namespace=namespace)

    def _change(self, verb: str, key: Key, changed: object) -> Manifest:
        manifest = cast(Manifest, changed)
        self._objects[key] = manifest
        self.calls.append((verb, key[0], key[2]))
        self._tell(verb, key[0], manifest)
        return manifest

    def _tell(self, verb: str, resource: str, manifest: Manifest) -> None:
        if self._on_change is not None:
            self._on_change(verb, resource, manifest)


def _key(resource: str, manifest: Manifest) -> Key:
    metadata = cast(Manifest, manifest["metadata"])
    namespace = "" if not BY_PLURAL[resource].is_namespaced else str(metadata.get("namespace", "default"))
    return resource, namespace, str(metadata["name"])
