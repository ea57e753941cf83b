"""Which quality of service a pod's resources ask for; nothing here depends on it but what clients show.

Source: kubernetes, pkg/apis/core/v1/defaults.go (SetDefaults_Pod), pkg/apis/core/v1/helper/qos (ComputePodQOS).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from controlplane.objects import Object

COUNTED = ("cpu", "memory")


def default_requests(spec: Object) -> None:
    """What is limited and not requested is requested up to its limit. Of pods only, not of templates."""
    for container in _containers(spec):
        resources = container.get("resources") or {}
        if limits := resources.get("limits"):
            resources["requests"] = {**limits, **(resources.get("requests") or {})}


def quality_of(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort; of a pod whose requests are filled in."""
    asked: list[Object] = []
    limited: list[Object] = []
    for container in _containers(spec):
        resources = container.get("resources") or {}
        asked.append(_counted(resources.get("requests") or {}))
        limited.append(_counted(resources.get("limits") or {}))
    if not any(chain(asked, limited)):
        return "BestEffort"
    is_guaranteed = asked == limited and all(item.keys() == set(COUNTED) for item in limited)
    return "Guaranteed" if is_guaranteed else "Burstable"


def _containers(spec: Object) -> Iterator[Object]:
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()


def _counted(amounts: Object) -> Object:
    """An amount of nothing asks for nothing."""
    return {name: str(amounts[name]) for name in COUNTED if str(amounts.get(name) or "0") != "0"}
