"""The connection tracking table full: known connections go on, new ones are dropped.

The limit itself belongs to the machine, not to the container, so that the table is filled with entries of nobody's. All but a
rest are put in when the fault is armed, when they cost memory and nothing else; the rest at the instant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed_init.faults.seam import Effect, Fault, FaultError, refuse_unknown
from testbed_init.kernel import Kernel
from testbed_init.tools import Helper

LIMIT = "/proc/sys/net/netfilter/nf_conntrack_max"
LARGEST = 1 << 20
"""Some 320 bytes of the machine's memory for each entry: a bound to what the fault may take."""


@dataclass(slots=True, kw_only=True)
class ConntrackFull:
    """The helper that fills the table."""

    kernel: Kernel
    helper: Helper | None

    def prepare(self) -> None:
        """The filling has begun long ago."""

    def fire(self) -> Effect:
        """The rest, until the kernel refuses."""
        assert self.helper is not None
        struck_ns, count, limit = self.helper.order("strike").split()
        if int(count) < int(limit):
            raise FaultError(f"conntrack-full: {count} of {limit} entries")
        return Effect(t_mono_ns=int(struck_ns), evidence=f"{count} entries of {limit}; the kernel refuses the next")

    def heal(self) -> str:
        """Our entries out."""
        if self.helper is None:
            return "no entry of ours"
        helper, self.helper = self.helper, None
        try:
            added, refused = helper.order("release").split()
        finally:
            helper.end()
        return f"{added} entries removed; {refused} were refused meanwhile"


def build(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A conntrack-full; it has no parameters. Filling begins at once."""
    refuse_unknown(parameters, set(), "conntrack-full")
    kernel.require_net_admin()
    limit = kernel.read(LIMIT)
    if limit is None or int(limit) > LARGEST:
        raise FaultError(f"conntrack-full: the table's limit is {(limit or 'not readable').strip()}; allowed: up to {LARGEST}")
    helper = kernel.start_helper("testbed_init.conntrack_filling")
    helper.tell("begin")
    return ConntrackFull(kernel=kernel, helper=helper)
