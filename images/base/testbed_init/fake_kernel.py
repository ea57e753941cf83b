"""A kernel in memory with the behaviour that faults rely on; ships beside the real one and passes the same contract test."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch

from testbed_init.packet_filter import PacketFilter
from testbed_init.tools import KernelError

TABLE = re.compile(r"table (?P<table>\w+ \w+) \{")
WRITER_FILE = "/run/testbed/rule-writer"
WRITER_STATES: dict[int, str] = {signal.SIGUSR1: "paused", signal.SIGUSR2: "ended", signal.SIGHUP: "running"}
CHANGE = re.compile(r"(?P<verb>flush|add) (chain|rule) (?P<chain>\w+ \w+ \w+) ?(?P<rule>.*)")


@dataclass(slots=True, kw_only=True)
class FakeKernel:
    """Interfaces (name -> up), routes (destination -> interface), processes (pid -> state), rules, token buckets, queues."""

    now_ns: int = 0
    interfaces: dict[str, bool] = field(default_factory=lambda: {"cbr0": True, "eth0": True})
    outward: tuple[str, ...] = ("eth0",)
    link_groups: dict[str, int] = field(default_factory=dict)
    routes: dict[str, str] = field(default_factory=lambda: {"default": "eth0"})
    processes: dict[int, str] = field(default_factory=lambda: {7: "S", 8: "S"})
    parents: dict[int, int] = field(default_factory=dict)
    net_admin: bool = True
    named: dict[str, int | None] = field(default_factory=lambda: {"agent": 7, "haproxy": 8})
    held: set[str] = field(default_factory=set)
    terminated: bool = False
    arp: dict[str, str] = field(default_factory=lambda: {"10.100.0.3": "02:42:0a:64:00:03"})
    files: dict[str, str] = field(default_factory=lambda: {WRITER_FILE: "7 running 0\n"})
    tables: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """nftables: table -> chain -> rules."""
    buckets: dict[str, str] = field(default_factory=dict)
    """Link -> settings of its token bucket."""
    iptables: list[str] = field(default_factory=list)
    bound: dict[str, int] = field(default_factory=dict)
    """Netfilter queue -> how long packets wait in it, ns."""
    cordoned: set[str] = field(default_factory=set)
    """Nodes, in the API of a control plane."""
    api_answers: bool = True
    connections: int = 0
    connection_limit: int = 262144
    filter: PacketFilter = field(init=False)

    def __post_init__(self) -> None:
        self.filter = PacketFilter(kernel=self)

    def clock(self) -> int:
        """The time that the test set."""
        return self.now_ns

    def yield_processor(self) -> None:
        """The time that it takes passes."""
        self.now_ns += 500_000

    def links(self) -> tuple[str, ...]:
        """Every interface, sorted."""
        return tuple(sorted(self.interfaces))

    def uplinks(self) -> tuple[str, ...]:
        """The outward interfaces."""
        return self.outward

    def set_links(self, names: Sequence[str], *, up: bool) -> None:
        """Set flags; like the kernel's, an interface that goes down takes its routes with it."""
        for name in names:
            if name not in self.interfaces:
                raise KernelError(f"interface {name}: cannot set its flags: No such device")
            self.interfaces[name] = up
            if not up:
                self.routes = {to: link for to, link in self.routes.items() if link != name}

    def link_states(self, names: Sequence[str]) -> dict[str, str]:
        """`up` or `down` of each."""
        return {name: "up" if self.interfaces[name] else "down" for name in names}

    def switch_groups(self, names: Sequence[str], bit: int, *, on: bool) -> None:
        """Bits in memory."""
        for name in names:
            if name not in self.interfaces:
                raise KernelError(f"interface {name}: cannot set its group: No such device")
            self.link_groups[name] = self.link_groups.get(name, 0) | bit if on else self.link_groups.get(name, 0) & ~bit

    def groups(self, names: Sequence[str]) -> dict[str, int]:
        """Group of each, 0 unless set."""
        return {name: self.link_groups.get(name, 0) for name in names}

    def save_routes(self) -> bytes:
        """The routes as JSON."""
        return json.dumps(self.routes).encode()

    def restore_routes(self, saved: bytes) -> None:
        """Add what is missing."""
        self.routes = json.loads(saved) | self.routes

    def signal_all(self, number: int) -> None:
        """SIGSTOP and SIGCONT change the states; nothing else does."""
        for pid in self.processes:
            self.send_signal(pid, number)

    def process_states(self) -> dict[int, str]:
        """State letters."""
        return dict(self.processes)

    def process_state(self, pid: int) -> str | None:
        """State letter, None when it is gone."""
        return self.processes.get(pid)

    def children(self, pid: int) -> tuple[int, ...]:
        """Those whose parent it is."""
        return tuple(child for child, parent in self.parents.items() if parent == pid)

    def require_net_admin(self) -> None:
        """Raise when the test took the capability away."""
        if not self.net_admin:
            raise KernelError("the container lacks CAP_NET_ADMIN: give its role `cap_add: [NET_ADMIN]`")

    def start_tool(self, argv: Sequence[str]) -> FakeTool:
        """nft, tc and iptables, as far as faults use them, and the program that admits a node."""
        if "testbed_init.readmitting" in argv:
            return FakeTool(run=lambda text: self._readmit(argv[-1]))
        programs = {"nft": self._nft, "tc": self._tc, "iptables": self._iptables}
        if argv[0] not in programs:
            raise KernelError(f"cannot start {argv[0]}: No such file or directory")
        return FakeTool(run=lambda text: programs[argv[0]](list(argv[1:]), text.decode()).encode())

    def _readmit(self, node: str) -> bytes:
        if not self.api_answers:
            raise KernelError("readmitting gave 1: ConnectionRefusedError")
        self.cordoned.discard(node)
        return f"{node} is schedulable".encode()

    def start_helper(self, module: str) -> FakeHelper:
        """Those of delay, cpu-squeeze and conntrack-full."""
        return FakeHelper(kernel=self, module=module)

    def neighbours(self, addresses: Sequence[str]) -> dict[str, str]:
        """Those that the test knows."""
        return {address: self.arp[address] for address in addresses if address in self.arp}

    def process_pid(self, name: str) -> int | None:
        """By name; one that was killed has none."""
        if name not in self.named:
            raise ValueError(f"no process {name!r}; this container has {list(self.named)}")
        pid = self.named[name]
        return pid if pid in self.processes else None

    def send_signal(self, pid: int, number: int) -> None:
        """KILL, STOP, CONT and orders to the agent's rule writer have their effect at once."""
        if pid not in self.processes:
            return
        if number == signal.SIGKILL:
            del self.processes[pid]
        elif number in WRITER_STATES and pid == self.named.get("agent"):
            self.files[WRITER_FILE] = f"{pid} {WRITER_STATES[number]} {self.now_ns}\n"
        elif number in (signal.SIGSTOP, signal.SIGCONT):
            self.processes[pid] = "T" if number == signal.SIGSTOP else "S"

    def hold(self, name: str) -> None:
        """No restarts."""
        self.held.add(name)

    def release(self, name: str) -> None:
        """Started again under a new pid if it does not run."""
        self.held.discard(name)
        if self.process_pid(name) is None:
            self.named[name] = pid = 100 + len(self.processes)
            self.processes[pid] = "S"

    def terminate(self) -> None:
        """Only noted."""
        self.terminated = True

    def read(self, path: str) -> str | None:
        """A file of the test, or the bound queues."""
        if path.endswith("nfnetlink_queue"):
            return "".join(f"{queue} 99 0 1 0 0 0 0 1\n" for queue in self.bound)
        if path.endswith("nf_conntrack_max"):
            return f"{self.connection_limit}\n"
        return self.files.get(path)

    def find(self, pattern: str) -> tuple[str, ...]:
        """Among the files of the test."""
        return tuple(sorted(path for path in self.files if fnmatch(path, pattern)))

    def _nft(self, words: list[str], text: str) -> str:
        if words == ["list", "tables"]:
            return "".join(f"table {table}\n" for table in self.tables)
        if words[:2] == ["list", "table"]:
            chains = self.tables[" ".join(words[2:])]
            return "".join(f"\t\t{rule}\n" for rules in chains.values() for rule in rules)
        if created := TABLE.search(text):
            self.tables[created["table"]] = {chain: [] for chain in re.findall(r"chain (\w+)", text)}
        for line in text.splitlines():
            if changed := CHANGE.fullmatch(line):
                table, _, chain = changed["chain"].rpartition(" ")
                if changed["verb"] == "flush":
                    self.tables[table][chain] = []
                else:
                    self.tables[table][chain].append(changed["rule"].replace("counter", "counter packets 0 bytes 0"))
        return ""

    def _tc(self, words: list[str], text: str) -> str:
        if words[:3] == ["-json", "qdisc", "show"]:
            settings = self.buckets.get(words[-1])
            if settings is None:
                return "[]"
            number, unit = re.match(r"rate (\d+)(gbit|bit)", settings).groups()  # type: ignore[union-attr]
            rate = int(number) * (10**9 if unit == "gbit" else 1) // 8
            return json.dumps([{"kind": "tbf", "root": True, "options": {"rate": rate}}])
        for line in [" ".join(words), *text.splitlines()]:
            if set_ := re.fullmatch(r"qdisc (?:add|change) dev (\w+) root tbf (.*)", line):
                self.buckets[set_[1]] = set_[2]
        return ""

    def _iptables(self, words: list[str], text: str) -> str:
        _, _, table, verb, *rule = words
        line = " ".join((table, *rule))
        if verb == "-A":
            self.iptables.append(line)
        elif line not in self.iptables:
            raise KernelError(f"`iptables {' '.join(words)}` gave 1: Bad rule")
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeTool:
    """Runs when it gets its input."""

    run: Callable[[bytes], bytes]

    def finish(self, text: bytes) -> bytes:
        """The output."""
        return self.run(text)

    def abandon(self) -> None:
        """Nothing runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeHelper:
    """Has the effect of the helper of that name, and undoes it when it ends."""

    kernel: FakeKernel
    module: str

    def tell(self, line: str) -> None:
        """As an order."""
        self.order(line)

    def order(self, line: str) -> str:
        """`strike` and `release`."""
        verb, *words = line.split()
        match self.module.rpartition(".")[2], verb:
            case "delaying", "strike":
                self.kernel.bound = dict.fromkeys(words[0].split(","), int(words[1]))
                return str(self.kernel.now_ns)
            case "squeezing", "strike":
                self.kernel.signal_all(signal.SIGSTOP)
                return f"{self.kernel.now_ns} {len(self.kernel.processes)}"
            case "conntrack_filling", "strike":
                self.kernel.connections = self.kernel.connection_limit
                return f"{self.kernel.now_ns} {self.kernel.connections} {self.kernel.connection_limit}"
        self.end()
        return "0 0" if self.module.endswith("filling") else "0"

    def end(self) -> None:
        """Nothing of it is left."""
        self.kernel.bound = {}
        self.kernel.connections = 0
        if self.module.endswith("squeezing"):
            self.kernel.signal_all(signal.SIGCONT)
