"""The faults that strike inside a container: one file each, registered here."""

from __future__ import annotations

from collections.abc import Mapping

from testbed_init.faults import (
    conntrack_full,
    cpu_squeeze,
    delay,
    link_down,
    loss,
    no_op,
    partition,
    pause,
    pods,
    power_off,
    process,
    rate,
    readmission,
    rule_writer,
    shutdown,
)
from testbed_init.faults.seam import Build, Effect, Fault, FaultError
from testbed_init.kernel import Kernel

FAULTS: Mapping[str, Build] = {
    "conntrack-full": conntrack_full.build,
    "cpu-squeeze": cpu_squeeze.build,
    "delay": delay.build,
    "link-down": link_down.build,
    "loss": loss.build,
    "no-op": no_op.build,
    "partition": partition.build,
    "pause": pause.build,
    "pod-kill": pods.build_kill,
    "pod-not-ready": pods.build_not_ready,
    "power-off": power_off.build,
    "process-kill": process.build_kill,
    "process-pause": process.build_pause,
    "process-signal": process.build_signal,
    "rate": rate.build,
    "readmission": readmission.build,
    "rule-writer": rule_writer.build,
    "shutdown": shutdown.build,
}

__all__ = ["FAULTS", "Effect", "Fault", "FaultError", "build_fault"]


def build_fault(name: str, parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """The fault of that name for this container.

    Raises:
        FaultError: unknown name, bad parameter, or the container lacks what the fault needs.
    """
    if name not in FAULTS:
        raise FaultError(f"unknown fault {name!r}; this container knows {sorted(FAULTS)}")
    return FAULTS[name](parameters, kernel)
