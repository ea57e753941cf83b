"""A port that comes round again is the cause of a loss only where the samples prove it."""

from dataclasses import replace

import pytest

from orchestrator.metrics.measure import measure
from orchestrator.metrics.reused_ports import find_reused_ports
from orchestrator.model.measurements import Outage
from orchestrator.model.plan import LoadClassPlan, PathPlan, Plan
from orchestrator.model.routing import KEY, Bgp
from orchestrator.model.samples import Outcome
from tests.unit.metrics.sample_builder import KILL, STATIC_ROUTE, Request, event, history, real_plan, samples

URL = "http://10.3.241.152/"
NEW = LoadClassPlan(path="static-route", connection_class="new", url=URL, rate_rps=5.0, connections=1)
KEPT = replace(NEW, connection_class="keepalive", connections=10)


def asked(at_s: float, port: int, outcome: Outcome = Outcome.OK, *, use: int = 1, connection_class: str = "new") -> Request:
    return Request(at_s=at_s, port=port, outcome=outcome, use=use, path="static-route", connection_class=connection_class)


FIRST, AGAIN = asked(10.0, 40000, Outcome.CONNECT_TIMEOUT), asked(40.0, 40000, Outcome.CONNECT_TIMEOUT)
BESIDE = (asked(39.8, 41000), asked(40.2, 41001))


def reused(*requests: Request, path: PathPlan = STATIC_ROUTE, classes: tuple[LoadClassPlan, ...] = (NEW, KEPT)) -> list[float]:
    return [item.after_s for item in find_reused_ports(path, NEW, classes, samples(*requests))]


def test_connection_from_the_port_of_an_unanswered_one_found_its_entry() -> None:
    assert reused(FIRST, AGAIN, *BESIDE) == [pytest.approx(30.0)]


@pytest.mark.parametrize("use", [1, 7])
def test_connection_that_a_frozen_pod_took_and_did_not_answer_leaves_an_entry_too(use: int) -> None:
    assert reused(asked(10.0, 40000, Outcome.RESPONSE_TIMEOUT, use=use), AGAIN, *BESIDE) == [pytest.approx(30.0)]


def test_each_time_that_the_port_comes_round_renews_the_entry() -> None:
    later = (asked(150.0, 40000, Outcome.CONNECT_TIMEOUT), asked(150.1, 41002))
    assert reused(FIRST, AGAIN, *BESIDE, *later) == [pytest.approx(30.0), pytest.approx(110.0)]


def test_connection_of_another_class_to_the_same_address_leaves_an_entry_too() -> None:
    kept = asked(10.0, 40000, Outcome.CONNECT_TIMEOUT, connection_class="keepalive")
    assert reused(kept, AGAIN, *BESIDE) == [pytest.approx(30.0)]
    elsewhere = replace(KEPT, url="http://10.3.241.152:8080/")
    assert reused(kept, AGAIN, *BESIDE, classes=(NEW, elsewhere)) == []


@pytest.mark.parametrize(
    ("requests", "why"),
    [
        ((AGAIN, *BESIDE), "no earlier one"),
        ((asked(10.0, 40001, Outcome.CONNECT_TIMEOUT), AGAIN, *BESIDE), "another port"),
        ((asked(10.0, 40000), AGAIN, *BESIDE), "the earlier one was answered"),
        ((asked(10.0, 40000, Outcome.RESET), AGAIN, *BESIDE), "the earlier one was reset, which ends the entry"),
        ((FIRST, asked(20.0, 40000), AGAIN, *BESIDE), "the port was answered in between"),
        ((replace(FIRST, at_s=-81.0), AGAIN, *BESIDE), "the entry had expired"),
        ((FIRST, replace(AGAIN, outcome=Outcome.RESET), *BESIDE), "somebody answered"),
        ((FIRST, replace(AGAIN, outcome=Outcome.RESPONSE_TIMEOUT), *BESIDE), "somebody took the connection"),
        ((FIRST, replace(AGAIN, use=2), *BESIDE), "the connection had been answered before"),
        ((FIRST, AGAIN), "nothing beside it"),
        ((FIRST, AGAIN, BESIDE[0], asked(40.2, 41001, Outcome.CONNECT_TIMEOUT)), "one beside it was lost as well"),
        ((replace(FIRST, path="nodeport"), AGAIN, *BESIDE), "another path"),
        ((replace(FIRST, sent_after_ms=None, port=0), replace(AGAIN, sent_after_ms=None, port=0), *BESIDE), "never sent"),
    ],
)
def test_nothing_is_put_to_an_entry_that_is_not_proven(requests: tuple[Request, ...], why: str) -> None:
    relevant = tuple(item for item in requests if item.path == "static-route")
    assert reused(*relevant) == [], why


def test_port_of_the_client_says_nothing_behind_a_load_balancer() -> None:
    assert reused(FIRST, AGAIN, *BESIDE, path=replace(STATIC_ROUTE, frontend="lb")) == []


SERVICE = "default/service-test"
RULES = {f"{SERVICE}:http": ["10.0.2.2:8080"]}
BGP = Bgp(address="10.3.241.154", hold_time_s=9, keepalive_s=3, bfd_interval_s=0.1, bfd_multiplier=3, is_shared=True)


def routed_plan() -> Plan:
    plan = real_plan()
    path = replace(STATIC_ROUTE, kind="bgp", entry_nodes=(), settings={KEY: BGP.to_settings()})
    load = replace(plan.load, classes=(NEW,), duration_s=60.0)
    return replace(plan, paths=(path,), load=load, timeline=(replace(KILL, kind="node-stop"),), control_path=None)


def outage(*requests: Request) -> Outage:
    told = [event(-2.0, "gateway/routes", "route-added", destination="10.3.241.154/32", node=f"node-{n}") for n in (1, 2, 3)]
    told += [
        event(10.0, "orchestrator", "step-effective", step=KILL.step, evidence="eth0 down"),
        event(10.2, "gateway/routes", "route-withdrawn", destination="10.3.241.154/32", node="node-1"),
        event(10.2, "controlplane/api", "endpoint-removed", service=SERVICE, endpoint="10.0.1.2:8080", node="node-1"),
        event(10.4, "node-2/agent", "rules-committed", endpoints=RULES),
        event(10.4, "node-3/agent", "rules-committed", endpoints=RULES),
        event(25.0, "orchestrator", "step-healed", step=KILL.step, evidence="started"),
        event(25.0, "orchestrator", "step-done", step=KILL.step),
    ]
    (found,) = measure(routed_plan(), history(*told), samples(*requests)).outages
    return found


def every_200_ms(*special: Request) -> list[Request]:
    taken = {round(item.at_s * 5): item for item in special}
    return [taken.get(number, asked(number / 5, 41000 + number)) for number in range(300)]


def test_loss_to_a_stale_entry_is_named_with_its_evidence_and_is_not_held_against_the_bound_of_the_fault() -> None:
    # Through a node that dies long before, so that nothing of this fault explains it.
    before = asked(4.0, 40000, Outcome.CONNECT_TIMEOUT)
    found = outage(*every_200_ms(before, asked(40.0, 40000, Outcome.CONNECT_TIMEOUT)))
    assert found.attribution == {"stale entry": 1}
    (explanation,) = found.explanations
    assert explanation.why.startswith("client port 40000 36.0 s after a connection from it that nobody answered")
    assert found.last_loss_s == pytest.approx(40.0)
    assert found.bound_s is not None
    assert found.is_within_bound is True


def test_loss_that_no_entry_explains_is_held_against_the_bound() -> None:
    found = outage(*every_200_ms(asked(40.0, 40000, Outcome.CONNECT_TIMEOUT)))
    assert found.attribution == {"unexplained": 1}
    assert found.is_within_bound is False
    assert found.of_the_fault is None


def test_stale_entry_excuses_no_other_loss_of_the_same_outage() -> None:
    before = asked(4.0, 40000, Outcome.CONNECT_TIMEOUT)
    late = asked(50.0, 40002, Outcome.CONNECT_TIMEOUT)
    found = outage(*every_200_ms(before, asked(40.0, 40000, Outcome.CONNECT_TIMEOUT), late))
    assert found.attribution == {"stale entry": 1, "unexplained": 1}
    assert found.is_within_bound is False
