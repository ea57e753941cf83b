"""Waiting until signals have been taken: a process takes one when it is next scheduled, which a busy machine puts off."""

from __future__ import annotations

from collections.abc import Callable

from testbed_init.faults.seam import FaultError
from testbed_init.kernel import Kernel

SETTLE_NS = 2_000_000_000
"""A signal that has shown no effect by then was not going to."""


def await_settled(kernel: Kernel, unsettled: Callable[[], str | None]) -> None:
    """Until `unsettled` has nothing to complain of. Raises FaultError with its last complaint."""
    ends_ns = kernel.clock() + SETTLE_NS
    while (complaint := unsettled()) is not None:
        if kernel.clock() > ends_ns:
            raise FaultError(f"{complaint} after {SETTLE_NS // 1_000_000} ms")
        kernel.yield_processor()
