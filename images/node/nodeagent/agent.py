"""The agent's tasks, put together: registration, lease, status, pods, routes, rules."""

from __future__ import annotations

import asyncio
import datetime
import gc
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from nodeagent.api import Api
from nodeagent.kubelet.assembly import assemble_pods
from nodeagent.kubelet.network import NodeNetwork
from nodeagent.kubelet.node import NodeStatus
from nodeagent.kubelet.pod_spec import read_pod
from nodeagent.kubelet.port_mapper import IptablesMappings, NftablesMappings, PortMapper
from nodeagent.kubelet.recorder import Recorder
from nodeagent.kubelet.route_keeper import RouteKeeper
from nodeagent.kubelet.routes import read_route
from nodeagent.observer.observer import RulesObserver
from nodeagent.proxy.assembly import ProxyAssembly
from nodeagent.proxy.endpoints import read_slice
from nodeagent.proxy.flow_table import FlowTable
from nodeagent.proxy.gate import OnChange
from nodeagent.proxy.iptables.tools import IptablesTools
from nodeagent.proxy.nftables import Nftables
from nodeagent.proxy.node_ports import NodePortAddresses
from nodeagent.proxy.part import ProxyPart
from nodeagent.proxy.services import read_service
from nodeagent.settings import Settings
from testbed_init.events import Clock, EventSink
from testbed_kube.watch import ResourceWatch, open_session

Object = Mapping[str, Any]


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)  # noqa: TID251  the API's time stamps; nothing is measured with it


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

    async def run(self) -> None:
        """Until cancelled."""
        settings = self._settings
        with closing(self._tools):
            async with open_session(api_url=settings.api_url, token=settings.token, ca_file=self._ca_file) as session:

                def watch(path: str, resource: str, on_change: OnChange, read: Callable[[Object], object]) -> ResourceWatch:
                    return ResourceWatch(
                        session=session,
                        path=path,
                        resource=resource,
                        on_change=on_change,
                        events=self._events,
                        clock=self._clock,
                        read=read,
                    )

                await self._run(Api(session), watch)

    async def _run(self, api: Api, watch: Callable[..., ResourceWatch]) -> None:
        settings = self._settings
        rules: ProxyPart | RulesObserver | None = None
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
        rules = self._make_rules(watch, None if node is None else str(node["spec"]["podCIDR"]))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(rules.run())
            node = node or await status.register()
            tasks.create_task(status.keep_lease())
            tasks.create_task(recorder.run())
            pod_cidr = IPv4Network(node["spec"]["podCIDR"])
            await self._network.make_bridge(pod_cidr)
            pods = assemble_pods(
                node=settings.node,
                node_ip=settings.internal_ip,
                pod_cidr=pod_cidr,
                network=self._network,
                port_mapper=self._port_mapper,
                api=api,
                recorder=recorder,
                events=self._events,
                now=now,
            )
            routes = RouteKeeper(node=settings.node, network=self._network, events=self._events)

            def on_nodes(nodes: Collection[Object]) -> None:
                if isinstance(rules, ProxyPart):
                    rules.on_nodes(nodes)
                for found in nodes:
                    if found["metadata"]["name"] == settings.node:
                        status.note(found)
                routes.on_nodes(nodes)

            tasks.create_task(watch("/api/v1/nodes", "nodes", on_nodes, read_route).run())
            tasks.create_task(routes.run())
            mine = f"/api/v1/pods?fieldSelector=spec.nodeName={settings.node}"
            tasks.create_task(watch(mine, "pods", pods.on_pods, read_pod).run())
            await rules.synced.wait()
            # What is there now stays; a collection that walks it is a pause in the middle of a sync, 25 to 50 ms with 1,000
            # Services.
            gc.freeze()
            await forget_untranslated(settings.service_cidr)
            tasks.create_task(status.keep_status())

    def _make_rules(self, watch: Callable[..., ResourceWatch], node_cidr: str | None) -> ProxyPart | RulesObserver:
        """Who writes them from here, or looks on."""
        settings = self._settings
        if settings.rule_writer != "agent":
            return RulesObserver(node=settings.node, mode=settings.mode, events=self._events, clock=self._clock)
        assembly = ProxyAssembly(
            settings=settings,
            tools=self._tools,
            node_ports=self._node_ports,
            events=self._events,
            clock=self._clock,
            now=now,
        )

        def watches(on_services: OnChange, on_slices: OnChange) -> tuple[ResourceWatch, ResourceWatch]:
            services = "/api/v1/services?labelSelector=!service.kubernetes.io/service-proxy-name"
            slices = "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=!service.kubernetes.io/headless"
            return (
                watch(services, "services", on_services, read_service),
                watch(slices, "endpointslices", on_slices, read_slice),
            )

        part = ProxyPart(make=partial(assembly.make, node_cidr), watches=watches, zone_of=assembly.zone, clock=self._clock)
        part.listen()
        return part


async def forget_untranslated(service_cidr: IPv4Network) -> None:
    """Drop unanswered flows to service addresses that were tracked while the first rules were being put in place.

    Hooks are registered one after the other: a SYN in between is tracked and not translated, and conntrack would treat later
    connections from its port alike for 120 s (nf_conntrack_tcp_timeout_syn_sent). One that is just beginning sends its SYN again.
    """
    argv = ("conntrack", "-D", "-p", "tcp", "--state", "SYN_SENT", "-d", str(service_cidr))
    # Status 1 says that there was none.
    quiet = asyncio.subprocess.DEVNULL
    await (await asyncio.create_subprocess_exec(*argv, stdout=quiet, stderr=quiet)).wait()
