"""What a load balancer is told that asks a node's healthCheckNodePort. Pure (kube-proxy's service_health).

Every node answers for every Service of type LoadBalancer with externalTrafficPolicy Local: good where a ready pod of it runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nodeagent.proxy.services import ServicePort

ServiceName = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """One Service's: `local_endpoints` counts the addresses of its ready endpoints on this node."""

    service: ServiceName
    port: int
    local_endpoints: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str


def plan_health_checks(ports: Iterable[ServicePort]) -> dict[ServiceName, HealthCheck]:
    """Of every Service that has one; its pods count once however many ports they serve."""
    found: dict[ServiceName, HealthCheck] = {}
    for port in ports:
        if port.health_check_node_port is not None:
            # Endpoints that only leave do not count, although connections still go to them.
            service = (port.namespace, port.name)
            found[service] = HealthCheck(service=service, port=port.health_check_node_port, local_endpoints=len(port.local_ready))
    return found


def render_answer(check: HealthCheck, *, proxy_healthy: bool) -> Answer:
    """Status, headers and body, to the letter."""
    namespace, name = check.service
    body = {
        "service": {"namespace": namespace, "name": name},
        "localEndpoints": check.local_endpoints,
        "serviceProxyHealthy": proxy_healthy,
    }
    return Answer(
        status=200 if check.local_endpoints and proxy_healthy else 503,
        headers={
            "Content-Type": "application/json",
            "X-Content-Type-Options": "nosniff",
            "X-Load-Balancing-Endpoint-Weight": str(check.local_endpoints),
        },
        body=json.dumps(body, indent="\t"),
    )
