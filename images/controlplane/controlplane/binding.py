"""Assigning a pod to a node: the scheduler's one write, and the binding subresource's."""

from __future__ import annotations

from controlplane.cluster import Cluster
from controlplane.errors import conflict
from controlplane.kinds.pod import PODS
from controlplane.objects import Key, Object, spec_of, status_of, with_condition, with_spec


def bind_pod(cluster: Cluster, key: Key, node: str, *, metadata: Object | None = None, is_dry_run: bool = False) -> Object:
    """Set the pod's node and its condition PodScheduled, once, and the annotations and labels that the binding has.

    Source: registry/core/pod/storage, BindingREST.

    Raises:
        StatusError: 404 or 409.
    """
    pod = cluster.get(PODS, key)
    if assigned := spec_of(pod).get("nodeName"):
        raise conflict("", "pods/binding", key[1], f'pod {key[1]} is already assigned to node "{assigned}"')
    entry = {"type": "PodScheduled", "status": "True"}
    others = [old for old in status_of(pod).get("conditions") or () if old.get("type") != "PodScheduled"]
    status = {**status_of(pod), "conditions": with_condition(others, entry, cluster.now())}
    marks = {
        name: {**(pod["metadata"].get(name) or {}), **added}
        for name in ("annotations", "labels")
        if (added := (metadata or {}).get(name))
    }
    bound = {**with_spec(pod, nodeName=node), "metadata": {**pod["metadata"], **marks}, "status": status}
    return bound if is_dry_run else cluster.store.update(PODS.stored, bound)
