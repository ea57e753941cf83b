"""Pods of a node: their program killed, or their readiness probe refused while they go on serving."""

from __future__ import annotations

import ipaddress
import signal
from collections.abc import Mapping
from dataclasses import dataclass

from testbed_init.faults.process import GONE, await_state
from testbed_init.faults.seam import Effect, Fault, FaultError, refuse_unknown
from testbed_init.ground import Ground
from testbed_init.kernel import Kernel
from testbed_init.packet_filter import Rule
from testbed_init.tools import Tool

POD_FILES = "/run/testbed/pods/*/address"
"""Where the node's agent keeps each pod: its address, and beside it nginx's pid file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodProgram:
    """A pod's nginx."""

    address: ipaddress.IPv4Address
    pid: int


@dataclass(slots=True, kw_only=True)
class PodKill:
    """SIGKILL to master and workers; the node's agent starts the pod's program again, as a kubelet does."""

    kernel: Kernel
    count: int | None
    pods: tuple[PodProgram, ...] = ()

    def prepare(self) -> None:
        """Choose the pods: those with the lowest addresses."""
        self.pods = choose_pods(self.kernel, self.count, "pod-kill")

    def fire(self) -> Effect:
        """The master first, which would replace a worker."""
        pids = [(pod, (pod.pid, *self.kernel.children(pod.pid))) for pod in self.pods]
        for _, family in pids:
            for pid in family:
                self.kernel.send_signal(pid, signal.SIGKILL)
        struck_ns = self.kernel.clock()
        for pod, family in pids:
            for pid in family:
                await_state(self.kernel, pid, GONE, f"pod-kill: nginx of {pod.address}")
        killed = ", ".join(f"{pod.address} ({len(family)} processes)" for pod, family in pids)
        return Effect(t_mono_ns=struck_ns, evidence=f"nginx is gone: {killed}")

    def heal(self) -> str:
        """What was killed is the agent's to start."""
        return "the node's agent starts what ended"


@dataclass(slots=True, kw_only=True)
class PodNotReady:
    """Connections of the node's own processes to the pods are refused: probes come from there, clients do not."""

    kernel: Kernel
    owner: str
    count: int | None
    pods: tuple[PodProgram, ...] = ()
    staged: Tool | None = None

    def prepare(self) -> None:
        """Choose the pods: those with the lowest addresses."""
        self.pods = choose_pods(self.kernel, self.count, "pod-not-ready")
        self.staged = self.kernel.filter.stage()

    def fire(self) -> Effect:
        """One transaction."""
        assert self.staged is not None
        staged, self.staged = self.staged, None
        # First segments alone: what is open goes on, and the answer to a pod in the node's own namespace is not caught again.
        first = "tcp flags & (fin | syn | rst | ack) == syn"
        rules = tuple(
            Rule(chain="output", match=f"ip daddr {pod.address} {first}", verdict="reject with tcp reset") for pod in self.pods
        )
        self.kernel.filter.put(self.owner, rules, staged)
        struck_ns = self.kernel.clock()
        self.kernel.filter.packets(self.owner)  # raises when a rule is not there
        addresses = ", ".join(str(pod.address) for pod in self.pods)
        return Effect(t_mono_ns=struck_ns, evidence=f"probes of {addresses} are refused")

    def heal(self) -> str:
        """Rules out."""
        if self.staged is not None:
            self.staged.abandon()
            self.staged = None
        return f"rules removed; {sum(self.kernel.filter.take(self.owner))} connections were refused"


def choose_pods(kernel: Kernel, count: int | None, fault: str) -> tuple[PodProgram, ...]:
    """The pods with the lowest addresses, or all. Raises FaultError when there are not that many."""
    found = []
    for path in kernel.find(POD_FILES):
        pid = kernel.read(path.removesuffix("address") + "nginx.pid")
        address = kernel.read(path)
        if pid is not None and address is not None and kernel.process_state(int(pid)) not in GONE:
            found.append(PodProgram(address=ipaddress.IPv4Address(address.strip()), pid=int(pid)))
    found.sort(key=lambda pod: pod.address)
    if not found or (count is not None and count > len(found)):
        raise FaultError(f"{fault}: {count or 'all'} pods asked for, {len(found)} run on this node")
    return tuple(found[:count])


def build_kill(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A pod-kill; `count` (default 1; null: all)."""
    return PodKill(kernel=kernel, count=_count(parameters, "pod-kill"))


def build_not_ready(parameters: Mapping[str, object], kernel: Kernel) -> Fault:
    """A pod-not-ready; `count` (default 1; null: all)."""
    count = _count(parameters, "pod-not-ready")
    kernel.require_net_admin()
    return PodNotReady(kernel=kernel, owner=kernel.filter.admit([Ground.OUTPUT]), count=count)


def _count(parameters: Mapping[str, object], fault: str) -> int | None:
    refuse_unknown(parameters, {"count"}, fault)
    count = parameters.get("count", 1)
    if count is None:
        return None
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise FaultError(f"{fault}: count must be at least 1, or null, got {count!r}")
    return count
