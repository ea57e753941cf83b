"""What a kind of frontend gives: the backends whose servers follow the cluster, and its sections of haproxy.cfg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from lbagent.servers import Server


class Check(StrEnum):
    """What a health check asks."""

    TCP = "tcp"
    """A connection to the node port, which ends at a pod on any node."""
    HTTP_HEALTHZ = "http-healthz"
    """kube-proxy's /healthz on the node: 503 while its rules are stale or the node is about to be deleted (KEP-3836)."""
    HEALTH_CHECK_NODE_PORT = "health-check-node-port"
    """The Service's healthCheckNodePort: 200 only where the node has a ready endpoint of its own (policy Local)."""
    AGENT = "agent"
    """A connection to the node port, and the node's own word besides (`agent-check`): up, drain or down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A backend of HAProxy whose servers are the cluster's nodes at the node port of one service port."""

    name: str
    service: str
    """Namespace and name: `default/service-test`."""
    port: str | int | None
    """Name or number of the service port; None: the only one."""
    server_options: tuple[str, ...]
    """Words of the `server` line after the address. `add server` knows no `default-server`, so each server has them all."""
    checks: bool
    starts_down: bool
    """A server takes its first connection only after a passed check."""
    check: Check = Check.TCP


class Frontend(Protocol):
    """One entry of `settings.frontends`."""

    @property
    def name(self) -> str:
        """Name in HAProxy, in events and in the connection log."""

    def backends(self) -> tuple[Backend, ...]:
        """The backends it sends to."""

    def render(self, servers: Mapping[str, Sequence[Server]]) -> str:
        """Its sections of haproxy.cfg; `servers` by backend are those to start with."""
