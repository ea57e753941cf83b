"""What can be told of manifests before anything starts: kinds that are not served, and pods that no path would reach.

The control plane judges the rest as Kubernetes does.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.errors import Problem, ScenarioError
from orchestrator.model.kubernetes import KINDS
from orchestrator.scenario.loading import Manifest

MAX_PODS_OF_A_NODE = 110
"""The kubelet's default, `maxPods`."""
_WORKLOADS = frozenset({"Deployment", "ReplicaSet"})


def check_manifests(manifests: Sequence[Manifest], *, nodes: int) -> None:
    """Raises ScenarioError naming the first file that has a problem, with all of its problems."""
    found: dict[object, list[Problem]] = {}
    for manifest in manifests:
        for key, message, what, allowed in (
            *_check_kind(manifest),
            *_check_replicas(manifest, nodes),
            *_check_ports(manifest, manifests),
        ):
            problem = Problem(key=f"document {manifest.index}.{key}", message=message, found=what, allowed=allowed)
            found.setdefault(manifest.file, []).append(problem)
    for manifest in manifests:
        if manifest.file in found:
            raise ScenarioError(manifest.file, found[manifest.file])


_Finding = tuple[str, str, str, str]
"""Key, message, found, allowed."""


def _check_kind(manifest: Manifest) -> Iterator[_Finding]:
    kind, version = str(manifest.body["kind"]), str(manifest.body["apiVersion"])
    if kind not in KINDS:
        close = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        yield "kind", f"is not served by the control plane{hint}", repr(kind), ", ".join(sorted(KINDS))
    elif version not in KINDS[kind].api_versions:
        yield "apiVersion", f"is not served for {kind}", repr(version), ", ".join(KINDS[kind].api_versions)


def _check_replicas(manifest: Manifest, nodes: int) -> Iterator[_Finding]:
    if manifest.body["kind"] in _WORKLOADS:
        replicas = _mapping(manifest.body.get("spec")).get("replicas", 1)
        most = nodes * MAX_PODS_OF_A_NODE
        if not isinstance(replicas, int) or isinstance(replicas, bool) or not 0 <= replicas <= most:
            allowed = f"0 to {most}, {MAX_PODS_OF_A_NODE} on each of {nodes} nodes"
            yield "spec.replicas", "is not a number of pods that there can be", repr(replicas), allowed


def _check_ports(manifest: Manifest, manifests: Sequence[Manifest]) -> Iterator[_Finding]:
    """A named targetPort that no container of the pods that the Service selects has: its endpoints would have no port."""
    if manifest.body["kind"] != "Service":
        return
    spec = _mapping(manifest.body.get("spec"))
    selector = _mapping(spec.get("selector"))
    pods = [
        pod for other in manifests if selector and _namespace(other) == _namespace(manifest) for pod in _pods(other, selector)
    ]
    names = {
        str(port.get("name"))
        for pod in pods
        for container in _each(pod.get("containers"))
        for port in _each(container.get("ports"))
    }
    for place, port in enumerate(_each(spec.get("ports"))):
        target = port.get("targetPort")
        if pods and isinstance(target, str) and not target.isdecimal() and target not in names:
            allowed = ", ".join(sorted(names - {"None"})) or "a number"
            yield (
                f"spec.ports[{place}].targetPort",
                "no container of the pods that it selects names this port",
                repr(target),
                allowed,
            )


def _pods(manifest: Manifest, selector: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """The spec of the pods of a manifest, if the selector meets their labels."""
    body = manifest.body
    if body["kind"] in _WORKLOADS:
        body = _mapping(_mapping(body.get("spec")).get("template"))
    elif body["kind"] != "Pod":
        return
    labels = _mapping(_mapping(body.get("metadata")).get("labels"))
    if all(labels.get(key) == value for key, value in selector.items()):
        yield _mapping(body.get("spec"))


def _namespace(manifest: Manifest) -> object:
    return _mapping(manifest.body["metadata"]).get("namespace", "default")


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _each(value: object) -> list[Mapping[str, object]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
