"""What the manifests say of the pods behind a path: how long they answer when they are to end, how soon they are not ready."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from orchestrator.model.plan import PathPlan, Plan

_Object = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessProbe:
    """Defaults: kubernetes.io, "Configure Liveness, Readiness and Startup Probes"."""

    period_s: float
    timeout_s: float
    failure_threshold: int

    @property
    def fails_within_s(self) -> float:
        """failureThreshold probes, one a period, of which the first may be due a period later, and the last one's time-out."""
        return self.failure_threshold * self.period_s + self.timeout_s


def pre_stop_s(plan: Plan, path: PathPlan) -> float:
    """The shortest preStop sleep of any pod behind the path; 0 where one has none, or no manifest has its pods."""
    return min((_sleep_s(pod) for pod in _pods(plan, path)), default=0.0)


def find_readiness(plan: Plan, path: PathPlan) -> ReadinessProbe | None:
    """Of the pods behind the path, the one that takes longest; None where one has none, or no manifest has its pods."""
    probes = [_readiness(pod) for pod in _pods(plan, path)]
    found = [probe for probe in probes if probe is not None]
    return max(found, key=lambda probe: probe.fails_within_s) if found and len(found) == len(probes) else None


def _pods(plan: Plan, path: PathPlan) -> Iterator[_Object]:
    """Specs of the pods that the path's Service selects, or of the workload that the path names itself."""
    selector: _Object | None = None
    for item in plan.objects:
        if item.get("kind") == "Service" and _key(item) == path.service:
            selector = _inner(_inner(item, "spec"), "selector")
    for item in plan.objects:
        spec, metadata = _inner(item, "spec"), _inner(item, "metadata")
        if item.get("kind") == "Deployment":
            template = _inner(spec, "template")
            spec, metadata = _inner(template, "spec"), _inner(template, "metadata")
        elif item.get("kind") != "Pod":
            continue
        labels = _inner(metadata, "labels")
        namespace = _key(item).partition("/")[0]
        is_selected = selector and namespace == path.service.partition("/")[0] and selector.items() <= labels.items()
        if is_selected or (selector is None and _key(item) == path.service):
            yield spec


def _sleep_s(pod: _Object) -> float:
    sleeps = [_inner(_inner(_inner(item, "lifecycle"), "preStop"), "sleep").get("seconds", 0) for item in _containers(pod)]
    return min((float(cast(float, item)) for item in sleeps), default=0.0)


def _readiness(pod: _Object) -> ReadinessProbe | None:
    for item in _containers(pod):
        if probe := _inner(item, "readinessProbe"):
            return ReadinessProbe(
                period_s=float(cast(float, probe.get("periodSeconds", 10))),
                timeout_s=float(cast(float, probe.get("timeoutSeconds", 1))),
                failure_threshold=int(cast(int, probe.get("failureThreshold", 3))),
            )
    return None


def _containers(pod: _Object) -> list[_Object]:
    found = pod.get("containers")
    return [cast(_Object, item) for item in found if isinstance(item, Mapping)] if isinstance(found, list | tuple) else []


def _key(item: _Object) -> str:
    metadata = _inner(item, "metadata")
    return f"{metadata.get('namespace') or 'default'}/{metadata.get('name')}"


def _inner(item: _Object, key: str) -> _Object:
    found = item.get(key)
    return cast(_Object, found) if isinstance(found, Mapping) else {}
