"""Strikes by hand: what is half done or interrupted is taken back, and one that resists does not keep the others."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from pydantic import JsonValue

from orchestrator.errors import CommandError, DeadlineError, InterruptedRunError, UsageError
from orchestrator.experiment import load_request
from orchestrator.faults.conntrack_full import FILLING_S
from orchestrator.in_place import refuse_in_vain
from orchestrator.model.plan import Plan
from orchestrator.session import Session
from orchestrator.store import create_run_directory
from orchestrator.testbed.fake_world import FakeWorld
from orchestrator.testbed.world import Testbed
from tests.unit.planner.test_planning import NODE_KILL


class KeptWorld(FakeWorld):
    """A testbed that is up; heals that are asked for are noted by container."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.healed: list[str] = []
        self.resists: set[str] = set()

    def planned(self, plan: Plan) -> "KeptWorld":
        self._plan = plan
        return self

    def control(self, container: str, request: Mapping[str, object]) -> Mapping[str, object]:
        if request["op"] == "heal":
            self.healed.append(container)
            if container in self.resists:
                raise CommandError(["testbed-ctl"], 1, "busy", where=container)
        if self._clock.stop is not None and self._clock.stop.is_set():
            raise InterruptedRunError("interrupted")
        return super().control(container, request)


@pytest.fixture
def world() -> KeptWorld:
    return KeptWorld(load_request(NODE_KILL, {}, None).plan())


@pytest.fixture
def session(world: KeptWorld, tmp_path: Path) -> Session:
    return Session(
        world=cast(Testbed, world),
        loaded=load_request(NODE_KILL, {}, None),
        directory=create_run_directory(tmp_path, "node-kill", "r1"),
        nodes=("node-1", "node-2", "node-3"),
        require_features=lambda names: None,
    )


PAIR = {"fault": "link-down", "target": ["node-1", "node-2"]}


def test_what_was_injected_is_remembered_until_it_is_healed(session: Session, world: KeptWorld) -> None:
    steps = session.strike(PAIR, for_s=None, lasts_s=60)
    assert session.steps() == steps
    session.heal(steps)
    assert session.steps() == ()
    assert world.healed == ["node-2", "node-1"]


def test_a_strike_that_takes_long_to_arm_comes_so_long_after_the_command(session: Session, world: KeptWorld) -> None:
    began_ns = world.clock.now_mono_ns()
    (struck,) = session.strike({"fault": "conntrack-full", "target": "node-1"}, for_s=None, lasts_s=60)
    issued = world.history().first("step-issued", step=struck.step)
    assert issued is not None
    assert (issued.t_mono_ns - began_ns) / 1e9 >= FILLING_S


def test_a_strike_without_evidence_is_taken_back(session: Session, world: KeptWorld) -> None:
    world.without_effect.add("link-down")
    with pytest.raises(DeadlineError, match="evidence of link-down"):
        session.strike(PAIR, for_s=None, lasts_s=60)
    assert sorted(world.healed) == ["node-1", "node-2"]
    assert session.steps() == ()


def test_an_interrupt_does_not_keep_from_healing(session: Session, world: KeptWorld) -> None:
    steps = session.strike(PAIR, for_s=None, lasts_s=60)
    world.clock.stop = threading.Event()
    world.clock.stop.set()
    session.heal(steps)
    assert world.healed == ["node-2", "node-1"]
    assert session.steps() == ()


def test_one_that_resists_does_not_keep_the_others_and_is_told(session: Session, world: KeptWorld) -> None:
    steps = session.strike(PAIR, for_s=None, lasts_s=60)
    world.resists.add("node-2")
    with pytest.raises(CommandError, match="on node-2"):
        session.heal(steps)
    assert world.healed == ["node-2", "node-1"]
    assert [step.targets for step in session.steps()] == [("node-2",)]


def test_a_container_that_is_down_is_not_struck_and_not_started(session: Session, world: KeptWorld) -> None:
    """Its heal would start what an earlier strike has killed."""
    (killed,) = session.strike({"fault": "node-kill", "target": "node-1"}, for_s=None, lasts_s=60)
    with pytest.raises(UsageError, match="target: node-1 is down; allowed: what runs"):
        session.strike(PAIR, for_s=None, lasts_s=60)
    assert session.steps() == (killed,)
    assert not world.is_running("node-1")
    session.strike({"fault": "link-down", "target": "node-2"}, for_s=None, lasts_s=60)


@pytest.mark.parametrize(
    "order", [{"scale": {"nodes": 2}}, {"fault": "node-drain", "target": "node-2"}, {"fault": "rolling-restart"}], ids=str
)
def test_orders_to_the_cluster_are_refused_while_a_fault_has_its_api_down(
    session: Session, world: KeptWorld, order: dict[str, JsonValue]
) -> None:
    (down,) = session.strike({"fault": "controlplane-down"}, for_s=None, lasts_s=60)
    with pytest.raises(UsageError, match=f"needs the API, which {down.step} has down; allowed: when that is healed"):
        session.strike(order, for_s=None, lasts_s=60)
    session.strike({"fault": "link-down", "target": "node-2"}, for_s=None, lasts_s=60)
    world.states["controlplane"][down.step] = "expired"
    refuse_in_vain(session._plan_strike(order, for_s=None, lasts_s=60).timeline, (down,), session.world, session.containers)


def test_a_node_that_is_down_is_not_chosen(session: Session, world: KeptWorld) -> None:
    world.running -= {"node-1", "node-3"}
    (struck,) = session.strike({"fault": "link-down", "target": "any"}, for_s=None, lasts_s=60)
    assert struck.targets == ("node-2",)
    with pytest.raises(
        UsageError, match="target: cannot choose 2 of the nodes; found node-1, node-2, node-3, of which 2 may not be"
    ):
        session.strike({"fault": "link-down", "target": {"count": 2}}, for_s=None, lasts_s=60)


def test_a_rescale_may_remove_a_node_that_is_down(session: Session, world: KeptWorld) -> None:
    world.running.discard("node-3")
    plan = session._plan_strike({"scale": {"nodes": 2}}, for_s=None, lasts_s=60)
    refuse_in_vain(plan.timeline, (), session.world, session.containers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fault": "bogus"}, r"fault: unknown fault; found 'bogus'; allowed: agent-kill, .*, rolling-restart$"),
        ({"fault": "loss", "target": "node-1", "ratio": 10}, "ratio: is not a ratio; found 10; allowed: 0 to 1"),
        ({"fault": "lb-kill", "together": []}, "together: has too few; found"),
    ],
)
def test_what_cannot_be_planned_is_told_in_the_words_of_a_timeline(
    session: Session, options: dict[str, JsonValue], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        session.strike(options, for_s=None, lasts_s=60)


def test_a_rate_that_is_none_is_told_with_its_option(session: Session, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="--rate banana: rate: is not a rate; found 'banana'; allowed: requests per unit of time"
    ):
        session.run_load(rate="banana", lasts_s=1, results=tmp_path)


def test_a_reboot_leaves_nothing_to_be_healed(session: Session, world: KeptWorld) -> None:
    session.strike({"fault": "node-reboot", "target": "node-1"}, for_s=None, lasts_s=60)
    assert session.steps() == ()


def test_what_is_in_place_is_told_with_what_shows_it(session: Session, world: KeptWorld) -> None:
    first, second = session.strike(PAIR, for_s=None, lasts_s=60)
    world.states["node-2"][second.step] = "expired"
    assert session.in_place() == ((first, "effective"),)


def test_node_that_joined_by_hand_is_in_the_plan_of_the_testbed_as_it_is(session: Session) -> None:
    with_new = replace(session, nodes=("node-1", "node-3", "node-4"))
    assert with_new.present().plan.container("node-4").at_bring_up
