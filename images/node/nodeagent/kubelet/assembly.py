"""The node's pods, put together: what each of them needs of the node."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network

from nodeagent.api import Api
from nodeagent.kubelet.addresses import Addresses
from nodeagent.kubelet.host_ports import map_pod
from nodeagent.kubelet.network import NodeNetwork
from nodeagent.kubelet.pod import Pod
from nodeagent.kubelet.pod_spec import PodSpec
from nodeagent.kubelet.pod_status import Now
from nodeagent.kubelet.pods import Pods
from nodeagent.kubelet.port_mapper import PortMapper
from nodeagent.kubelet.recorder import Recorder
from nodeagent.kubelet.unplaced import UnplacedPod
from nodeagent.proxy.rules import RulesError
from testbed_init.events import EventSink


def assemble_pods(
    *,
    node: str,
    node_ip: IPv4Address,
    pod_cidr: IPv4Network,
    network: NodeNetwork,
    port_mapper: PortMapper,
    api: Api,
    recorder: Recorder,
    events: EventSink,
    now: Now,
) -> Pods:
    """None runs before it is told of them."""
    addresses = Addresses(pod_cidr)

    def make_pod(spec: PodSpec, address: IPv4Address | None) -> Pod:
        return Pod(
            spec=spec,
            node=node,
            node_ip=node_ip,
            address=address,
            pod_cidr=pod_cidr,
            network=network,
            port_mapper=port_mapper,
            api=api,
            recorder=recorder,
            events=events,
            now=now,
        )

    def make_unplaced(spec: PodSpec) -> UnplacedPod:
        return UnplacedPod(spec=spec, addresses=addresses, api=api, recorder=recorder)

    def adopt(running: Collection[tuple[PodSpec, IPv4Address]]) -> None:
        mapped = [map_pod(spec, address, pod_cidr) for spec, address in running]
        try:
            port_mapper.start([pod for pod in mapped if pod is not None])
        except RulesError as error:  # each pod with host ports tries again by itself
            events.emit("host-ports-failed", node=node, pod=None, error=str(error))

    return Pods(addresses=addresses, make_pod=make_pod, make_unplaced=make_unplaced, on_adopted=adopt)
