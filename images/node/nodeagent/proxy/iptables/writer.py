"""Brings the kernel's tables from one state to the next: all of it at first and after a failure, else what differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nodeagent.proxy.iptables.chains import Tables, TablesRenderer
from nodeagent.proxy.iptables.restore import canaries_missing, render_full, render_partial
from nodeagent.proxy.iptables.tools import Tools
from nodeagent.proxy.network import Network
from nodeagent.proxy.services import ServicePort

BE_LIBERAL = Path("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal")


def tracking_is_liberal(file: Path = BE_LIBERAL) -> bool:
    """Whether connection tracking takes only resets out of the window for INVALID: then kube-proxy drops nothing for being so."""
    try:
        return file.read_text(encoding="ascii").strip() != "0"
    except OSError:  # without connection tracking
        return False


class IptablesRules:
    """Implements RuleWriter."""

    checks_for_damage = True

    def __init__(
        self,
        network: Network,
        tools: Tools,
        *,
        node_port_ips: Callable[[], tuple[str, ...] | None] | None = None,
        drops_invalid: bool = True,
        note: Callable[[int], None] = lambda size: None,
    ) -> None:
        """`node_port_ips`: asked at every sync, as kube-proxy looks for them. `drops_invalid`: as for TablesRenderer."""
        self._network = network
        self._renderer = TablesRenderer(network, drops_invalid=drops_invalid)
        self._node_port_ips = node_port_ips
        self._tools = tools
        self._note = note
        self._applied: Tables | None = None

    def sync(self, ports: tuple[ServicePort, ...]) -> None:
        node_port_ips = self._network.node_port_ips if self._node_port_ips is None else self._node_port_ips()
        desired = self._renderer.render(ports, node_port_ips)
        if desired == self._applied:
            return
        applied, self._applied = self._applied, None
        text = render_full(desired, self._tools.save()) if applied is None else render_partial(applied, desired)
        self._note(len(text))
        self._tools.restore(text)
        self._applied = desired

    def is_intact(self) -> bool:
        if self._applied is not None and canaries_missing(self._tools.save()):
            self._applied = None
        return self._applied is not None
