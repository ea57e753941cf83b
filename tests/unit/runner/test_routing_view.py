"""Who leads packets where, folded from the watchers' events."""

from orchestrator.model.history import Event
from orchestrator.model.plan import Expectation, PathPlan
from orchestrator.model.routing import KEY, Bgp, Routing, Vrrp
from orchestrator.runner.routing_view import RoutingView
from orchestrator.runner.view import ClusterView

BGP = Bgp(address="10.3.241.154", hold_time_s=9, keepalive_s=3, bfd_interval_s=None, bfd_multiplier=0, is_shared=True)
STANDBY = Bgp(address="10.3.241.154", hold_time_s=9, keepalive_s=3, bfd_interval_s=None, bfd_multiplier=0, is_shared=False)
VRRP = Vrrp(address="10.100.0.251", advert_interval_s=1.0, is_preempting=True, priorities={})
DESTINATION = "10.3.241.154/32"


def path_of(routing: Routing, **settings: object) -> PathPlan:
    return PathPlan(
        name="path",
        kind=routing.kind,
        url="http://10.3.241.154/",
        expect=Expectation.OK,
        service="default/web",
        entry_nodes=(),
        settings={KEY: routing.to_settings(), **settings},
    )


def told(name: str, source: str = "gateway/routes", **fields: object) -> Event:
    return Event(t_mono_ns=1, source=source, event=name, fields=fields)


def session(node: str, *, up: bool = True) -> Event:
    return told("bgp-session-up" if up else "bgp-session-down", path="path", node=node)


def route(node: str, *, added: bool = True) -> Event:
    return told("route-added" if added else "route-withdrawn", destination=DESTINATION, node=node)


def lacking(routing: Routing, *events: Event) -> list[str]:
    view = RoutingView()
    for event in events:
        view.add(event)
    return view.lacking(["node-1", "node-2"], [path_of(routing)])


def test_shared_route_needs_session_and_next_hop_of_every_node() -> None:
    assert lacking(BGP, session("node-1"), session("node-2"), route("node-1"), route("node-2")) == []
    assert lacking(BGP, session("node-1"), route("node-1")) == [
        "node-2 has no BGP session for path",
        "the gateway has no route for path by node-2",
    ]


def test_standby_needs_every_session_but_one_next_hop() -> None:
    assert lacking(STANDBY, session("node-1"), session("node-2"), route("node-2")) == []
    assert lacking(STANDBY, session("node-1"), session("node-2")) == ["the gateway has no route for path"]


def test_what_was_withdrawn_lacks_again() -> None:
    both = (session("node-1"), session("node-2"), route("node-1"), route("node-2"))
    assert lacking(BGP, *both, route("node-1", added=False)) == ["the gateway has no route for path by node-1"]
    assert lacking(BGP, *both, session("node-1", up=False)) == ["node-1 has no BGP session for path"]
    assert len(lacking(BGP, *both, told("booted", "gateway/init"))) == 4


def test_virtual_address_needs_one_node_that_has_it() -> None:
    acquired = told("vip-acquired", "node-2/routes", address="10.100.0.251", node="node-2")
    assert lacking(VRRP, acquired) == []
    without = ["no node has the virtual address 10.100.0.251 of path"]
    assert lacking(VRRP) == without
    assert lacking(VRRP, acquired, told("booted", "node-2/init")) == without
    assert lacking(VRRP, acquired, told("vip-released", "node-2/routes", address="10.100.0.251", node="node-2")) == without


def test_policy_local_waits_for_nodes_with_an_endpoint_only() -> None:
    view = ClusterView()
    endpoint = told("endpoint-ready", "controlplane/api", service="default/web", endpoint="10.0.1.2:80", node="node-1")
    for event in (endpoint, session("node-1"), route("node-1")):
        assert view.add(event)
    assert view.lacking_routes(["node-1", "node-2"], [path_of(BGP, needs_local_endpoint=True)]) == []
    assert len(view.lacking_routes(["node-1", "node-2"], [path_of(BGP)])) == 2
