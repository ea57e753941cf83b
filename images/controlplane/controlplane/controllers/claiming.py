"""Whose an object is: what matches an owner's selector and has no controller is adopted, what matches no more is released.

Source: kubernetes, pkg/controller/controller_ref_manager.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.cluster import Cluster
from controlplane.objects import (
    Object,
    controller_of,
    is_controlled_by,
    is_terminating,
    labels_of,
    owner_reference,
    spec_of,
    with_metadata,
)
from controlplane.selectors import matches_selector


def claim(cluster: Cluster, plural: str, owner: Object, candidates: Iterable[Object]) -> list[Object]:
    """Those of the candidates that are the owner's, as they are stored afterwards. They must be of its namespace."""
    selector, claimed = spec_of(owner)["selector"], []
    for item in candidates:
        matches = matches_selector(selector, labels_of(item))
        if is_controlled_by(item, owner):
            if matches or is_terminating(item):
                claimed.append(item)
            else:
                others = [entry for entry in item["metadata"]["ownerReferences"] if entry.get("uid") != owner["metadata"]["uid"]]
                cluster.store.update(plural, with_metadata(item, ownerReferences=others))
        elif matches and controller_of(item) is None and not is_terminating(item):
            references = [*(item["metadata"].get("ownerReferences") or ()), owner_reference(owner)]
            claimed.append(cluster.store.update(plural, with_metadata(item, ownerReferences=references)))
    return claimed
