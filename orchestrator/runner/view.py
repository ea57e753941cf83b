"""The cluster as its events tell it. A fold: `add` each event in the order of arrival, then ask. Touches nothing."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.model.history import Event
from orchestrator.model.plan import PathPlan
from orchestrator.runner.routing_view import RoutingView


class EndpointState(StrEnum):
    READY = "ready"
    NOT_READY = "not-ready"
    TERMINATING = "terminating"


class ServerState(StrEnum):
    """The verdict of HAProxy's health checks; a server that is not checked stays as it was added."""

    ADDED = "added"
    UP = "up"
    DOWN = "down"


_ENDPOINT = {
    "endpoint-ready": EndpointState.READY,
    "endpoint-not-ready": EndpointState.NOT_READY,
    "endpoint-terminating": EndpointState.TERMINATING,
}
_SERVER = {
    "server-added": ServerState.ADDED,
    "server-up": ServerState.UP,
    "server-down": ServerState.DOWN,
}
_DRAINING = {"server-drain": True, "server-undrain": False}


class ClusterView:
    """What docs/contracts.md section 2 reports, folded into the present state."""

    def __init__(self) -> None:
        self.nodes: dict[str, bool] = {}
        """Node -> whether the control plane holds it Ready."""
        self.servers: defaultdict[str, dict[str, ServerState]] = defaultdict(dict)
        """HAProxy backend -> server (= node) -> its state."""
        self._draining: set[tuple[str, str]] = set()
        self._endpoints: defaultdict[str, dict[str, tuple[EndpointState, str]]] = defaultdict(dict)
        self._node_of: dict[str, str] = {}
        self._rules: defaultdict[str, dict[str, frozenset[str]]] = defaultdict(dict)
        self._committed_ns: dict[str, int] = {}
        """Node -> when it last committed rules."""
        self.routing = RoutingView()

    def add(self, event: Event) -> bool:
        """Whether the event says something about the cluster."""
        is_about_routes = self.routing.add(event)
        text = {key: value for key, value in event.fields.items() if isinstance(value, str)}
        if event.event in _ENDPOINT:
            self._endpoints[text["service"]][text["endpoint"]] = (_ENDPOINT[event.event], text.get("node", ""))
            self._node_of[text["endpoint"]] = text.get("node", "")
        elif event.event == "endpoint-removed":
            self._endpoints[text["service"]].pop(text["endpoint"], None)
        elif event.event in ("node-ready", "node-not-ready"):
            self.nodes[text["node"]] = event.event == "node-ready"
        elif event.event == "node-deleted":
            self.nodes.pop(text["node"], None)
            # Logs that are read again come one container after the other: a node of the same name may have told more since.
            if self._committed_ns.get(text["node"], 0) <= event.t_mono_ns:
                self._rules.pop(text["node"], None)
        elif event.event in _SERVER:
            self.servers[text["backend"]][text["server"]] = _SERVER[event.event]
        elif event.event in _DRAINING:
            (self._draining.add if _DRAINING[event.event] else self._draining.discard)((text["backend"], text["server"]))
        elif event.event == "server-removed":
            self.servers[text["backend"]].pop(text["server"], None)
            self._draining.discard((text["backend"], text["server"]))
        elif event.event == "rules-committed":
            self._committed_ns[text["node"]] = event.t_mono_ns
            self._commit(text["node"], event.fields.get("endpoints"))
        elif event.event == "booted":
            # A container that starts anew has lost its rules.
            self._rules.pop(event.container, None)
        else:
            return is_about_routes
        return True

    def _commit(self, node: str, endpoints: object) -> None:
        if isinstance(endpoints, Mapping):
            for port, addresses in endpoints.items():
                self._rules[node][str(port)] = frozenset(map(str, addresses))

    def ready_endpoints(self, service: str) -> Set[str]:
        return {name for name, (state, _) in self._endpoints[service].items() if state is EndpointState.READY}

    def endpoints_on(self, nodes: Iterable[str]) -> Set[str]:
        """Endpoints of any service and in any state on these nodes."""
        wanted = set(nodes)
        return {name for group in self._endpoints.values() for name, (_, node) in group.items() if node in wanted}

    def endpoints_ever_on(self, nodes: Iterable[str]) -> Set[str]:
        """The same, with those that are gone."""
        wanted = set(nodes)
        return {name for name, node in self._node_of.items() if node in wanted}

    def programmed(self, node: str, service: str) -> Set[str]:
        """Endpoints of all ports of a service in the node's committed rules."""
        ports = (addresses for port, addresses in self._rules[node].items() if port.rpartition(":")[0] == service)
        return frozenset().union(*ports)

    def programmed_anywhere(self, endpoints: Set[str]) -> Mapping[str, Set[str]]:
        """Node -> which of these endpoints its committed rules still have; nodes without any are left out."""
        found = {node: frozenset().union(*ports.values()) & endpoints for node, ports in self._rules.items()}
        return {node: left for node, left in found.items() if left}

    def lacking_nodes(self, nodes: Iterable[str]) -> list[str]:
        return [f"{node} is not Ready" for node in nodes if not self.nodes.get(node, False)]

    def lacking_rules(self, nodes: Iterable[str], services: Iterable[str]) -> list[str]:
        """What these nodes' rules still lack of the services' ready endpoints; a service without any lacks them all."""
        lacking: list[str] = []
        asked = tuple(nodes)
        for service in services:
            ready = self.ready_endpoints(service)
            if not ready:
                lacking.append(f"{service} has no ready endpoint")
            for node in asked:
                if missing := ready - self.programmed(node, service):
                    lacking.append(f"rules of {node} lack {', '.join(sorted(missing))} of {service}")
        return lacking

    def lacking_servers(self, nodes: Iterable[str], backends: Mapping[str, "BackendNeeds"]) -> list[str]:
        """What keeps these nodes from getting connections of these backends (see `backends_of`)."""
        asked = tuple(nodes)
        lacking: list[str] = []
        for backend, needs in backends.items():
            for node in asked:
                if needs.local_to is not None and not self._has_ready_endpoint(node, needs.local_to):
                    continue
                state = self.servers[backend].get(node)
                if self.is_draining(backend, node):
                    lacking.append(f"server {node} of backend {backend} is draining")
                elif state is None or (needs.is_checked and state is not ServerState.UP):
                    lacking.append(f"server {node} of backend {backend} is {state or 'not there'}")
        return lacking

    def lacking_routes(self, nodes: Iterable[str], paths: Iterable[PathPlan]) -> list[str]:
        """What keeps the routed paths from leading to these nodes; with policy Local to those that have an endpoint."""
        asked = tuple(nodes)
        lacking: list[str] = []
        for path in paths:
            is_local = bool(path.settings.get("needs_local_endpoint"))
            chosen = [node for node in asked if not is_local or self._has_ready_endpoint(node, path.service)]
            lacking += self.routing.lacking(chosen, [path])
        return lacking

    def _has_ready_endpoint(self, node: str, service: str) -> bool:
        return any(entry == (EndpointState.READY, node) for entry in self._endpoints[service].values())

    def is_draining(self, backend: str, server: str) -> bool:
        return (backend, server) in self._draining


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendNeeds:
    """When a server of one HAProxy backend is as it should be."""

    is_checked: bool = True
    local_to: str | None = None
    """The service of which a node must have a ready endpoint of its own to be up; None: any node is."""


def backends_of(paths: Iterable[PathPlan]) -> Mapping[str, BackendNeeds]:
    """HAProxy backends of these paths."""
    backends: dict[str, BackendNeeds] = {}
    for path in paths:
        if path.frontend is not None:
            settings = path.settings.get("haproxy")
            backends[path.frontend] = BackendNeeds(
                is_checked=bool(settings.get("checks", True)) if isinstance(settings, Mapping) else True,
                local_to=path.service if path.settings.get("needs_local_endpoint") else None,
            )
    return backends
