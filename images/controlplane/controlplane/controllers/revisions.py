"""Which ReplicaSet stands for which template of a Deployment, and what is written on it. Pure.

Source: kubernetes, pkg/controller/deployment/util/deployment_util.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from controlplane.controllers.rollout import Replicas
from controlplane.identity import hash_text
from controlplane.kinds.workloads import resolve_share
from controlplane.objects import Object, annotations_of, namespace_of, owner_reference, spec_of, status_of

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
PAST_REVISIONS = "deployment.kubernetes.io/revision-history"
PAST_REVISIONS_LIMIT = 2000
"""Characters."""
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def render_replicaset(deployment: Object, owned: Sequence[Object]) -> Object:
    """The ReplicaSet of the Deployment's template, of the size that it may have beside the others."""
    spec = spec_of(deployment)
    template = spec["template"]
    text = json.dumps(template, sort_keys=True) + str(status_of(deployment).get("collisionCount", 0))
    digest = hash_text(text)
    labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: digest}
    selector = spec["selector"]
    kept = told_of(deployment)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{deployment['metadata']['name']}-{digest}",
            "namespace": namespace_of(deployment),
            "labels": labels,
            "annotations": {**kept, REVISION: str(revision_after(owned)), **bounds_of(deployment)},
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {
            "replicas": first_size(deployment, owned),
            "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}},
            "template": {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}},
            "minReadySeconds": spec.get("minReadySeconds", 0),
        },
    }


def first_size(deployment: Object, owned: Sequence[Object]) -> int:
    """Of a new ReplicaSet (NewRSNewReplicas, before it has any)."""
    wanted: int = spec_of(deployment)["replicas"]
    if spec_of(deployment)["strategy"]["type"] == "Recreate":
        return wanted
    surge, _ = shares_of(deployment)
    others: int = sum(spec_of(item).get("replicas", 0) for item in owned)
    return max(0, min(wanted, wanted + surge - others))


def with_past_revision(annotations: Mapping[str, str], revision: str) -> dict[str, str]:
    """The annotations of a ReplicaSet that was another revision once more (SetNewReplicaSetAnnotations)."""
    past = [text for text in annotations.get(PAST_REVISIONS, "").split(",") if text]
    while past and len(",".join([*past, revision])) > PAST_REVISIONS_LIMIT:
        past.pop(0)
    return {**annotations, PAST_REVISIONS: ",".join([*past, revision])}


def bounds_of(deployment: Object) -> dict[str, str]:
    """Annotations: how many replicas there should be, and at most, when the ReplicaSet was scaled last."""
    wanted = spec_of(deployment)["replicas"]
    surge, _ = shares_of(deployment)
    return {DESIRED: str(wanted), MAXIMUM: str(wanted + surge)}


def count_replicas(item: Object) -> Replicas:
    annotations, status = annotations_of(item), status_of(item)
    # Until the ReplicaSet controller has seen the latest size, its counts are those of another one.
    return Replicas(
        name=item["metadata"]["name"],
        wanted=spec_of(item).get("replicas", 0),
        available=status.get("availableReplicas", 0),
        desired=_number(annotations.get(DESIRED)),
        maximum=_number(annotations.get(MAXIMUM)),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None


def told_of(deployment: Object) -> dict[str, str]:
    """Its annotations but those that are its own (deployment_util.go, annotationsToSkip)."""
    own = (LAST_APPLIED, REVISION, PAST_REVISIONS, DESIRED, MAXIMUM)
    return {name: value for name, value in annotations_of(deployment).items() if name not in own}


def shares_of(deployment: Object) -> tuple[int, int]:
    """maxSurge and maxUnavailable as counts; both 0 would be a standstill, so the latter is then 1."""
    spec = spec_of(deployment)
    rolling = (spec.get("strategy") or {}).get("rollingUpdate")
    if rolling is None:
        return 0, 0
    total = spec["replicas"]
    surge = resolve_share(rolling.get("maxSurge", 0), total, round_up=True)
    unavailable = resolve_share(rolling.get("maxUnavailable", 0), total, round_up=False)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def find_current(deployment: Object, owned: Sequence[Object]) -> Object | None:
    """The ReplicaSet of the Deployment's template, the oldest if there are several."""
    return next((item for item in owned if has_template_of(deployment, item)), None)


def has_template_of(deployment: Object, replicaset: Object) -> bool:
    """The same but for the hash (EqualIgnoreHash)."""
    return _plain(spec_of(deployment)["template"]) == _plain(spec_of(replicaset)["template"])


def _plain(template: Object) -> Object:
    metadata = dict(template.get("metadata") or {})
    labels = {key: value for key, value in (metadata.pop("labels", None) or {}).items() if key != HASH_LABEL}
    return {"metadata": metadata, "labels": labels, "spec": template.get("spec")}


def revision_of(item: Object) -> int:
    return _number(annotations_of(item).get(REVISION)) or 0


def revision_after(owned: Sequence[Object]) -> int:
    return max(map(revision_of, owned), default=0) + 1
