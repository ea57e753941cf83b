"""The node's links, namespaces and routes: the one effect module of the kubelet's part, by netlink (pyroute2)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

BRIDGE = "cbr0"
NETNS = Path("/run/netns")
ROUTE_PROTOCOL = 66  # marks our routes (rtnetlink(7): above RTPROT_STATIC, free for the user)


class NodeNetwork:
    """cbr0 with the first address of the pod CIDR, one namespace and veth pair for each pod.

    pyroute2's calls run an event loop of their own, so they have a thread of their own; one, which keeps them in order.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="netlink")
        self._links: Any = None

    async def make_bridge(self, pod_cidr: IPv4Network) -> None:
        """Idempotent."""
        await self._call(self._make_bridge, pod_cidr)

    async def make_pod(self, namespace: str, host_link: str, address: IPv4Address, pod_cidr: IPv4Network) -> None:
        """A namespace with eth0 at `address`, its default route at the bridge, and the other end on the bridge.

        Hairpin mode on the port: a pod that calls its own service is answered through the port that it called from.
        """
        await self._call(self._make_pod, namespace, host_link, address, pod_cidr)

    async def remove_pod(self, namespace: str, host_link: str) -> None:
        """Idempotent."""
        await self._call(self._remove_pod, namespace, host_link)

    async def set_routes(self, routes: Mapping[IPv4Network, IPv4Address]) -> None:
        """Exactly these routes of ours: pod CIDRs of the other nodes."""
        await self._call(self._set_routes, routes)

    async def _call(self, act: Callable[..., None], *arguments: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, act, *arguments)

    @property
    def _ip(self) -> Any:
        if self._links is None:
            from pyroute2 import IPRoute

            self._links = IPRoute()
        return self._links

    def _make_bridge(self, pod_cidr: IPv4Network) -> None:
        from pyroute2.netlink.exceptions import NetlinkError

        found = self._ip.link_lookup(ifname=BRIDGE)
        if not found:
            self._ip.link("add", ifname=BRIDGE, kind="bridge")
            found = self._ip.link_lookup(ifname=BRIDGE)
        address = pod_cidr[1]
        try:
            self._ip.addr("add", index=found[0], address=str(address), prefixlen=pod_cidr.prefixlen)
        except NetlinkError as error:
            if error.code != errno.EEXIST:
                raise
        self._ip.link("set", index=found[0], state="up")

    def _make_pod(self, namespace: str, host_link: str, address: IPv4Address, pod_cidr: IPv4Network) -> None:
        from pyroute2 import NetNS, netns

        self._remove_pod(namespace, host_link)
        netns.create(namespace)
        self._ip.link("add", ifname=host_link, kind="veth", peer={"ifname": "eth0", "net_ns_fd": namespace})
        bridge = self._ip.link_lookup(ifname=BRIDGE)[0]
        port = self._ip.link_lookup(ifname=host_link)[0]
        self._ip.link("set", index=port, master=bridge, state="up")
        self._ip.brport("set", index=port, mode=1)
        pod: Any  # its methods come from a mixin that its types do not show
        with contextlib.closing(NetNS(namespace)) as pod:
            loopback, link = pod.link_lookup(ifname="lo")[0], pod.link_lookup(ifname="eth0")[0]
            pod.link("set", index=loopback, state="up")
            pod.addr("add", index=link, address=str(address), prefixlen=pod_cidr.prefixlen)
            pod.link("set", index=link, state="up")
            pod.route("add", dst="default", gateway=str(pod_cidr[1]))

    def _remove_pod(self, namespace: str, host_link: str) -> None:
        from pyroute2 import netns

        for index in self._ip.link_lookup(ifname=host_link):
            self._ip.link("del", index=index)
        if (NETNS / namespace).exists():
            netns.remove(namespace)

    def _set_routes(self, routes: Mapping[IPv4Network, IPv4Address]) -> None:
        known = {
            IPv4Network((route.get_attr("RTA_DST"), route["dst_len"])): IPv4Address(route.get_attr("RTA_GATEWAY"))
            for route in self._ip.get_routes(family=2, proto=ROUTE_PROTOCOL)
            if route.get_attr("RTA_DST") and route.get_attr("RTA_GATEWAY")
        }
        for network, gateway in routes.items():
            if known.get(network) != gateway:
                self._ip.route("replace", dst=str(network), gateway=str(gateway), proto=ROUTE_PROTOCOL)
        for network in known.keys() - routes.keys():
            self._ip.route("del", dst=str(network), proto=ROUTE_PROTOCOL)
