"""Routed paths through the end of a node: until when it was a next hop, whose each loss is, and how long theory gives it."""

from dataclasses import replace

import pytest

from orchestrator.metrics.outage_bounds import bound_outage
from orchestrator.metrics.routed_losses import attribute_routed_losses
from orchestrator.metrics.routing import NextHops, detection_of, find_next_hops
from orchestrator.metrics.spans import Spans, measure_spans
from orchestrator.metrics.stages import find_stages
from orchestrator.model.history import Event
from orchestrator.model.plan import LoadClassPlan, PathPlan, TimingsPlan
from orchestrator.model.routing import KEY, Bgp, Routing, StaticEcmp, Vrrp
from orchestrator.model.samples import Outcome
from tests.unit.metrics.sample_builder import KILL, NODEPORT, START_NS, Request, event, history, real_plan, samples

ECMP = StaticEcmp(address="10.3.241.153", next_hops=("node-1", "node-2", "node-3"))
BGP = Bgp(address="10.3.241.154", hold_time_s=9, keepalive_s=3, bfd_interval_s=None, bfd_multiplier=0, is_shared=True)
BFD = replace(BGP, bfd_interval_s=0.1, bfd_multiplier=3)
VRRP = Vrrp(
    address="10.100.0.251", advert_interval_s=1.0, is_preempting=True, priorities={"node-1": 254, "node-2": 253, "node-3": 252}
)
TIMINGS = TimingsPlan(
    profile="fast",
    values={"node_monitor_grace_period_s": 5.0, "node_monitor_period_s": 0.5, "lease_renew_s": 1.0, "min_sync_period_s": 0.1},
)
LOAD = LoadClassPlan(path="routed", connection_class="new", url="http://10.3.241.154/", rate_rps=100.0, connections=1)


def path_of(routing: Routing) -> PathPlan:
    return replace(NODEPORT, name="routed", kind=routing.kind, frontend=None, settings={KEY: routing.to_settings()})


def route(at_s: float, node: str, *, added: bool) -> Event:
    name = "route-added" if added else "route-withdrawn"
    return event(at_s, "gateway/routes", name, destination="10.3.241.154/32", node=node)


def holder(at_s: float, node: str, *, acquired: bool = True) -> Event:
    name = "vip-acquired" if acquired else "vip-released"
    return event(at_s, f"{node}/routes", name, address="10.100.0.251", node=node, path="routed")


STANDING = [route(-2.0, f"node-{number}", added=True) for number in (1, 2, 3)]


def hops(routing: Routing, *events: Event) -> NextHops:
    found = find_next_hops(path_of(routing), KILL, history(*events), since_s=10.0, until_s=35.0)
    assert found is not None
    return found


def test_a_standing_route_never_leaves_the_struck_node() -> None:
    found = hops(ECMP)
    assert (found.struck, found.total, found.left_s, found.changes_s) == (1, 3, None, ())


def test_bgp_s_route_leaves_the_node_when_the_kernel_says_so() -> None:
    found = hops(BGP, *STANDING, route(18.5, "node-1", added=False), route(30.0, "node-1", added=True))
    assert (found.struck, found.total, found.left_s, found.changes_s) == (1, 3, 18.5, (18.5, 30.0))


def test_bgp_without_any_next_hop_has_no_route() -> None:
    gone = [route(20.0 + number, f"node-{number}", added=False) for number in (1, 2, 3)]
    found = hops(BGP, *STANDING, *gone, route(25.0, "node-2", added=True), route(30.0, "node-2", added=False))
    assert found.without_s == ((23.0, 25.0), (30.0, 35.0))
    assert [cause(at_s, found) for at_s in (22.0, 22.9, 24.0, 27.0, 31.0)] == [
        "unexplained",
        "no route",
        "no route",
        "unexplained",
        "no route",
    ]


def test_a_virtual_address_leaves_when_another_node_has_it() -> None:
    # Links go down a moment before the fault is told to be in effect.
    found = hops(VRRP, holder(-1.0, "node-1"), holder(9.99, "node-1", acquired=False), holder(12.5, "node-2"))
    assert (found.struck, found.total, found.left_s) == (1, 1, 12.5)
    assert found.were_all_struck


def test_a_dead_node_need_not_tell_that_it_lost_the_address() -> None:
    assert hops(VRRP, holder(-1.0, "node-1"), holder(12.5, "node-2")).left_s == 12.5


def test_address_that_two_nodes_took_at_once_is_with_the_one_that_keeps_it() -> None:
    both = [holder(-2.0, "node-1"), holder(-1.99, "node-2"), holder(-1.98, "node-2", acquired=False)]
    assert (hops(VRRP, *both).struck, hops(VRRP, *both, holder(12.5, "node-2")).left_s) == (1, 12.5)


def test_node_that_dies_and_comes_back_has_the_address_again() -> None:
    earlier = [holder(-9.0, "node-1"), holder(-6.0, "node-2"), holder(-3.0, "node-1"), holder(-2.9, "node-2", acquired=False)]
    assert (hops(VRRP, *earlier).struck, hops(VRRP, *earlier, holder(12.5, "node-2")).left_s) == (1, 12.5)


def test_a_node_that_is_no_next_hop_costs_nothing_by_its_route() -> None:
    found = hops(VRRP, holder(-1.0, "node-2"))
    assert (found.struck, found.left_s) == (0, 10.0)


def test_a_balanced_path_has_no_next_hops() -> None:
    assert find_next_hops(NODEPORT, KILL, history(), since_s=10.0, until_s=35.0) is None


def cause(
    at_s: float, found: NextHops, *, programmed_s: float | None = 15.3, use: int = 1, outcome: Outcome = Outcome.CONNECT_TIMEOUT
) -> str:
    lost = samples(Request(at_s=at_s, outcome=outcome, took_ms=100.0, use=use))
    (name,) = attribute_routed_losses(lost, found, start_mono_ns=START_NS, programmed_s=programmed_s, until_s=35.0, use_s=0.2)
    return name


SHARED = NextHops(struck=1, total=3, left_s=18.5, changes_s=(18.5, 30.0))
QUICK = replace(SHARED, left_s=10.3, changes_s=(10.3,))
FOR_EVER = NextHops(struck=1, total=3, left_s=None, changes_s=())
ALONE = NextHops(struck=1, total=1, left_s=12.5, changes_s=(12.5,))
ELSEWHERE = NextHops(struck=0, total=1, left_s=10.0, changes_s=())


@pytest.mark.parametrize(
    ("found", "at_s", "name"),
    [
        (SHARED, 12.0, "next hop or endpoint"),
        (SHARED, 17.0, "next hop"),
        (SHARED, 19.0, "unexplained"),
        (QUICK, 10.2, "next hop or endpoint"),
        (QUICK, 14.0, "endpoint"),
        (FOR_EVER, 34.0, "next hop"),
        (ALONE, 11.0, "next hop"),
        (ALONE, 14.0, "endpoint"),
        (ELSEWHERE, 11.0, "endpoint"),
        (ELSEWHERE, 16.0, "unexplained"),
    ],
)
def test_a_loss_is_put_to_what_could_still_happen_at_its_instant(found: NextHops, at_s: float, name: str) -> None:
    assert cause(at_s, found) == name


@pytest.mark.parametrize(("at_s", "name"), [(11.0, "established"), (18.6, "moved"), (30.1, "moved"), (25.0, "unexplained")])
def test_a_kept_connection_breaks_with_its_node_or_by_being_moved(at_s: float, name: str) -> None:
    assert cause(at_s, SHARED, use=2, outcome=Outcome.RESET) == name


def test_an_answer_where_none_was_due_is_never_explained() -> None:
    assert cause(12.0, SHARED, outcome=Outcome.OTHER) == "unexplained"


@pytest.mark.parametrize(
    ("routing", "earliest_s", "latest_s"),
    [
        (ECMP, None, None),
        (BGP, 0.75 * 9 - 3, 9.0),
        (replace(BGP, hold_time_s=3, keepalive_s=2.9), 0.0, 3.0),
        (BFD, 0.2, 0.3),
        (VRRP, 2.008, 3.016),
        (replace(VRRP, advert_interval_s=0.1), 0.201, 0.302),
    ],
)
def test_detection_takes_what_the_protocol_says(routing: Routing, earliest_s: float | None, latest_s: float | None) -> None:
    found = detection_of(routing)
    assert (found.earliest_s, found.latest_s) == (
        None if earliest_s is None else pytest.approx(earliest_s),
        None if latest_s is None else pytest.approx(latest_s),
    )


@pytest.mark.parametrize(("routing", "at_most_s"), [(ECMP, None), (BGP, 9.0), (BFD, 5.6), (VRRP, 5.6)])
def test_a_node_costs_until_the_later_of_route_and_rules(routing: Routing, at_most_s: float | None) -> None:
    found = bound_outage(path_of(routing), KILL, LOAD, replace(real_plan(), timings=TIMINGS)).at_most_s
    assert found == (None if at_most_s is None else pytest.approx(at_most_s))


def spans() -> Spans:
    return measure_spans(samples().records["sent_ns"] / 1e9, samples().ok, since_s=10.0, until_s=35.0, validation_s=1.0)


def stages(routing: Routing, *events: Event) -> list[tuple[str, float]]:
    found = find_stages(real_plan(), path_of(routing), KILL, history(*events), spans(), since_s=10.0, until_s=35.0)
    return [(item.name, item.at_s) for item in found]


def test_stages_of_a_bgp_path_are_told_by_the_gateway() -> None:
    told = [
        event(10.25, "gateway/routes", "bfd-down", node="node-1"),
        event(10.26, "gateway/routes", "bgp-session-down", path="routed", node="node-1"),
        event(10.27, "gateway/routes", "bgp-session-down", path="other", node="node-1"),
        route(10.3, "node-1", added=False),
        route(30.0, "node-1", added=True),
    ]
    expected = [("fault effective", 10.0), ("BGP session down", 10.26), ("route withdrawn", 10.3), ("route back", 30.0)]
    assert stages(BGP, *told) == expected
    assert ("BFD down", 10.25) in stages(BFD, *told)


def test_stages_of_a_virtual_address_are_who_has_it() -> None:
    told = [holder(-1.0, "node-1"), holder(12.5, "node-2"), holder(30.0, "node-1")]
    assert stages(VRRP, *told) == [("fault effective", 10.0), ("address taken over", 12.5), ("address back", 30.0)]
