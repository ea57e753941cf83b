"""What the run must know of the manifests: which Deployments a Service selects, and how many endpoints that makes. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

Manifest = Mapping[str, object]


def key_of(manifest: Manifest) -> str:
    """`namespace/name`."""
    metadata = _mapping(manifest["metadata"])
    return f"{metadata.get('namespace', 'default')}/{metadata['name']}"


def deployments_of(objects: Iterable[Manifest]) -> dict[str, Manifest]:
    return {key_of(item): item for item in objects if item["kind"] == "Deployment"}


def replicas_of(deployment: Manifest) -> int:
    return int(cast(int, _mapping(deployment.get("spec")).get("replicas", 1)))  # apps/v1 default


def wanted_endpoints(objects: Sequence[Manifest], replicas: Mapping[str, int] | None = None) -> dict[str, int]:
    """Service -> ready endpoints when every Deployment that it selects is available.

    `replicas` (Deployment -> count) holds where it differs from the manifest. Services without a selector are left out.
    """
    deployments = deployments_of(objects)
    counts = {key: replicas_of(item) for key, item in deployments.items()} | dict(replicas or {})
    wanted: dict[str, int] = {}
    for item in objects:
        if item["kind"] == "Service" and _mapping(_mapping(item.get("spec")).get("selector")):
            pods = sum(counts[key] for key, other in deployments.items() if selects(item, other))
            wanted[key_of(item)] = pods * _ports_per_pod(item)
    return wanted


def selects(service: Manifest, deployment: Manifest) -> bool:
    """Same namespace, and the selector meets the labels of the pod template."""
    if key_of(service).partition("/")[0] != key_of(deployment).partition("/")[0]:
        return False
    selector = _mapping(_mapping(service.get("spec")).get("selector"))
    template = _mapping(_mapping(deployment.get("spec")).get("template"))
    labels = _mapping(_mapping(template.get("metadata")).get("labels"))
    return all(labels.get(key) == value for key, value in selector.items())


def _ports_per_pod(service: Manifest) -> int:
    ports = cast(Sequence[Manifest], _mapping(service.get("spec")).get("ports", ()))
    return len({str(port.get("targetPort", port.get("port"))) for port in ports})


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
