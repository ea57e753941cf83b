"""The steady state: proven before any load, part by part, each with a deadline and what lacks."""

from orchestrator.errors import EngineError
from orchestrator.model.history import Event
from orchestrator.model.plan import Role
from orchestrator.runner.manifests import wanted_endpoints
from orchestrator.runner.view import ClusterView, backends_of
from orchestrator.runner.waiting import await_state
from orchestrator.testbed.world import Testbed

NODES_DEADLINE_S = 30.0
SERVING_DEADLINE_S = 60.0


def await_steady_state(testbed: Testbed) -> None:
    """All nodes Ready; manifests applied; as many endpoints ready as pods are wanted, in the committed rules of every node; every
    node up behind every frontend and in the gateway's kept routes; every virtual address with a node.

    Static routes are part of `booted`: init reports it when they are set.

    Raises:
        EngineError: a container ended; DeadlineError; ClusterError; InterruptedRunError.
    """
    plan = testbed.plan
    started = [item.name for item in plan.containers if item.at_bring_up]
    nodes = [item.name for item in plan.of_role(Role.NODE) if item.at_bring_up]
    watch = _Alive(testbed)
    _await_booted(testbed, set(started), watch)
    await_state(
        testbed, lambda view: view.lacking_nodes(nodes), deadline_s=NODES_DEADLINE_S, what="every node Ready", watch=watch
    )
    # Only now, so that the scheduler spreads the pods over all nodes.
    for manifest in (*testbed.tls_secrets, *plan.objects):
        testbed.kube.apply(manifest)
    wanted = wanted_endpoints(plan.objects)
    backends = backends_of(plan.paths)

    def lacking(view: ClusterView) -> list[str]:
        return [
            *view.lacking_nodes(nodes),
            *(
                f"{service} has {len(view.ready_endpoints(service))} of {count} endpoints ready"
                for service, count in wanted.items()
                if len(view.ready_endpoints(service)) < count
            ),
            *view.lacking_rules(nodes, (service for service, count in wanted.items() if count > 0)),
            *view.lacking_servers(nodes, backends),
            *view.lacking_routes(nodes, plan.paths),
        ]

    await_state(testbed, lacking, deadline_s=SERVING_DEADLINE_S, what="steady state", watch=watch)


def _await_booted(testbed: Testbed, containers: set[str], watch: "_Alive") -> None:
    missing = set(containers)

    def booted(event: Event) -> bool:
        watch(event)
        if event.event == "booted":
            missing.discard(event.container)
        return not missing

    testbed.wait_event(
        booted,
        since_ns=0,
        deadline_s=NODES_DEADLINE_S,
        what="every container booted",
        state=lambda: f"not booted: {', '.join(sorted(missing))}",
    )


class _Alive:
    """Raises as soon as a container or a process in it ends for good: nothing is to be waited for then."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed

    def __call__(self, event: Event) -> None:
        if event.event == "engine" and event.fields.get("action") == "die":
            container = event.fields.get("container")
            status = event.fields.get("exit_code")
            raise EngineError(
                f"{container} ended with status {status} during bring-up", hint=f"last log lines:\n{self._testbed.log_tails}"
            )
        if lost := describe_lost_process(event):
            raise EngineError(f"{event.container}: {lost} during bring-up", hint=f"last log lines:\n{self._testbed.log_tails}")


def describe_lost_process(event: Event) -> str | None:
    """What init says of a process that nobody will see again: it used its restarts up, or its program cannot be started."""
    process = event.fields.get("process")
    if event.event == "process-exited" and event.fields.get("restarts_left") == 0:
        return f"process {process} ended with status {event.fields.get('status')} and stays dead"
    if event.event == "process-failed":
        return f"process {process} could not be started: {event.fields.get('error')}"
    return None
