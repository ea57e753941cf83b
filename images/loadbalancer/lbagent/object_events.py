"""Events (core/v1) about objects of the API: how a controller says in public what is wrong with one. Pure."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from typing import Any


def render_event(
    *, api_version: str, kind: str, metadata: Mapping[str, Any], reason: str, message: str, component: str
) -> Mapping[str, Any]:
    """Of the object with this `metadata`. Its name follows from what it says about which version: told twice, it is one."""
    namespace, name = metadata.get("namespace", "default"), metadata["name"]
    said = "/".join((metadata.get("uid", ""), metadata.get("resourceVersion", ""), reason, message))
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251  what people read
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name[:230]}.{hashlib.sha256(said.encode()).hexdigest()[:16]}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": api_version,
            "kind": kind,
            "namespace": namespace,
            "name": name,
            "uid": metadata.get("uid", ""),
            "resourceVersion": metadata.get("resourceVersion", ""),
        },
        "reason": reason,
        "message": message,
        "type": "Warning",
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
    }


def events_path(metadata: Mapping[str, Any]) -> str:
    """Where events of an object's namespace are created."""
    return f"/api/v1/namespaces/{metadata.get('namespace', 'default')}/events"
