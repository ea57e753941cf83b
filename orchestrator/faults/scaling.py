"""A planned rescale, read back from its step, and what both directions need to know of the cluster."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self, cast

from orchestrator.contracts import World
from orchestrator.errors import InternalError
from orchestrator.model.plan import StepPlan
from orchestrator.runner.manifests import deployments_of, replicas_of, wanted_endpoints
from orchestrator.runner.view import BackendNeeds, ClusterView, backends_of
from orchestrator.runner.waiting import await_state

READY_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescale:
    step: StepPlan
    add: tuple[str, ...]
    remove: tuple[str, ...]
    pods: int | None
    deployment: str | None
    """`namespace/name`; None when the number of pods stays."""
    drain: bool
    drain_period_s: float
    backends: Mapping[str, BackendNeeds]
    replicas: Mapping[str, int]
    """Every planned Deployment -> how many pods it has afterwards."""

    @classmethod
    def of(cls, step: StepPlan, world: World) -> Self:
        """Raises InternalError when the Deployment is not to be found."""
        parameters = step.parameters
        pods = cast("int | None", parameters["pods"])
        deployment = _choose_deployment(cast("str | None", parameters["deployment"]), world) if pods is not None else None
        replicas = {key: _replicas_now(key, world) for key in deployments_of(world.plan.objects)}
        if deployment is not None and pods is not None:
            replicas[deployment] = pods
        return cls(
            step=step,
            add=tuple(cast("list[str]", parameters["add"])),
            remove=tuple(cast("list[str]", parameters["remove"])),
            pods=pods,
            deployment=deployment,
            drain=bool(parameters["drain"]),
            drain_period_s=float(cast(float, parameters["drain_period_s"])),
            backends=backends_of(world.plan.paths),
            replicas=replicas,
        )

    @classmethod
    def exchanging(
        cls, step: StepPlan, world: World, *, add: tuple[str, ...] = (), remove: tuple[str, ...] = (), drain_period_s: float = 0.0
    ) -> Self:
        """Nodes come or go, the number of pods stays."""
        return cls(
            step=step,
            add=add,
            remove=remove,
            pods=None,
            deployment=None,
            drain=bool(remove),
            drain_period_s=drain_period_s,
            backends=backends_of(world.plan.paths),
            replicas={key: _replicas_now(key, world) for key in deployments_of(world.plan.objects)},
        )

    def scale_pods(self, world: World) -> None:
        if self.deployment is not None and self.pods is not None:
            namespace, name = self.deployment.split("/")
            world.kube.patch("deployments", name, {"spec": {"replicas": self.pods}}, namespace=namespace)

    def wanted(self, world: World) -> Mapping[str, int]:
        """Service -> ready endpoints afterwards."""
        return wanted_endpoints(world.plan.objects, self.replicas)

    def evidence(self, world: World) -> str:
        nodes = len(world.kube.list("nodes"))
        endpoints = ", ".join(f"{count} endpoints of {service}" for service, count in self.wanted(world).items())
        return f"{nodes} nodes in the API; {endpoints or 'no endpoints'} ready and in the rules of every node"


def lacking_service(view: ClusterView, nodes: Iterable[str], wanted: Mapping[str, int]) -> list[str]:
    """What keeps these nodes from serving exactly the wanted endpoints."""
    counts = {service: len(view.ready_endpoints(service)) for service in wanted}
    return [
        *(
            f"{service} has {counts[service]} of {count} endpoints ready"
            for service, count in wanted.items()
            if counts[service] != count
        ),
        *view.lacking_rules(nodes, [service for service, count in wanted.items() if count > 0]),
    ]


def await_served(rescale: Rescale, world: World, nodes: tuple[str, ...]) -> None:
    """Until these nodes are Ready, serve the wanted endpoints, are up behind every frontend and in every kept route.

    One that fails meanwhile is not waited for: nobody brings it back before its fault ends.
    """
    wanted, were_ready = rescale.wanted(world), set[str]()

    def lacking(view: ClusterView) -> list[str]:
        were_ready.update(node for node in nodes if view.nodes.get(node))
        left = [node for node in nodes if node not in were_ready or view.nodes.get(node)]
        return [
            *view.lacking_nodes(left),
            *lacking_service(view, left, wanted),
            *view.lacking_servers(left, rescale.backends),
            *view.lacking_routes(left, world.plan.paths),
        ]

    await_state(
        world,
        lacking,
        deadline_s=READY_DEADLINE_S,
        what=f"{rescale.step.step}: every endpoint ready and served",
    )


def present_nodes(world: World) -> tuple[str, ...]:
    """Nodes that the API has and holds Ready: a node that a fault has struck is not waited for."""
    return tuple(sorted(name_of(node) for node in world.kube.list("nodes") if _is_ready(node)))


def name_of(manifest: Mapping[str, object]) -> str:
    return str(cast("Mapping[str, object]", manifest["metadata"])["name"])


def _is_ready(node: Mapping[str, object]) -> bool:
    status = cast("Mapping[str, object]", node.get("status", {}))
    conditions = cast("list[Mapping[str, object]]", status.get("conditions", []))
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def _choose_deployment(named: str | None, world: World) -> str:
    deployments = tuple(deployments_of(world.plan.objects))
    if named is None and len(deployments) == 1:
        return deployments[0]
    matching = [key for key in deployments if named in (key, key.partition("/")[2])]
    if len(matching) != 1:
        raise InternalError(
            f"scale: deployment {named!r} is not one of the manifests'; allowed: {', '.join(deployments) or 'none'}"
        )
    return matching[0]


def _replicas_now(key: str, world: World) -> int:
    namespace, name = key.split("/")
    deployment = world.kube.get("deployments", name, namespace=namespace)
    return replicas_of(deployment) if deployment is not None else 0
