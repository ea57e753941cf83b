"""From a plan and an address slot to a testbed whose steady state is proven, and back to nothing."""

import datetime
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from typing import Protocol

from orchestrator.contracts import Kube
from orchestrator.errors import EngineError, InternalError
from orchestrator.model.history import Event
from orchestrator.model.plan import Plan, Role
from orchestrator.render.kubeconfig import render_kubeconfig
from orchestrator.testbed.claim import Claim
from orchestrator.testbed.engine import EngineEvent, EventFeed
from orchestrator.testbed.kube import KubeClient
from orchestrator.testbed.labels import CONTAINER, ROLE, RUN
from orchestrator.testbed.pki import Secrets, make_secrets
from orchestrator.testbed.realise import API_PORT
from orchestrator.testbed.steady import await_steady_state
from orchestrator.testbed.warden import remove_run
from orchestrator.testbed.world import Testbed

REPORTED_ACTIONS = frozenset({"create", "start", "die", "oom", "kill", "stop", "destroy", "pause", "unpause"})
KUBECONFIG = "kubeconfig"


class ClosableKube(Kube, Protocol):
    def close(self) -> None: ...


def connect_control_plane(server: str, secrets: Secrets) -> ClosableKube:
    return KubeClient(server=server, ca_pem=secrets.ca_pem, token=secrets.token)


@contextmanager
def bring_up(
    plan: Plan,
    claim: Claim,
    *,
    now: datetime.datetime,
    when_launched: Callable[[Testbed], None] | None = None,
    connect_kube: Callable[[str, Secrets], ClosableKube] = connect_control_plane,
) -> Iterator[Testbed]:
    """A testbed in steady state. Leaving fetches the logs first and removes every container, unless the run is kept.

    `when_launched` is called once all containers run, before the steady state is waited for: for what takes long to start.

    Raises:
        DeadlineError: a part of the steady state did not come; EngineError; ClusterError; InterruptedRunError.
    """
    with launched(plan, claim, now=now, connect_kube=connect_kube) as testbed:
        if when_launched is not None:
            when_launched(testbed)
        _phase(testbed, "steady-state")
        await_steady_state(testbed)
        yield testbed


@contextmanager
def launched(
    plan: Plan,
    claim: Claim,
    *,
    now: datetime.datetime,
    connect_kube: Callable[[str, Secrets], ClosableKube] = connect_control_plane,
) -> Iterator[Testbed]:
    """The containers of a plan, running; their processes may still be on their way."""
    _check_slot(plan, claim)
    with ExitStack() as stack:
        secrets = _make_secrets(plan, claim, now)
        testbed = Testbed(plan, claim, secrets)
        _phase(testbed, "bring-up")
        stack.callback(follow_engine(testbed, claim).close)
        stack.callback(_tear_down, testbed, claim)
        testbed.launch(*_in_order_of_need(plan))
        stack.callback(_meet_control_plane(testbed, claim, secrets, connect_kube).close)
        yield testbed


def _check_slot(plan: Plan, claim: Claim) -> None:
    if plan.networks != claim.networks:
        planned, claimed = (", ".join(str(item.subnet) for item in networks) for networks in (plan.networks, claim.networks))
        raise InternalError(f"the plan is for the networks {planned}, but the claimed slot {claim.slot} has {claimed}")


def _in_order_of_need(plan: Plan) -> list[str]:
    """What others wait for comes first: the control plane takes longest to answer, and nothing passes without the gateway."""
    order = (Role.CONTROLPLANE, Role.GATEWAY, Role.NODE, Role.LOADBALANCER, Role.CLIENT)
    return [item.name for role in order for item in plan.of_role(role) if item.at_bring_up]


def _make_secrets(plan: Plan, claim: Claim, now: datetime.datetime) -> Secrets:
    controlplane = plan.of_role(Role.CONTROLPLANE)[0]
    addresses = [IPv4Address("127.0.0.1"), *(item.address for item in controlplane.attachments)]
    lifetime = datetime.timedelta(seconds=claim.run.expires_in_s)
    return make_secrets(addresses=addresses, now=now, lifetime=lifetime, tls_secrets=plan.tls_secrets)


def _meet_control_plane(
    testbed: Testbed, claim: Claim, secrets: Secrets, connect_kube: Callable[[str, Secrets], ClosableKube]
) -> ClosableKube:
    """Connect to the published port, and leave a kubeconfig for kubectl."""
    controlplane = testbed.plan.of_role(Role.CONTROLPLANE)[0].name
    server = f"https://127.0.0.1:{testbed.host_port(controlplane, API_PORT)}"
    kube = connect_kube(server, secrets)
    testbed.meet_kube(kube)
    kubeconfig = claim.run.directory / KUBECONFIG
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(
        render_kubeconfig(run_id=claim.run.run_id, server=server, ca_pem=secrets.ca_pem, token=secrets.token), encoding="utf-8"
    )
    return kube


def follow_engine(testbed: Testbed, claim: Claim) -> EventFeed:
    """The engine's own events in the history: its wall clock mapped to the monotonic one by the offset that the warden read."""
    feed = claim.engine.events({RUN: claim.run.run_id})
    offset_ns = claim.warden.wall_minus_mono_ns

    def follow() -> None:
        try:
            for item in feed.read():
                if item.action in REPORTED_ACTIONS and item.labels.get(ROLE) != Role.WARDEN:
                    testbed.emit("engine", at_mono_ns=item.t_wall_ns - offset_ns, **_fields(item))
        except EngineError as error:
            testbed.emit("output-lost", container="engine", error=str(error))

    threading.Thread(target=follow, name="engine events", daemon=True).start()
    return feed


def _fields(item: EngineEvent) -> dict[str, object]:
    fields: dict[str, object] = {"action": item.action, "container": item.labels.get(CONTAINER, "")}
    if "exitCode" in item.labels:
        fields["exit_code"] = int(item.labels["exitCode"])
    return fields


def _phase(testbed: Testbed, name: str) -> Event:
    return testbed.emit("phase", name=name)


def _tear_down(testbed: Testbed, claim: Claim) -> None:
    if claim.warden.is_kept:
        return
    _phase(testbed, "tear-down")
    testbed.keep_logs()
    remove_run(claim.engine, claim.run.run_id)
    (claim.run.directory / KUBECONFIG).unlink(missing_ok=True)  # it leads nowhere any more
