"""Addresses of Services of type LoadBalancer: a cloud's service controller, whose load balancer is the testbed's HAProxy.

Three annotations are what it and the load balancer's agent tell each other (docs/contracts.md section 4): the controller assigns
an address, the agent listens there and says so, and only then does the status show the address. Until then it is `<pending>`,
and a condition says whether the Service has an address, or what it lacks. A finalizer keeps a Service until the agent says that
HAProxy has nothing of it any more.

Source: kubernetes, cloud-provider/controllers/service (addFinalizer, needsCleanup, syncLoadBalancerIfNeeded).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from controlplane.allocation.external_ips import PoolError, pick_external_ip
from controlplane.cluster import Cluster
from controlplane.controllers.recorder import NORMAL, WARNING, Recorder
from controlplane.controllers.service_changes import describe_changes
from controlplane.kinds.service import SERVICES
from controlplane.kinds.service_type import type_of
from controlplane.objects import (
    Key,
    Object,
    annotations_of,
    condition,
    is_terminating,
    key_of,
    spec_of,
    status_of,
    with_condition,
    with_metadata,
    with_status,
)
from controlplane.store.history import Change, ChangeType

EXTERNAL_IP = "ingress-testbed.io/external-ip"
"""The assigned address; written by this controller alone."""
SERVED_IP = "ingress-testbed.io/external-ip-served"
"""The address at which HAProxy listens for every port of the Service; written by the load balancer's agent."""
RELEASED = "ingress-testbed.io/external-ip-released"
"""HAProxy serves the Service no more; written by the load balancer's agent, on a Service that is to be cleaned up."""
OWN_ANNOTATIONS = (EXTERNAL_IP, SERVED_IP, RELEASED)
CLEANUP_FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
SYNCED = "ingress-testbed.io/LoadBalancerSynced"
"""Condition: True while the Service has the address that it asks for; False says what keeps it from one."""


class _Obstacle(NamedTuple):
    """Why a Service cannot have what it asks for: reason and message of its condition."""

    reason: str
    message: str


class LoadBalancerController:
    """Gives an address, and takes it back when the Service or its type goes: once HAProxy has let go of it, whenever that is.

    A Service with a loadBalancerClass is somebody else's.
    """

    def __init__(self, *, cluster: Cluster, recorder: Recorder, pool: IPv4Network | None) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._pool = pool
        self._seen: dict[Key, Object] = {}
        """Each Service as it was looked at last: what has changed since is told."""
        self._cleaning: set[str] = set()
        """Uids of Services of which it was told that their load balancer is being deleted."""

    def affected(self, change: Change) -> Iterable[Key]:
        if change.plural != "services":
            return
        if change.type is not ChangeType.DELETED:
            yield key_of(change.item)
        freed = change.before is not None and assigned_ip(change.before)
        if freed and (change.type is ChangeType.DELETED or assigned_ip(change.item) != freed):
            # It may be what others wait for.
            for service in self._cluster.store.items("services"):
                if type_of(service) == "LoadBalancer" and not _is_content(service):
                    yield key_of(service)

    def reconcile(self, key: Key) -> None:
        service = self._cluster.store.find("services", *key)
        if service is None:
            self._seen.pop(key, None)
            return
        self._tell_changes(key, service)
        if type_of(service) != "LoadBalancer" or is_terminating(service):
            self._clean_up(service)
            return
        self._cleaning.discard(service["metadata"]["uid"])
        if spec_of(service).get("loadBalancerClass") or self._pool is None:
            return
        service = self._hold(service)
        if (held := assigned_ip(service)) and not self._may_hold(service, held, self._pool):
            held = ""
            self._write(service, address="", served="", conditions=_conditions_of(service))
            service = self._cluster.store.find("services", *key) or service
        address, served, obstacle = held, annotations_of(service).get(SERVED_IP, ""), _why_not_served(service)
        if obstacle is not None:
            served = ""
        elif not _is_content(service):
            address, obstacle = self._choose(service, self._pool, held)
            served = served if address == held else ""
        conditions = self._tell_obstacle(service, obstacle) if obstacle else self._told_of(service, address)
        if address != held:
            self._recorder.record(service, NORMAL, "EnsuringLoadBalancer", "Ensuring load balancer")
        self._write(service, address=address, served=served, conditions=conditions)

    def _hold(self, service: Object) -> Object:
        """With the finalizer, before anything is provisioned; without what an agent said that let go of it once."""
        finalizers = service["metadata"].get("finalizers") or []
        annotations = {key: text for key, text in annotations_of(service).items() if key != RELEASED}
        if CLEANUP_FINALIZER in finalizers and annotations == annotations_of(service):
            return service
        kept = [name for name in finalizers if name != CLEANUP_FINALIZER]
        changed = with_metadata(service, finalizers=[*kept, CLEANUP_FINALIZER], annotations=annotations)
        return self._cluster.store.update("services", changed)

    def _tell_changes(self, key: Key, service: Object) -> None:
        old = self._seen.get(key)
        self._seen[key] = service
        if old is None or old["metadata"]["uid"] != service["metadata"]["uid"]:
            return
        for reason, message in describe_changes(old, service):
            self._recorder.record(service, NORMAL, reason, message)

    def _clean_up(self, service: Object) -> None:
        metadata = service["metadata"]
        finalizers = metadata.get("finalizers") or []
        if CLEANUP_FINALIZER not in finalizers:
            return
        is_held, uid = bool(assigned_ip(service)), metadata["uid"]
        if is_held and uid not in self._cleaning:
            self._cleaning.add(uid)
            self._recorder.record(service, NORMAL, "DeletingLoadBalancer", "Deleting load balancer")
        if is_held and RELEASED not in annotations_of(service):
            return
        self._cleaning.discard(uid)
        left = [name for name in finalizers if name != CLEANUP_FINALIZER]
        others = [entry for entry in _conditions_of(service) if entry.get("type") != SYNCED]
        self._write(service, address="", served="", conditions=others)
        # By way of the cluster: with its last finalizer a Service that is being deleted goes.
        self._cluster.update(SERVICES, key_of(service), lambda before: with_metadata(before, finalizers=left))
        self._recorder.record(service, NORMAL, "DeletedLoadBalancer", "Deleted load balancer")

    def _may_hold(self, service: Object, address: str, pool: IPv4Network) -> bool:
        """Whether the address is one of the pool that no older Service has: an annotation may have been copied, or made up."""
        if (found := _address(address)) is None or found not in pool:
            return False
        others = (item for item in self._cluster.store.items("services") if key_of(item) != key_of(service))
        return not any(assigned_ip(other) == address and _age(other) < _age(service) for other in others)

    def _choose(self, service: Object, pool: IPv4Network, held: str) -> tuple[str, _Obstacle | None]:
        """The address that is asked for, or any; if it cannot be had, the one that is held and why."""
        others = (item for item in self._cluster.store.items("services") if key_of(item) != key_of(service))
        used = {address for item in others if (address := _address(assigned_ip(item))) is not None}
        try:
            return str(pick_external_ip(pool, used=used, wanted=spec_of(service).get("loadBalancerIP", ""))), None
        except PoolError as error:
            return held, _Obstacle(error.reason, str(error))

    def _write(self, service: Object, *, address: str, served: str, conditions: list[Object]) -> None:
        """Bring annotations and status to this, where they are not."""
        annotations = {key: text for key, text in annotations_of(service).items() if key not in OWN_ANNOTATIONS}
        annotations |= {key: text for key, text in ((EXTERNAL_IP, address), (SERVED_IP, served)) if text}
        is_served = bool(address) and served == address
        balancer = {"ingress": [{"ip": address, "ipMode": "VIP"}]} if is_served else {}
        was = _load_balancer_of(service)
        if annotations == annotations_of(service) and balancer == was and conditions == _conditions_of(service):
            return
        changed = with_status(with_metadata(service, annotations=annotations), loadBalancer=balancer)
        if conditions or _conditions_of(service):
            changed = with_status(changed, conditions=conditions)
        self._cluster.store.update("services", changed)
        if is_served and balancer != was:
            self._recorder.record(changed, NORMAL, "EnsuredLoadBalancer", "Ensured load balancer")

    def _told_of(self, service: Object, address: str) -> list[Object]:
        entry = {"type": SYNCED, "status": "True", "reason": "AddressAssigned", "message": f"{address} is assigned"}
        return with_condition(_conditions_of(service), entry, self._cluster.now())

    def _tell_obstacle(self, service: Object, obstacle: _Obstacle) -> list[Object]:
        """The conditions with it; the first time it is an Event too."""
        entry = {"type": SYNCED, "status": "False", **obstacle._asdict()}
        before = condition(service, SYNCED) or {}
        if any(before.get(key) != text for key, text in entry.items()):
            message = f"Error syncing load balancer: failed to ensure load balancer: {obstacle.message}"
            self._recorder.record(service, WARNING, "SyncLoadBalancerFailed", message)
        return with_condition(_conditions_of(service), entry, self._cluster.now())


def _is_content(service: Object) -> bool:
    """Whether it holds an address, and the one that it asks for if it asks for one."""
    wanted, held = spec_of(service).get("loadBalancerIP", ""), assigned_ip(service)
    return bool(held) and wanted in ("", held)


def assigned_ip(service: Object) -> str:
    """The address that a Service holds, shown yet or not; empty if none.

    The status counts too: a client that replaces the object whole takes the annotation away, and the address is to stay.
    """
    if text := annotations_of(service).get(EXTERNAL_IP):
        return text
    return next((entry["ip"] for entry in _load_balancer_of(service).get("ingress") or () if entry.get("ip")), "")


def _address(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except ValueError:
        return None


def _age(service: Object) -> tuple[str, Key]:
    """Of two, the older is the smaller."""
    return str(service["metadata"].get("creationTimestamp") or ""), key_of(service)


def _conditions_of(service: Object) -> list[Object]:
    return list(status_of(service).get("conditions") or ())


def _load_balancer_of(service: Object) -> Mapping[str, list[Object]]:
    found: Mapping[str, list[Object]] = status_of(service).get("loadBalancer") or {}
    return found


def _why_not_served(service: Object) -> _Obstacle | None:
    """What HAProxy, which forwards TCP to node ports, cannot do for this Service."""
    for port in spec_of(service).get("ports") or ():
        name = port.get("name") or port["port"]
        if port.get("protocol", "TCP") != "TCP":
            return _Obstacle("ProtocolNotSupported", f"port {name}: this load balancer forwards TCP only, not {port['protocol']}")
        if not port.get("nodePort"):
            return _Obstacle(
                "NoNodePort",
                f"port {name} has no node port, which this load balancer forwards to: "
                "set allocateLoadBalancerNodePorts to true, or give the port a nodePort",
            )
    return None
