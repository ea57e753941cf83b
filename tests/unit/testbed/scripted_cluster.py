"""What the processes in the containers would print, for a testbed on the engine in memory."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import cast

from orchestrator.contracts import Kinds
from orchestrator.faults.node_kill import NodeKill
from orchestrator.faults.scale import Scale
from orchestrator.ingress.nodeport import NodePort
from orchestrator.ingress.service_port_on_node import ServicePortOnNode
from orchestrator.ingress.static_route import StaticRoute
from orchestrator.model.plan import Plan, Role, SloPlan
from orchestrator.planner import plan_run
from orchestrator.runner.manifests import wanted_endpoints
from orchestrator.scenario.loading import load_manifests, load_scenario
from orchestrator.slo import SLOS
from orchestrator.testbed.compose import ComposeFile, load_compose
from orchestrator.testbed.fake import FakeEngine
from orchestrator.testbed.fake_container import FakeContainer
from orchestrator.testbed.fake_kube import FakeKube
from orchestrator.testbed.labels import CONTAINER, ROLE, RUN
from orchestrator.testbed.run import Run

ROOT = Path(__file__).parents[3]
SCENARIO = ROOT / "loadtests" / "scenarios" / "node-kill.yaml"
IMAGES = {role: f"image-of-{role}" for role in Role}


@cache
def node_kill_plan(slot: int = 0) -> Plan:
    """The plan of the default scenario."""
    scenario = load_scenario(SCENARIO)
    return plan_run(scenario, load_manifests(SCENARIO, scenario.manifests), KINDS, file=SCENARIO, slot=slot)


def _no_objective(kind: str, value: object, subject: str) -> SloPlan:
    """Objectives are the judge's; the running world knows nothing of what they mean."""
    return SloPlan(path=subject, connection_class=None, kind=kind, text=str(value), operator=">=", threshold=0.0)


KINDS = Kinds(
    paths={item.kind: item for item in (StaticRoute(), NodePort(), ServicePortOnNode())},
    actions={item.kind: item for item in (NodeKill(), Scale())},
    parse_objective=_no_objective,
    slos=SLOS,
)


@cache
def compose_file() -> ComposeFile:
    return load_compose(ROOT / "compose" / "testbed.yaml")


def make_run(directory: Path, run_id: str = "t0000001") -> Run:
    return Run(run_id=run_id, directory=directory, owner_pid=1, expires_in_s=600, expires_unix_s=1_800_000_000, images=IMAGES)


def event_line(source: str, event: str, **fields: object) -> str:
    return json.dumps({"t_mono_ns": 1, "source": source, "event": event, "fields": fields})


class ScriptedCluster:
    """Every role boots and reports what a healthy one reports."""

    def __init__(self, plan: Plan, *, routes: tuple[Mapping[str, object], ...] = ()) -> None:
        self.plan = plan
        self.routes = routes
        self.exits: set[str] = set()
        """Containers that end at once, with status 78."""
        self.engine = FakeEngine(programs=dict.fromkeys(IMAGES.values(), self.play), command=self.obey)
        self.kube = FakeKube(self.react)
        self.commands: list[tuple[str, tuple[str, ...]]] = []

    def play(self, container: FakeContainer) -> None:
        name, role = container.spec.labels[CONTAINER], container.spec.labels[ROLE]
        if role == Role.WARDEN:
            self._guard(container)
            return
        container.print(f"{name} is coming up")
        if name in self.exits:
            container.exit(78)
            return
        container.print(event_line(f"{name}/init", "booted", expires_in_s=600))
        if role == Role.NODE:
            container.print(event_line("controlplane/api", "node-ready", node=name))

    def _guard(self, container: FakeContainer) -> None:
        container.print(event_line("warden/warden", "guard-written", routes=list(self.routes), boot_id="b", t_wall_ns=5))

        def hear() -> None:
            if container.input_ended:
                for item in self.engine.containers({RUN: container.spec.labels[RUN]}):
                    if item.id != container.id:
                        self.engine.remove_container(item.id)
                for network in self.engine.networks({RUN: container.spec.labels[RUN]}):
                    self.engine.remove_network(network.id)
                container.exit(0)
            elif container.received.endswith(b"time\n"):
                container.print(event_line("warden/warden", "clock", t_wall_ns=5))
            elif container.received.endswith(b"done\n"):
                container.exit(0)

        container.on_input = hear

    def react(self, verb: str, resource: str, manifest: Mapping[str, object]) -> None:
        """All endpoints are ready, programmed and checked as soon as the last Service is applied."""
        if verb != "apply" or resource != "services":
            return
        api = self.engine.container("itb-t0000001-controlplane")
        nodes = [item.name for item in self.plan.of_role(Role.NODE) if item.at_bring_up]
        for service, count in wanted_endpoints(self.plan.objects).items():
            endpoints = [f"10.0.1.{number + 2}:8080" for number in range(count)]
            for endpoint in endpoints:
                fields = {"service": service, "endpoint": endpoint, "node": "node-1", "pod": "p", "revision": 1}
                api.print(event_line("controlplane/api", "endpoint-ready", **fields))
            for node in nodes:
                fields = {"node": node, "revision": 1, "endpoints": {f"{service}:http": endpoints}}
                self.engine.container(f"itb-t0000001-{node}").print(event_line(f"{node}/agent", "rules-committed", **fields))
        balancer = self.engine.container("itb-t0000001-loadbalancer")
        for path in self.plan.paths:
            for node in nodes if path.frontend else ():
                balancer.print(event_line("loadbalancer/lb", "server-up", backend=path.frontend, server=node))

    def obey(self, container: FakeContainer, argv: object) -> tuple[int, str]:
        words = tuple(cast("tuple[str, ...]", argv))
        self.commands.append((container.spec.labels[CONTAINER], words))
        if words[0] == "testbed-ctl":
            return 0, '{"ok": true, "state": "armed"}\n'
        return 3, "no such command here\n"
