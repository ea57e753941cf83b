"""The agent's tasks, put together: registration, lease, status, pods, routes, rules."""

from __future__ import annotations

import asyncio
import datetime
import gc
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from nodeagent.api import Api
from nodeagent.kubelet.addresses import Addresses
from nodeagent.kubelet.host_ports import map_pod
from nodeagent.kubelet.network import BRIDGE, NodeNetwork
from nodeagent.kubelet.node import NodeStatus
from nodeagent.kubelet.pod import Pod
from nodeagent.kubelet.pod_spec import PodSpec, read_pod
from nodeagent.kubelet.pods import Pods
from nodeagent.kubelet.port_mapper import IptablesMappings, NftablesMappings, PortMapper
from nodeagent.kubelet.recorder import Recorder
from nodeagent.kubelet.routes import read_route, read_routes
from nodeagent.kubelet.unplaced import UnplacedPod
from nodeagent.observer.observer import RulesObserver
from nodeagent.proxy.duties import ProxyDuties
from nodeagent.proxy.endpoints import read_slice
from nodeagent.proxy.flow_table import FlowTable
from nodeagent.proxy.gate import Gate, OnChange
from nodeagent.proxy.iptables.tools import IptablesTools
from nodeagent.proxy.iptables.writer import IptablesRules, tracking_is_liberal
from nodeagent.proxy.local_pods import detect_local
from nodeagent.proxy.nftables import Nftables, NftablesRules
from nodeagent.proxy.node_ports import NodePortAddresses
from nodeagent.proxy.part import ProxyPart
from nodeagent.proxy.proxy import Proxy
from nodeagent.proxy.rules import RulesError, RuleWriter
from nodeagent.proxy.ruleset import Network
from nodeagent.proxy.services import read_service
from nodeagent.settings import Settings
from testbed_init.events import Clock, EventSink
from testbed_kube.watch import ResourceWatch, open_session

Object = Mapping[str, Any]


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)  # noqa: TID251  the API's time stamps; nothing is measured with it


ZONE = "topology.kubernetes.io/zone"


class Agent:
    def __init__(self, *, settings: Settings, ca_file: Path, events: EventSink, clock: Clock) -> None:
        self._settings = settings
        self._ca_file = ca_file
        self._events = events
        self._clock = clock
        self._network = NodeNetwork()
        self._node_ports = NodePortAddresses(node_ip=str(settings.internal_ip), networks=settings.node_port_networks)
        self._tools = IptablesTools()
        mappings = IptablesMappings(self._tools) if settings.mode == "iptables" else NftablesMappings(Nftables())
        self._port_mapper = PortMapper(mappings=mappings, flows=FlowTable())
        self._routes: dict[IPv4Network, IPv4Address] = {}
        self._routes_changed = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        with closing(self._tools):
            await self._run()

    async def _run(self) -> None:
        settings = self._settings
        rules: ProxyPart | RulesObserver | None = None
        async with open_session(api_url=settings.api_url, token=settings.token, ca_file=self._ca_file) as session:
            api = Api(session)
            recorder = Recorder(node=settings.node, api=api, now=now)

            def is_ready() -> bool:
                return rules is not None and rules.synced.is_set()

            status = NodeStatus(settings=settings, api=api, recorder=recorder, events=self._events, now=now, ready=is_ready)
            # Rules by the node's own network or addresses wait for them; all others are written while the node registers.
            own = settings.detect_local == "NodeCIDR" or self._node_ports.depend_on_interfaces
            node: Object | None = None
            if settings.rule_writer == "agent" and own:
                node = await status.register()
                await self._network.make_bridge(IPv4Network(node["spec"]["podCIDR"]))

            def watch(path: str, resource: str, on_change: Any, read: Callable[[Object], object]) -> ResourceWatch:
                return ResourceWatch(
                    session=session,
                    path=path,
                    resource=resource,
                    on_change=on_change,
                    events=self._events,
                    clock=self._clock,
                    read=read,
                )

            def watch_services(on_services: OnChange, on_slices: OnChange) -> tuple[ResourceWatch, ResourceWatch]:
                services = "/api/v1/services?labelSelector=!service.kubernetes.io/service-proxy-name"
                slices = "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=!service.kubernetes.io/headless"
                return (
                    watch(services, "services", on_services, read_service),
                    watch(slices, "endpointslices", on_slices, read_slice),
                )

            if settings.rule_writer == "agent":
                rules = ProxyPart(
                    make=partial(self._make_proxy, None if node is None else str(node["spec"]["podCIDR"])),
                    watches=watch_services,
                    zone_of=partial(zone_of, name=settings.node),
                    clock=self._clock,
                )
                rules.listen()
            else:
                rules = RulesObserver(node=settings.node, mode=settings.mode, events=self._events, clock=self._clock)

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(rules.run())
                node = node or await status.register()
                tasks.create_task(status.keep_lease())
                tasks.create_task(recorder.run())
                pod_cidr = IPv4Network(node["spec"]["podCIDR"])
                await self._network.make_bridge(pod_cidr)
                addresses = Addresses(pod_cidr)

                def make_unplaced(spec: PodSpec) -> UnplacedPod:
                    return UnplacedPod(spec=spec, addresses=addresses, api=api, recorder=recorder)

                pods = Pods(
                    addresses=addresses,
                    make_pod=self._pod_factory(pod_cidr, api, recorder),
                    make_unplaced=make_unplaced,
                    on_adopted=self._adopter(pod_cidr),
                )

                def on_nodes(nodes: Collection[Object]) -> None:
                    if isinstance(rules, ProxyPart):
                        rules.on_nodes(nodes)
                    for found in nodes:
                        if found["metadata"]["name"] == settings.node:
                            status.note(found)
                    self._on_nodes(nodes)

                tasks.create_task(watch("/api/v1/nodes", "nodes", on_nodes, read_route).run())
                tasks.create_task(self._keep_routes())
                mine = f"/api/v1/pods?fieldSelector=spec.nodeName={settings.node}"
                tasks.create_task(watch(mine, "pods", pods.on_pods, read_pod).run())
                await rules.synced.wait()
                # What is there now stays; a collection that walks it is a pause in the middle of a sync, 25 to 50 ms with 1,000
                # Services.
                gc.freeze()
                await forget_untranslated(settings.service_cidr)
                tasks.create_task(status.keep_status())

    def _make_proxy(self, node_cidr: str | None, gate: Gate) -> tuple[ProxyDuties, Proxy]:
        settings = self._settings
        duties = ProxyDuties(
            node=settings.node,
            mode=settings.mode,
            node_ip=str(settings.internal_ip),
            node_port_ips=self._node_ports.now(),
            sync_period_s=settings.sync_period_s,
            events=self._events,
            clock=self._clock,
            now=now,
            gate=gate,
        )
        return duties, Proxy(
            node=settings.node,
            zone=settings.labels.get(ZONE, ""),
            rules=self._make_rules(node_cidr),
            events=duties.events,
            clock=self._clock,
            min_sync_period_s=settings.min_sync_period_s,
            sync_period_s=settings.sync_period_s,
            after_commit=duties.after_commit,
            gate=gate,
        )

    def _make_rules(self, node_cidr: str | None) -> RuleWriter:
        settings = self._settings
        network = Network(
            node_ip=str(settings.internal_ip),
            service_cidr=str(settings.service_cidr),
            local_pods=detect_local(
                settings.detect_local, cluster_cidr=str(settings.cluster_cidr), node_cidr=node_cidr, bridge=BRIDGE
            ),
            masquerade_all=settings.masquerade_all,
            node_port_ips=self._node_ports.now(),
        )
        if settings.mode == "iptables":
            return IptablesRules(
                network, self._tools, node_port_ips=self._node_ports.now, drops_invalid=not tracking_is_liberal()
            )
        return NftablesRules(network, Nftables(), node_port_ips=self._node_ports.now)

    def _pod_factory(self, pod_cidr: IPv4Network, api: Api, recorder: Recorder) -> Any:
        def make(spec: PodSpec, address: IPv4Address | None) -> Pod:
            return Pod(
                spec=spec,
                node=self._settings.node,
                node_ip=self._settings.internal_ip,
                address=address,
                pod_cidr=pod_cidr,
                network=self._network,
                port_mapper=self._port_mapper,
                api=api,
                recorder=recorder,
                events=self._events,
                now=now,
            )

        return make

    def _adopter(self, pod_cidr: IPv4Network) -> Any:
        def adopt(running: Collection[tuple[PodSpec, IPv4Address]]) -> None:
            mapped = [map_pod(spec, address, pod_cidr) for spec, address in running]
            try:
                self._port_mapper.start([pod for pod in mapped if pod is not None])
            except RulesError as error:  # each pod with host ports tries again by itself
                self._events.emit("host-ports-failed", node=self._settings.node, pod=None, error=str(error))

        return adopt

    def _on_nodes(self, nodes: Collection[Object]) -> None:
        routes = read_routes(nodes, own=self._settings.node)
        if routes != self._routes:
            self._routes = routes
            self._routes_changed.set()

    async def _keep_routes(self) -> None:
        """For ever: the kernel's routes follow the Node objects."""
        while True:
            await self._routes_changed.wait()
            self._routes_changed.clear()
            routes = dict(self._routes)
            await self._network.set_routes(routes)
            told = {str(network): str(gateway) for network, gateway in sorted(routes.items())}
            self._events.emit("routes-changed", node=self._settings.node, routes=told)


def zone_of(nodes: Collection[Object], name: str) -> str:
    """What the Node object says; empty where it says nothing."""
    labels = next((node["metadata"].get("labels") for node in nodes if node["metadata"]["name"] == name), None)
    return str((labels or {}).get(ZONE, ""))


async def forget_untranslated(service_cidr: IPv4Network) -> None:
    """Drop unanswered flows to service addresses that were tracked while the first rules were being put in place.

    Hooks are registered one after the other: a SYN in between is tracked and not translated, and conntrack would treat later
    connections from its port alike for 120 s (nf_conntrack_tcp_timeout_syn_sent). One that is just beginning sends its SYN again.
    """
    argv = ("conntrack", "-D", "-p", "tcp", "--state", "SYN_SENT", "-d", str(service_cidr))
    # Status 1 says that there was none.
    quiet = asyncio.subprocess.DEVNULL
    await (await asyncio.create_subprocess_exec(*argv, stdout=quiet, stderr=quiet)).wait()
