"""The Eviction API: a deletion that disruption budgets may refuse (kubernetes, registry/core/pod/storage/eviction.go)."""

from __future__ import annotations

from dataclasses import replace

from controlplane.cluster import Cluster
from controlplane.controllers.disruption import is_covered, with_disruption
from controlplane.deletion import DeleteOptions
from controlplane.errors import StatusError, internal, too_many_requests
from controlplane.kinds.pod import PODS
from controlplane.objects import Key, Object, is_pod_finished, is_pod_ready, is_terminating, name_of, spec_of, status_of

REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."
CAUSE = "DisruptionBudget"


def evict_pod(cluster: Cluster, key: Key, options: DeleteOptions) -> None:
    """Delete the pod if its budget allows it.

    Raises:
        StatusError: 404; 429 when the budget is used up; 500 when two budgets cover the pod; 409 for a precondition.
    """
    pod = cluster.get(PODS, key)
    budget = _find_budget(cluster, pod)
    if budget is not None and not _is_free(pod, budget):
        _check_budget(budget)
        # Whatever else refuses the deletion must not use the budget up.
        cluster.delete(PODS, key, replace(options, is_dry_run=True))
        if not options.is_dry_run:
            cluster.store.update("poddisruptionbudgets", with_disruption(budget, name_of(pod), cluster.now()))
    cluster.delete(PODS, key, options)


def _find_budget(cluster: Cluster, pod: Object) -> Object | None:
    if is_pod_finished(pod) or is_terminating(pod) or status_of(pod).get("phase", "Pending") == "Pending":
        return None  # it serves nobody: its going disrupts nothing
    namespace = pod["metadata"].get("namespace", "")
    found = [item for item in cluster.store.items("poddisruptionbudgets", namespace) if is_covered(item, pod)]
    if len(found) > 1:
        why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise StatusError(500, "InternalError", why)
    return found[0] if found else None


def _is_free(pod: Object, budget: Object) -> bool:
    """Whether a pod that is not ready may go whatever the budget says (KEP-3017)."""
    if is_pod_ready(pod):
        return False
    if spec_of(budget).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = status_of(budget)
    desired = status.get("desiredHealthy", 0)
    return bool(desired > 0 and status.get("currentHealthy", 0) >= desired)


def _check_budget(budget: Object) -> None:
    """Raises StatusError."""
    status, name = status_of(budget), name_of(budget)
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 1):
        raise too_many_requests(REFUSED, CAUSE, f"The disruption budget {name} is still being processed by the server.")
    if status.get("disruptionsAllowed", 0) < 0:
        raise internal(f"disruption budget {name} has a negative number of allowed disruptions")
    if status.get("disruptionsAllowed", 0) == 0:
        needed, present = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        why = f"The disruption budget {name} needs {needed} healthy pods and has {present} currently"
        raise too_many_requests(REFUSED, CAUSE, why)
