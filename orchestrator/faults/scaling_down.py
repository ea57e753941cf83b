"""Scaling down: drained, as a cluster autoscaler does, or just gone."""

from collections.abc import Mapping, Sequence
from typing import cast

from orchestrator.contracts import World
from orchestrator.faults.scaling import READY_DEADLINE_S, Rescale, await_served, lacking_service, name_of, present_nodes
from orchestrator.runner.view import ClusterView
from orchestrator.runner.waiting import await_state, poll

EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
FIRST_TO_GO = "-1000"
DRAIN_DEADLINE_S = 90.0
"""Longer than the grace period of any pod in the manifests is expected to be (Kubernetes' default: 30 s)."""
NODE_GRACE_S = 2.0

Manifest = Mapping[str, object]


def drain_nodes(rescale: Rescale, world: World) -> None:
    """Out of the load balancer, pods away, endpoints out of every node's rules; then the node goes.

    Source: kubernetes.io "Safely Drain a Node", "Pod deletion cost", well-known labels; the order is the autoscaler's.
    """
    leaving = rescale.remove
    for node in leaving:
        world.emit("node-leaving", step=rescale.step.step, node=node)
    staying = empty_nodes(rescale, world)
    delete_nodes(rescale.remove, world)
    world.remove(*leaving, grace_s=NODE_GRACE_S)
    report_gone(rescale, world)
    await_served(rescale, world, staying)


def empty_nodes(rescale: Rescale, world: World) -> tuple[str, ...]:
    """Nodes to leave get no new connections and no pods, and what still flows has the drain period to end; returns the others."""
    leaving = rescale.remove
    for node in leaving:
        world.kube.patch("nodes", node, {"metadata": {"labels": {EXCLUDE_LABEL: "true"}}, "spec": {"unschedulable": True}})
    await_state(
        world,
        lambda view: _not_draining(view, rescale),
        deadline_s=READY_DEADLINE_S,
        what=f"{rescale.step.step}: leaving nodes drained in the load balancer",
    )
    _move_pods(rescale, world)
    staying = tuple(node for node in present_nodes(world) if node not in leaving)
    _await_forgotten(rescale, world, staying)
    # What still flows through the leaving nodes' own rules (kept-alive connections) may end by itself until then.
    now_ns = world.clock.now_mono_ns()
    world.clock.sleep_until_mono_ns(now_ns + round(rescale.drain_period_s * 1e9))
    return staying


def readmit(node: str, world: World) -> None:
    """The opposite of what empties a node: pods and connections may come again. Idempotent, also when it is gone since."""
    if world.kube.get("nodes", node) is None:
        return
    world.kube.patch("nodes", node, {"metadata": {"labels": {EXCLUDE_LABEL: None}}, "spec": {"unschedulable": None}})


def drop_nodes(rescale: Rescale, world: World) -> None:
    """The machines are gone at once; the control plane is told, as a platform tells it that took them away itself."""
    for node in rescale.remove:
        world.emit("node-leaving", step=rescale.step.step, node=node)
    world.remove(*rescale.remove, grace_s=0.0)
    rescale.scale_pods(world)
    delete_nodes(rescale.remove, world)
    report_gone(rescale, world)
    await_served(rescale, world, present_nodes(world))


def _not_draining(view: ClusterView, rescale: Rescale) -> list[str]:
    return [
        f"server {node} of backend {backend} is not draining"
        for backend in rescale.backends
        for node in rescale.remove
        if node in view.servers[backend] and not view.is_draining(backend, node)
    ]


def _move_pods(rescale: Rescale, world: World) -> None:
    """The Deployment gives up the pods of leaving nodes first; what is left there is evicted and made anew elsewhere."""
    for pod in _pods_on(rescale, world):
        metadata = {"annotations": {DELETION_COST: FIRST_TO_GO}}
        world.kube.patch("pods", name_of(pod), {"metadata": metadata}, namespace=_namespace(pod))
    rescale.scale_pods(world)
    if rescale.deployment is not None:
        poll(
            world,
            lambda: _surplus(rescale, world),
            deadline_s=READY_DEADLINE_S,
            what=f"{rescale.step.step}: the Deployment at {rescale.pods} pods",
        )
    for pod in _pods_on(rescale, world):
        world.kube.evict(name_of(pod), namespace=_namespace(pod))


def _surplus(rescale: Rescale, world: World) -> str | None:
    assert rescale.deployment is not None
    assert rescale.pods is not None
    namespace, name = rescale.deployment.split("/")
    living = sum(_is_owned_by(pod, name) for pod in world.kube.list("pods", namespace=namespace) if not _is_terminating(pod))
    return None if living <= rescale.pods else f"{living} pods live"


def _pods_on(rescale: Rescale, world: World) -> list[Manifest]:
    """Pods of leaving nodes that are not going already."""
    pods = world.kube.list("pods")
    return [pod for pod in pods if _spec(pod).get("nodeName") in rescale.remove and not _is_terminating(pod)]


def _await_forgotten(rescale: Rescale, world: World, staying: tuple[str, ...]) -> None:
    """No pod is left on the leaving nodes, no rule of a live node leads to one, and the others serve what is wanted.

    A node that fails meanwhile is not waited for: nobody writes its rules.
    """
    wanted = rescale.wanted(world)

    def lacking(view: ClusterView) -> list[str]:
        on_leaving = view.endpoints_on(rescale.remove)
        failed = {node for node, is_ready in view.nodes.items() if not is_ready}
        programmed = view.programmed_anywhere(view.endpoints_ever_on(rescale.remove))
        held = {node: endpoints for node, endpoints in programmed.items() if node not in failed}
        return [
            *(f"endpoint {name} is on a leaving node" for name in sorted(on_leaving)),
            *(f"rules of {node} still have {', '.join(sorted(left))}" for node, left in sorted(held.items())),
            *lacking_service(view, [node for node in staying if node not in failed], wanted),
        ]

    await_state(world, lacking, deadline_s=DRAIN_DEADLINE_S, what=f"{rescale.step.step}: leaving nodes without endpoints")


def delete_nodes(nodes: Sequence[str], world: World) -> None:
    """For good: the Nodes, so that nothing more is scheduled to them, then by force what pods they have left.

    Without that the pods would count as they were until the pod garbage collector's quarantine is over, and nothing would be
    made in their place. Source: kubernetes.io, "Force Delete StatefulSet Pods", for a machine that is known to be gone.
    """
    for node in nodes:
        world.kube.delete("nodes", node)
    for pod in world.kube.list("pods"):
        if _spec(pod).get("nodeName") in nodes:
            world.kube.delete("pods", name_of(pod), namespace=_namespace(pod), grace_period_s=0)


def report_gone(rescale: Rescale, world: World) -> None:
    """An agent that was still alive when its Node was deleted may have registered once more: deleted again, it stays away."""

    def lacking() -> str | None:
        back = [name_of(node) for node in world.kube.list("nodes") if name_of(node) in rescale.remove]
        delete_nodes(back, world)
        return f"the API still has {', '.join(back)}" if back else None

    poll(world, lacking, deadline_s=READY_DEADLINE_S, what=f"{rescale.step.step}: removed nodes gone from the API")
    await_state(
        world,
        lambda view: [
            f"server {node} of backend {backend} is still there"
            for backend in rescale.backends
            for node in rescale.remove
            if node in view.servers[backend]
        ],
        deadline_s=READY_DEADLINE_S,
        what=f"{rescale.step.step}: removed nodes gone from the load balancer",
    )
    for node in rescale.remove:
        world.emit("node-gone", step=rescale.step.step, node=node)


def _is_owned_by(pod: Manifest, deployment: str) -> bool:
    """Pods are named `<deployment>-<hash of the template>-<suffix>`."""
    return name_of(pod).rsplit("-", 2)[0] == deployment


def _is_terminating(pod: Manifest) -> bool:
    return _metadata(pod).get("deletionTimestamp") is not None


def _namespace(pod: Manifest) -> str:
    return str(_metadata(pod).get("namespace", "default"))


def _metadata(manifest: Manifest) -> Manifest:
    return cast(Manifest, manifest["metadata"])


def _spec(manifest: Manifest) -> Manifest:
    return cast(Manifest, manifest.get("spec", {}))
