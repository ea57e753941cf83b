"""A narrow link: what leaves the container's uplinks waits in a token bucket, and what does not fit is dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed_init.faults.seam import Effect, Fault, FaultError, number_of, refuse_unknown
from testbed_init.ground import OPEN_RATE, Ground, lay_ground, root_qdisc
from testbed_init.kernel import Kernel
from testbed_init.tools import Tool

RATE = "rate"
QUEUE_MS = 50
"""What waits longer is dropped, as in a router's short queue."""
LEAST_BURST_BYTES = 4096
TICK_S = 0.004
"""The bucket is filled at least every jiffy (HZ=250): a smaller one would not reach the rate (tc-tbf(8))."""


@dataclass(slots=True, kw_only=True)
class Rate:
    """The token bucket's rate changed, and changed back."""

    kernel: Kernel
    rate_bps: int
    links: tuple[str, ...]
    staged: Tool | None = None
    narrow: bool = False

    def prepare(self) -> None:
        """Start tc(8), which carries out a line when it gets it."""
        self.staged = self.kernel.start_tool(["tc", "-batch", "-"])

    def fire(self) -> Effect:
        """One netlink request for each uplink."""
        assert self.staged is not None
        staged, self.staged = self.staged, None
        self.narrow = True
        staged.finish(render_change(self.links, render_rate(self.rate_bps)))
        struck_ns = self.kernel.clock()
        rates = self._rates()
        if any(rate != self.rate_bps // 8 for rate in rates.values()):
            raise FaultError(f"rate: the kernel has {_render(rates)} instead of {self.rate_bps} bit/s")
        return Effect(t_mono_ns=struck_ns, evidence=f"token buckets: {_render(rates)}")

    def heal(self) -> str:
        """As wide as before."""
        if self.staged is not None:
            self.staged.abandon()
            self.staged = None
        if self.narrow:
            self.kernel.start_tool(["tc", "-batch", "-"]).finish(render_change(self.links, OPEN_RATE))
            self.narrow = False
        return f"token buckets: {_render(self._rates())}"

    def _rates(self) -> dict[str, int]:
        """Bytes a second of each link's bucket."""
        rates = {}
        for link in self.links:
            options = root_qdisc(link, self.kernel).get("options")
            rates[link] = int(options["rate"]) if isinstance(options, dict) else 0
        return rates


def render_change(links: tuple[str, ...], settings: str) -> bytes:
    """Lines for `tc -batch`."""
    return "".join(f"qdisc change dev {link} root tbf {settings}\n" for link in links).encode()


def render_rate(rate_bps: int) -> str:
    """A bucket of one tick, and a queue of 50 ms behind it."""
    burst_bytes = max(LEAST_BURST_BYTES, round(rate_bps / 8 * TICK_S))
    return f"rate {rate_bps}bit burst {burst_bytes}b latency {QUEUE_MS}ms"


def _render(rates: Mapping[str, int]) -> str:
    return ", ".join(f"{link} {rate * 8 / 1e6:g} Mbit/s" for link, rate in sorted(rates.items()))


def build(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A rate; `mbit_per_s` above 0."""
    refuse_unknown(parameters, {"mbit_per_s"}, RATE)
    kernel.require_net_admin()
    mbit_per_s = number_of(parameters, "mbit_per_s", RATE)
    if not 0.01 <= mbit_per_s <= 10_000:
        raise FaultError(f"rate: mbit_per_s must be from 0.01 to 10000, got {mbit_per_s!r}")
    lay_ground(Ground.RATE, kernel)
    return Rate(kernel=kernel, rate_bps=round(mbit_per_s * 1e6), links=kernel.uplinks())
