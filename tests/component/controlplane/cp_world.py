"""A control plane in memory, on a clock that the test moves, with nodes whose kubelet obeys at once."""

import json
from collections.abc import Iterable
from ipaddress import IPv4Address

from controlplane.api.bodies import decode_as, place_object
from controlplane.api.paths import Target
from controlplane.assembly import ControlPlane, assemble
from controlplane.clock import Clock, ManualClock, render_micro_time, render_time
from controlplane.controllers.load_balancers import CLEANUP_FINALIZER, RELEASED
from controlplane.controllers.loop import ControlLoop
from controlplane.deletion import DeleteOptions
from controlplane.kinds.registry import by_stored, find_kind
from controlplane.objects import (
    Key,
    Object,
    annotations_of,
    condition,
    is_terminating,
    key_of,
    name_of,
    spec_of,
    status_of,
    with_metadata,
)
from controlplane.settings import Settings, decode_settings
from controlplane.store.history import Change, ChangeType
from controlplane.store.journal import Journal
from testbed_init.events import RecordedEvents

TIMINGS = {
    "node_monitor_period_s": 5.0,
    "node_monitor_grace_period_s": 50.0,
    "node_startup_grace_period_s": 60.0,
    "toleration_s": 300.0,
    "eviction_rate_per_s": 0.1,
}


def make_settings(**changes: object) -> Settings:
    settings = {
        "bind": "127.0.0.1:6443",
        "token": "secret",
        "cluster_cidr": "10.0.0.0/16",
        "service_cidr": "10.3.240.0/20",
        "external_ip_pool": "198.18.0.128/26",
        "timings": TIMINGS,
    } | changes
    config = {"run_id": "test", "container": "controlplane", "default_via": None, "settings": settings}
    return decode_settings(json.dumps(config).encode())


class Kubelets:
    """The kubelet's part of every node that is switched on: starts pods, ends them, renews leases."""

    def __init__(self, plane: ControlPlane, clock: Clock) -> None:
        self._plane = plane
        self._clock = clock
        self.alive: set[str] = set()
        self.readies = True
        self.ends_pods = True
        self._addresses = 1

    def affected(self, change: Change) -> Iterable[Key]:
        if change.plural == "pods" and change.type is not ChangeType.DELETED:
            yield key_of(change.item)

    def reconcile(self, key: Key) -> None:
        store = self._plane.cluster.store
        pod = store.find("pods", *key)
        if pod is None or spec_of(pod).get("nodeName") not in self.alive:
            return
        if is_terminating(pod):
            if self.ends_pods:
                self._plane.cluster.delete(by_stored("pods"), key, DeleteOptions(grace_period_s=0))
        elif not status_of(pod).get("podIP"):
            self._addresses += 1
            self.report(pod, ready=self.readies, ip=f"10.0.{self._addresses >> 8}.{self._addresses & 255}")

    def report(self, pod: Object, *, ready: bool, ip: str | None = None) -> None:
        text = "True" if ready else "False"
        now = render_time(self._clock.now())
        status = {
            **status_of(pod),
            "phase": "Running",
            "podIP": ip or status_of(pod)["podIP"],
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", "status": text, "lastTransitionTime": now},
            ],
            "containerStatuses": [{"name": "web", "ready": ready, "restartCount": 0}],
        }
        self._plane.cluster.store.update("pods", {**pod, "status": status})


class Balancer:
    """The load balancer's part: lets go at once of every Service that is to go, unless it is down."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self.is_up = True

    def affected(self, change: Change) -> Iterable[Key]:
        if change.plural == "services" and change.type is not ChangeType.DELETED:
            yield key_of(change.item)

    def reconcile(self, key: Key) -> float | None:
        service = self._plane.cluster.store.find("services", *key)
        if service is None or CLEANUP_FINALIZER not in (service["metadata"].get("finalizers") or ()):
            return None
        if not is_terminating(service) and spec_of(service)["type"] == "LoadBalancer":
            return None
        if not self.is_up:
            return 0.5
        annotations = {**annotations_of(service), RELEASED: "true"}
        self._plane.cluster.store.update("services", with_metadata(service, annotations=annotations))
        return None


class World:
    """The control plane and what a test does to it; every act runs the controllers until they are done."""

    def __init__(self, *, journal: Journal | None = None, clock: ManualClock | None = None, **settings: object) -> None:
        self.clock = clock or ManualClock()
        self.events = RecordedEvents()
        self.journal = journal or Journal(None, keep=1000)
        self.plane = assemble(
            make_settings(**settings),
            journal=self.journal,
            clock=self.clock,
            events=self.events,
            api_ip=IPv4Address("10.100.0.250"),
            defer=lambda call: None,
        )
        self.cluster = self.plane.cluster
        self.store = self.cluster.store
        self.kubelets = Kubelets(self.plane, self.clock)
        self._kubelet_loop = ControlLoop(store=self.store, clock=self.clock, defer=lambda call: None)
        self.balancer = Balancer(self.plane)
        self._kubelet_loop.start([self.kubelets, self.balancer])
        self.settle()

    def settle(self) -> None:
        before = -1
        while before != self.store.version:
            before = self.store.version
            self.plane.loop.drain()
            self._kubelet_loop.drain()

    def advance(self, seconds: float, *, step_s: float = 1.0) -> None:
        """Time passes: living nodes renew their leases, controllers act at their instants."""
        left = seconds
        while left > 1e-9:
            self.clock.advance(min(step_s, left))
            left -= step_s
            for node in sorted(self.kubelets.alive):
                self.renew(node)
            self.settle()

    def create(self, raw: Object, namespace: str = "default", *, settles: bool = True) -> Object:
        resource = find_kind(raw["apiVersion"], raw["kind"])
        assert resource is not None, raw
        item = decode_as(resource, raw, validation="Strict").item
        place_object(item, Target(resource=resource, namespace=raw.get("metadata", {}).get("namespace", namespace)))
        created = self.cluster.create(resource, item)
        if settles:
            self.settle()
        return created

    def change(self, plural: str, name: str, patch: Object, namespace: str = "default", subresource: str = "") -> Object:
        from controlplane.patching.merge import apply_merge_patch

        resource = by_stored(plural)
        key = (namespace if resource.is_namespaced else "", name)
        updated = self.cluster.update(
            resource,
            key,
            lambda before: decode_as(resource, apply_merge_patch(before, patch), validation="Ignore").item,
            subresource=subresource,
        )
        self.settle()
        return updated

    def delete(self, plural: str, name: str, namespace: str = "default", **options: object) -> None:
        resource = by_stored(plural)
        self.cluster.delete(resource, (namespace if resource.is_namespaced else "", name), DeleteOptions(**options))
        self.settle()

    def get(self, plural: str, name: str, namespace: str = "default") -> Object:
        found = self.store.find(plural, namespace if by_stored(plural).is_namespaced else "", name)
        assert found is not None, f"{plural}/{name} is not there"
        return found

    def exists(self, plural: str, name: str, namespace: str = "default") -> bool:
        return self.store.find(plural, namespace if by_stored(plural).is_namespaced else "", name) is not None

    def pods(self) -> list[Object]:
        return sorted(self.store.items("pods"), key=key_of)

    def add_node(self, name: str, *, ready: bool = True, **spec: object) -> Object:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec, "status": node_status(False)}
        created = self.create(node)
        self.kubelets.alive.add(name)
        self.renew(name)
        if ready:
            self.report_node(name, ready=True)
        return self.get("nodes", name) or created

    def report_node(self, name: str, *, ready: bool) -> None:
        self.change("nodes", name, {"status": node_status(ready)}, subresource="status")

    def renew(self, name: str) -> None:
        spec = {"holderIdentity": name, "renewTime": render_micro_time(self.clock.now())}
        if self.exists("leases", name, "kube-node-lease"):
            self.change("leases", name, {"spec": spec}, namespace="kube-node-lease")
        else:
            metadata = {"name": name, "namespace": "kube-node-lease"}
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            self.create(lease, namespace="kube-node-lease")

    def kill_node(self, name: str) -> None:
        self.kubelets.alive.discard(name)

    def revive_node(self, name: str) -> None:
        """The agent registers again and starts its pods anew."""
        self.kubelets.alive.add(name)
        self.renew(name)
        self.report_node(name, ready=True)
        for pod in self.pods():
            if spec_of(pod).get("nodeName") == name:
                self.kubelets.report(pod, ready=True)
        self.settle()

    def endpoints(self, service: str = "web") -> dict[str, Object]:
        """Conditions of each endpoint by its address and port."""
        found = {}
        for item in self.store.items("endpointslices", "default"):
            if item["metadata"]["labels"].get("kubernetes.io/service-name") != service:
                continue
            for endpoint in item["endpoints"]:
                for port in item["ports"]:
                    found[f"{endpoint['addresses'][0]}:{port['port']}"] = endpoint["conditions"]
        return found

    def ready_status(self, node: str) -> str | None:
        entry = condition(self.get("nodes", node), "Ready")
        return None if entry is None else entry["status"]


def node_status(ready: bool) -> Object:
    return {
        "conditions": [
            {"type": "Ready", "status": "True" if ready else "False", "reason": "KubeletReady" if ready else "KubeletNotReady"}
        ],
        "addresses": [{"type": "InternalIP", "address": "10.100.0.2"}],
    }


def deployment(name: str = "web", replicas: int = 3, **spec: object) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container()]},
            },
        }
        | spec,
    }


def container(image: str = "nginx", **fields: object) -> Object:
    return {"name": "web", "image": image, "ports": [{"name": "http", "containerPort": 8080}]} | fields


def pod(name: str, *, labels: Object | None = None, **spec: object) -> Object:
    metadata = {"name": name, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container()]} | spec}


def service(name: str = "web", *, ports: list[Object] | None = None, **spec: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": ports or [{"name": "http", "port": 80, "targetPort": "http"}]} | spec,
    }


def names(items: Iterable[Object]) -> list[str]:
    return sorted(name_of(item) for item in items)
