"""The seam between the runner and the rule writers: one for each mode of kube-proxy."""

from __future__ import annotations

from typing import Protocol

from nodeagent.proxy.services import ServicePort


class RulesError(Exception):
    """The kernel or its tool refused the rules."""


class RuleWriter(Protocol):
    """Makes the kernel's rules those of the service ports."""

    checks_for_damage: bool
    """Whether `is_intact` is to be asked every sync period."""

    def sync(self, ports: tuple[ServicePort, ...]) -> None:
        """Only what changed since the last one. Raises RulesError; the next one is a full one then."""
        ...

    def is_intact(self) -> bool:
        """Whether nobody else has removed the rules; after False the next sync is a full one."""
        ...
