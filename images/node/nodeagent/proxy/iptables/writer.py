"""Applies the rules by iptables-restore and reads them back by iptables-save: the effects of iptables mode."""

from __future__ import annotations

import subprocess  # noqa: TID251 - iptables has no library
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from nodeagent.proxy.iptables.chains import Tables, TablesRenderer
from nodeagent.proxy.iptables.restore import TABLES, canaries_missing, render_full, render_partial
from nodeagent.proxy.rules import RulesError
from nodeagent.proxy.ruleset import Network
from nodeagent.proxy.services import ServicePort

DEADLINE_S = 30.0
LOCK_WAIT_S = 5
"""Another program that holds the lock of iptables is waited for."""


BE_LIBERAL = Path("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal")


def tracking_is_liberal(file: Path = BE_LIBERAL) -> bool:
    """Whether connection tracking takes only resets out of the window for INVALID: then kube-proxy drops nothing for being so."""
    try:
        return file.read_text(encoding="ascii").strip() != "0"
    except OSError:  # without connection tracking
        return False


class Tools(Protocol):
    """The programs."""

    def restore(self, text: str) -> None:
        """Raises RulesError with the program's words; tables before the one that it refuses are committed."""
        ...

    def save(self) -> Mapping[str, str]:
        """Table -> text. Raises RulesError."""
        ...


class IptablesTools:
    """Debian's iptables."""

    def restore(self, text: str) -> None:
        _run(["iptables-restore", "--noflush", "--wait", str(LOCK_WAIT_S)], text)

    def save(self) -> Mapping[str, str]:
        return {table: _run(["iptables-save", "-t", table]) for table in TABLES}


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


def _run(argv: list[str], text: str | None = None) -> str:
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RulesError(f"`{' '.join(argv)}`: {error}") from None
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()
        raise RulesError(f"`{' '.join(argv)}` gave {done.returncode}: {words[0] if words else 'no words'}")
    return done.stdout
