"""Too little CPU: every process of the container runs only a share of each 100 ms."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass

from testbed_init.faults.seam import Effect, Fault, FaultError, number_of, refuse_unknown
from testbed_init.kernel import Kernel
from testbed_init.tools import Helper

SQUEEZE = "cpu-squeeze"


@dataclass(slots=True, kw_only=True)
class CpuSqueeze:
    """The helper that stops and continues them."""

    kernel: Kernel
    share_ratio: float
    helper: Helper | None
    struck: bool = False

    def prepare(self) -> None:
        """The helper has been there since the fault was armed."""

    def fire(self) -> Effect:
        """One line to the helper, whose first act is to stop everything."""
        assert self.helper is not None
        self.struck = True
        struck_ns, stopped = self.helper.order(f"strike {self.share_ratio}").split()
        if int(stopped) == 0:
            raise FaultError("cpu-squeeze: no process was stopped")
        evidence = f"{stopped} processes stopped, {self.share_ratio:g} of the time left to them"
        return Effect(t_mono_ns=int(struck_ns), evidence=evidence)

    def heal(self) -> str:
        """Everything runs, also when the helper was lost while everything was stopped."""
        if self.helper is None:
            return "nothing is stopped"
        helper, self.helper = self.helper, None
        try:
            stopped_s = helper.order("release") if self.struck else "0"
        finally:
            helper.end()
            if self.struck:
                self.kernel.signal_all(signal.SIGCONT)
        return f"nothing is stopped; stopped for {float(stopped_s):.1f} s in all"


def build(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A cpu-squeeze; `share_ratio` from 0.01 to 0.99."""
    refuse_unknown(parameters, {"share_ratio"}, SQUEEZE)
    share_ratio = number_of(parameters, "share_ratio", SQUEEZE)
    if not 0.01 <= share_ratio <= 0.99:
        raise FaultError(f"cpu-squeeze: share_ratio must be from 0.01 to 0.99, got {share_ratio!r}")
    # Now, because it takes longer to start on a busy machine than there is time just before the instant.
    return CpuSqueeze(kernel=kernel, share_ratio=share_ratio, helper=kernel.start_helper("testbed_init.squeezing"))
