"""Who leads packets of the routed paths where, as the watchers beside BIRD and keepalived tell it. A fold; touches nothing."""

from collections import defaultdict
from collections.abc import Iterable

from orchestrator.model.history import Event
from orchestrator.model.plan import PathPlan, Role
from orchestrator.model.routing import Bgp, Vrrp, routing_of


class RoutingView:
    """Next hops of the gateway's kept routes, and which node has each virtual address."""

    def __init__(self) -> None:
        self._next_hops: defaultdict[str, set[str]] = defaultdict(set)
        self._sessions: set[tuple[str, str]] = set()
        self._holders: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, event: Event) -> bool:
        """Whether the event says something about routes."""
        text = {key: value for key, value in event.fields.items() if isinstance(value, str)}
        match event.event:
            case "route-added":
                self._next_hops[text["destination"]].add(text["node"])
            case "route-withdrawn":
                self._next_hops[text["destination"]].discard(text["node"])
            case "bgp-session-up":
                self._sessions.add((text["path"], text["node"]))
            case "bgp-session-down":
                self._sessions.discard((text["path"], text["node"]))
            case "vip-acquired":
                self._holders[text["address"]].add(text["node"])
            case "vip-released":
                self._holders[text["address"]].discard(text["node"])
            case "booted":
                self._forget(event.container)
            case _:
                return False
        return True

    def lacking(self, nodes: Iterable[str], paths: Iterable[PathPlan]) -> list[str]:
        """What keeps the routed ones of these paths from leading to these nodes; a virtual address is with one of all nodes."""
        asked = tuple(nodes)
        lacking: list[str] = []
        for path in paths:
            match routing_of(path):
                case Bgp() as routing:
                    hops = self._next_hops[routing.destination]
                    lacking += [
                        f"{node} has no BGP session for {path.name}" for node in asked if (path.name, node) not in self._sessions
                    ]
                    if routing.is_shared:
                        lacking += [f"the gateway has no route for {path.name} by {node}" for node in asked if node not in hops]
                    elif not hops:
                        lacking.append(f"the gateway has no route for {path.name}")
                case Vrrp() as routing if not self._holders[routing.address]:
                    lacking.append(f"no node has the virtual address {routing.address} of {path.name}")
        return lacking

    def _forget(self, container: str) -> None:
        """A container that starts anew has neither addresses nor, as the gateway, routes and sessions."""
        if container == Role.GATEWAY:
            self._next_hops.clear()
            self._sessions.clear()
        for holders in self._holders.values():
            holders.discard(container)
