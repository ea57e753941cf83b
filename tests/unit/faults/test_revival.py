"""Killed programs come back by their heal: it is over when they serve again, or says that they are only started."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestrator.errors import DeadlineError, InternalError
from orchestrator.model.plan import StepPlan
from orchestrator.registry import ACTIONS
from orchestrator.testbed.fake_kube import FakeKube
from orchestrator.testbed.fake_world import FakeWorld
from tests.unit.faults.test_fault_catalogue import NODE, SECOND, planned
from tests.unit.faults.test_node_faults import CONTEXT, evidence_of
from tests.unit.testbed.scripted_cluster import node_kill_plan


class SilentKube(FakeKube):
    """An API that does not answer before its instant."""

    def __init__(self, answers: Callable[[], bool]) -> None:
        super().__init__()
        self._answers = answers

    def list(
        self, resource: str, *, namespace: str | None = None, label_selector: str | None = None
    ) -> tuple[dict[str, object], ...]:
        if not self._answers():
            raise InternalError("connection refused")
        return ()


def place(*, api_after_s: float = 0.0) -> FakeWorld:
    """A world whose API answers so long after a heal."""
    healed_ns: list[int] = []
    here = FakeWorld(
        node_kill_plan(),
        kube=SilentKube(lambda: here.clock.now_mono_ns() >= healed_ns[0] + round(api_after_s * SECOND)),
    )
    here.on_control = lambda container, request: healed_ns.append(here.clock.now_mono_ns()) if request["op"] == "heal" else None
    here.running.update(("loadbalancer", "controlplane"))
    return here


def struck(here: FakeWorld, kind: str, step: StepPlan | None = None) -> StepPlan:
    step = step or planned(kind, NODE if kind in ("agent-kill", "kube-proxy-kill") else {})
    at_ns = here.clock.now_mono_ns() + SECOND
    ACTIONS[kind].arm(step, here, at_ns)
    ACTIONS[kind].inject(step, here, at_ns)
    return step


def telling(here: FakeWorld, after_s: float, source: str, event: str, **fields: object) -> None:
    here.clock.at(here.clock.now_mono_ns() + round(after_s * SECOND), lambda: here.told(source, event, **fields) and None)


def test_haproxy_is_back_when_it_answers_and_not_before() -> None:
    here = place()
    step = struck(here, "lb-kill")
    began_ns = here.clock.now_mono_ns()
    telling(here, 0.25, "loadbalancer/lb", "haproxy-started", version="2.6", pid=88)
    ACTIONS["lb-kill"].heal(step, here)
    assert evidence_of(here, "step-healed") == (began_ns, "as before; HAProxy (pid 88) answers 250 ms later")
    assert here.clock.now_mono_ns() - began_ns == SECOND // 4


def test_haproxy_that_does_not_come_back_is_no_heal() -> None:
    here = place()
    step = struck(here, "lb-kill")
    with pytest.raises(DeadlineError, match="HAProxy that answers again not within 15 s"):
        ACTIONS["lb-kill"].heal(step, here)
    assert here.history().first("step-healed") is None


@pytest.mark.parametrize("kind", ["lb-kill", "agent-kill", "kube-proxy-kill", "controlplane-down"])
def test_what_never_struck_is_healed_without_waiting_for_anything(kind: str) -> None:
    here = place()
    step = planned(kind, NODE if kind in ("agent-kill", "kube-proxy-kill") else {})
    began_ns = here.clock.now_mono_ns()
    ACTIONS[kind].arm(step, here, began_ns + SECOND)
    ACTIONS[kind].heal(step, here)
    assert evidence_of(here, "step-healed") == (began_ns, "as before")
    assert here.clock.now_mono_ns() == began_ns


def test_what_was_healed_is_healed_again_without_waiting() -> None:
    here = place()
    step = struck(here, "lb-kill")
    telling(here, 0.25, "loadbalancer/lb", "haproxy-started", version="2.6", pid=88)
    ACTIONS["lb-kill"].heal(step, here)
    ended_ns = here.clock.now_mono_ns()
    ACTIONS["lb-kill"].heal(step, here)
    assert here.clock.now_mono_ns() == ended_ns


def test_api_is_back_when_it_answers() -> None:
    here = place(api_after_s=0.7)
    step = struck(here, "controlplane-down")
    ACTIONS["controlplane-down"].heal(step, here)
    assert evidence_of(here, "step-healed")[1] == "as before; the API answers 700 ms later"


def test_api_that_does_not_answer_is_no_heal() -> None:
    here = place(api_after_s=60)
    step = struck(here, "controlplane-down")
    with pytest.raises(DeadlineError, match="connection refused"):
        ACTIONS["controlplane-down"].heal(step, here)


def test_agent_is_back_when_it_has_registered_and_written_its_rules() -> None:
    here = place()
    step = struck(here, "agent-kill")
    telling(here, 0.5, "node-1/agent", "node-registered", node="node-1")
    telling(here, 0.6, "node-2/agent", "rules-committed", node="node-2")
    telling(here, 0.9, "node-1/agent", "rules-committed", node="node-1")
    ACTIONS["agent-kill"].heal(step, here)
    assert evidence_of(here, "step-healed")[1] == "as before; node-registered, rules-committed 900 ms later"


def beside_own_kube_proxy(kind: str) -> StepPlan:
    action = ACTIONS[kind]
    return action.plan("1", 10, 15, action.options.model_validate(NODE), replace(CONTEXT, has_own_kube_proxy=True))


def test_agent_whose_rules_a_kube_proxy_of_the_user_s_own_writes_is_back_when_it_has_registered() -> None:
    here = place()
    step = struck(here, "agent-kill", beside_own_kube_proxy("agent-kill"))
    telling(here, 0.5, "node-1/agent", "node-registered", node="node-1")
    ACTIONS["agent-kill"].heal(step, here)
    assert evidence_of(here, "step-healed")[1] == "as before; node-registered 500 ms later"


def test_agent_that_cannot_reach_the_api_is_said_to_be_only_started() -> None:
    here = place()
    step = struck(here, "agent-kill")
    telling(here, 0.5, "node-1/agent", "node-registered", node="node-1")
    ACTIONS["agent-kill"].heal(step, here)
    assert evidence_of(here, "step-healed")[1] == "as before; only started: no rules-committed within 5 s"


def test_rule_writer_is_back_with_its_first_sync() -> None:
    here = place()
    step = struck(here, "kube-proxy-kill")
    telling(here, 0.2, "node-1/agent", "rules-committed", node="node-1")
    ACTIONS["kube-proxy-kill"].heal(step, here)
    assert evidence_of(here, "step-healed")[1] == "as before; rules-committed 200 ms later"


def test_kube_proxy_of_the_user_s_own_is_only_started() -> None:
    here = place()
    step = struck(here, "kube-proxy-kill", beside_own_kube_proxy("kube-proxy-kill"))
    began_ns = here.clock.now_mono_ns()
    ACTIONS["kube-proxy-kill"].heal(step, here)
    assert evidence_of(here, "step-healed") == (began_ns, "as before")
