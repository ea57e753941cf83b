"""Applies transactions to the kernel through libnftables, in process: a fork would cost more than the commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from nodeagent.proxy.network import Network
from nodeagent.proxy.rules import RulesError
from nodeagent.proxy.ruleset import Ruleset, RulesetRenderer
from nodeagent.proxy.services import ServicePort
from nodeagent.proxy.transaction import render_transaction


class NftablesError(RulesError):
    """The kernel or the library refused a transaction; nothing of it took hold."""


class Transactions(Protocol):
    """Where they go."""

    def apply(self, transaction: str) -> None:
        """Raises NftablesError."""
        ...


class NftablesRules:
    """Implements RuleWriter. Like kube-proxy's it does not watch for damage: a table that somebody removed stays away until the
    next change fails, and is made anew then."""

    checks_for_damage = False

    def __init__(
        self,
        network: Network,
        transactions: Transactions,
        *,
        node_port_ips: Callable[[], tuple[str, ...] | None] | None = None,
    ) -> None:
        """`node_port_ips`: asked at every full sync, as kube-proxy looks for them."""
        self._network = network
        self._transactions = transactions
        self._node_port_ips = node_port_ips
        self._renderer = RulesetRenderer()
        self._applied: Ruleset | None = None

    def sync(self, ports: tuple[ServicePort, ...]) -> None:
        if self._applied is None and self._node_port_ips is not None:
            self._network = replace(self._network, node_port_ips=self._node_port_ips())
        desired = self._renderer.render(ports, self._network)
        transaction = render_transaction(self._applied, desired)
        if transaction:
            self._applied = None
            self._transactions.apply(transaction)
        self._applied = desired

    def is_intact(self) -> bool:
        return True


class Nftables:
    """One libnftables context (libnftables(3)); a transaction is atomic."""

    def __init__(self) -> None:
        import nftables  # Debian's python3-nftables: only inside the image

        self._library: Any = nftables.Nftables()

    def apply(self, transaction: str) -> None:
        """Raises NftablesError with the library's words."""
        status, _, error = self._library.cmd(transaction)
        if status != 0:
            raise NftablesError(str(error).strip().splitlines()[0] if error else f"status {status}")
