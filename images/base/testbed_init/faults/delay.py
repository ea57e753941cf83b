"""A longer way: every packet of the uplinks waits the same time, what leaves, what comes, or both.

Packets wait in a netfilter queue that a process of ours empties on time; the kernel's own delay line (sch_netem) is missing in
many kernels. The process is started ahead, and packets begin to wait when it binds the queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed_init.faults.seam import Effect, Fault, FaultError, directions_of, number_of, refuse_unknown
from testbed_init.ground import QUEUE_IN, QUEUE_OUT, Ground, lay_ground
from testbed_init.kernel import Kernel
from testbed_init.tools import Helper

DELAY = "delay"
QUEUES = {"in": QUEUE_IN, "out": QUEUE_OUT}
BOUND_QUEUES = "/proc/net/netfilter/nfnetlink_queue"
LONGEST_S = 10.0


@dataclass(slots=True, kw_only=True)
class Delay:
    """The helper that holds the queues."""

    kernel: Kernel
    delay_s: float
    directions: tuple[str, ...]
    helper: Helper | None
    struck: bool = False

    def prepare(self) -> None:
        """The helper has been there since the fault was armed."""

    def fire(self) -> Effect:
        """One line to the helper, which binds the queues."""
        assert self.helper is not None
        queues = [str(QUEUES[side]) for side in self.directions]
        self.struck = True
        struck_ns = int(self.helper.order(f"strike {','.join(queues)} {round(self.delay_s * 1e9)}"))
        bound = {line.split()[0] for line in (self.kernel.read(BOUND_QUEUES) or "").splitlines()}
        if not set(queues) <= bound:
            raise FaultError(f"delay: the kernel has no listener on queues {sorted(set(queues) - bound)}")
        sides = " and ".join(self.directions)
        return Effect(
            t_mono_ns=struck_ns, evidence=f"packets wait {self.delay_s * 1000:g} ms ({sides}); queues {', '.join(queues)} bound"
        )

    def heal(self) -> str:
        """Everything goes on its way; from then on nothing waits."""
        if self.helper is None:
            return "nothing waits"
        helper, self.helper = self.helper, None
        try:
            held = helper.order("release") if self.struck else "0"
        finally:
            # Without its input it ends, and the kernel lets packets pass.
            helper.end()
        return f"nothing waits; {held} packets had waited"


def build(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A delay; `delay_s` up to 10, `direction` is both, in or out."""
    refuse_unknown(parameters, {"delay_s", "direction"}, DELAY)
    kernel.require_net_admin()
    delay_s = number_of(parameters, "delay_s", DELAY)
    if not 0 < delay_s <= LONGEST_S:
        raise FaultError(f"delay: delay_s must be above 0 and at most {LONGEST_S:g}, got {delay_s!r}")
    lay_ground(Ground.DELAY, kernel)
    directions = directions_of(parameters, DELAY)
    # Now, because it takes longer to start on a busy machine than there is time just before the instant.
    return Delay(kernel=kernel, delay_s=delay_s, directions=directions, helper=kernel.start_helper("testbed_init.delaying"))
