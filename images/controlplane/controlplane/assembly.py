"""The control plane put together, without the network: store, rules, controllers. Tests use it with a clock of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from controlplane.admission import make_admissions
from controlplane.allocation.services import ServiceAllocator
from controlplane.bootstrap import NAME, ApiService, ApiServiceKeeper, create_first_objects, create_planned_objects
from controlplane.clock import Clock
from controlplane.cluster import Cluster
from controlplane.controllers.announcer import Announcer
from controlplane.controllers.deployments import DeploymentController
from controlplane.controllers.disruption import DisruptionController
from controlplane.controllers.endpoints import EndpointsController
from controlplane.controllers.endpointslice_mirroring import EndpointSliceMirroring
from controlplane.controllers.endpointslices import EndpointSliceController
from controlplane.controllers.garbage import DanglingCollector, GarbageCollector, NamespaceCollector
from controlplane.controllers.indexes import DependentIndex, PodIndex
from controlplane.controllers.load_balancers import LoadBalancerController
from controlplane.controllers.loop import Controller, ControlLoop
from controlplane.controllers.node_lifecycle import NodeLifecycle
from controlplane.controllers.pod_collection import PodCollector
from controlplane.controllers.recorder import EventCollector, Recorder
from controlplane.controllers.replicasets import ReplicaSetController
from controlplane.controllers.scheduler import Scheduler
from controlplane.controllers.series import SeriesRecorder
from controlplane.controllers.service_addresses import IpAddressController, ServiceCidrController
from controlplane.controllers.taint_eviction import TaintEviction
from controlplane.identity import Identities
from controlplane.kinds.registry import STORED
from controlplane.settings import Settings
from controlplane.store.history import Change, ChangeType
from controlplane.store.journal import Journal
from controlplane.store.store import Store, encode
from testbed_init.events import EventSink
from testbed_kube.recording import Stamps


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """What the API serves and what runs behind it."""

    cluster: Cluster
    loop: ControlLoop


def assemble(
    settings: Settings,
    *,
    journal: Journal,
    clock: Clock,
    events: EventSink,
    api_ip: IPv4Address,
    defer: Callable[[Callable[[], None]], object],
) -> ControlPlane:
    """Everything in its place, the first objects made, the controllers following.

    Raises:
        SettingsError: an object of the configuration cannot be created.
    """
    store = Store(journal=journal, clock=clock, plurals=STORED)
    identities = Identities(run_id=settings.run_id, position=lambda: store.version)
    allocator = ServiceAllocator(
        store=store, service_cidr=settings.service_cidr, node_port_range=settings.node_port_range, draw=identities.draw
    )
    admissions = make_admissions(
        store=store,
        services=allocator,
        cluster_cidr=settings.cluster_cidr,
        mask_size=settings.node_cidr_mask_size,
        toleration_s=settings.timings.toleration_s,
    )
    cluster = Cluster(store=store, clock=clock, identities=identities, admissions=admissions)
    Announcer(store=store, clock=clock, events=events)
    loop = ControlLoop(store=store, clock=clock, defer=defer)
    lifecycle, controllers = _make_controllers(cluster, settings, events)
    api_service = ApiService(service_cidr=settings.service_cidr, ip=api_ip, port=settings.bind.port)
    loop.start([*controllers, ApiServiceKeeper(cluster=cluster, api_service=api_service)])
    _replay(store, loop)
    create_first_objects(cluster, api_service)
    create_planned_objects(cluster, settings.objects)
    lifecycle.start()
    return ControlPlane(cluster=cluster, loop=loop)


def _make_controllers(cluster: Cluster, settings: Settings, events: EventSink) -> tuple[NodeLifecycle, list[Controller]]:
    stamps = Stamps()

    def recorder(component: str) -> Recorder:
        return Recorder(cluster=cluster, component=component, stamps=stamps)

    pods = PodIndex(cluster.store)
    scheduling = SeriesRecorder(cluster=cluster, component="default-scheduler", host=settings.container, stamps=stamps)
    lifecycle = NodeLifecycle(cluster=cluster, pods=pods, recorder=recorder("node-controller"), timings=settings.timings)
    return lifecycle, [
        # Endpoints first: of everything that follows a change, the data plane waits only for them.
        EndpointSliceController(cluster=cluster, pods=pods),
        lifecycle,
        EndpointsController(cluster=cluster, pods=pods),
        EndpointSliceMirroring(cluster=cluster, recorder=recorder("endpoint-slice-mirroring-controller")),
        ReplicaSetController(cluster=cluster, pods=pods, recorder=recorder("replicaset-controller")),
        DeploymentController(cluster=cluster, pods=pods, recorder=recorder("deployment-controller")),
        Scheduler(cluster=cluster, pods=pods, recorder=scheduling),
        TaintEviction(cluster=cluster, pods=pods, recorder=recorder("taint-eviction-controller"), events=events),
        DisruptionController(cluster=cluster, pods=pods, recorder=recorder("controllermanager")),
        LoadBalancerController(cluster=cluster, recorder=recorder("service-controller"), pool=settings.external_ip_pool),
        IpAddressController(cluster=cluster),
        ServiceCidrController(cluster=cluster, name=NAME),
        PodCollector(cluster=cluster, pods=pods, node_monitor_period_s=settings.timings.node_monitor_period_s),
        GarbageCollector(cluster=cluster, dependents=DependentIndex(cluster.store)),
        DanglingCollector(cluster=cluster),
        NamespaceCollector(cluster=cluster),
        EventCollector(cluster=cluster),
    ]


def _replay(store: Store, loop: ControlLoop) -> None:
    """After a restart the controllers look at everything once, as if it had just been created."""
    for plural in STORED:
        for item in store.items(plural):
            loop.follow(
                Change(
                    version=store.version,
                    type=ChangeType.ADDED,
                    plural=plural,
                    item=item,
                    before=None,
                    encoded=encode(item),
                    t_mono_ns=0,
                )
            )
