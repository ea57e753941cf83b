"""What a machine must have for runs, judged from facts that were gathered elsewhere. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network

from orchestrator.addresses import MGMT_POOL, slot_addresses, slots_in
from orchestrator.testbed.kernel_features import FEATURES, Feature

OLDEST_API = (1, 41)
ENOUGH_CORES = 2
ENOUGH_MEMORY_BYTES = 2 * 2**30
ENOUGH_DISK_BYTES = 3 * 2**30
TIME_WAIT_S = 120
"""How long conntrack keeps a closed flow (nf_conntrack_tcp_timeout_time_wait)."""
SLOW_CLOCK_SOURCES = {"hpet", "acpi_pm", "jiffies"}
CLOCK_SOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
CONNTRACK_MAX = "/proc/sys/net/netfilter/nf_conntrack_max"
SHOWN_OVERLAPS = 3


class State(StrEnum):
    OK = "ok"
    LIMITED = "limited"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One prerequisite. `cost`: what its lack means; empty when it is there. A required one that is missing stops every run."""

    name: str
    state: State
    found: str
    cost: str = ""
    required: bool = False


MUCH_STEAL_RATIO = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What an engine says of itself."""

    version: str
    api_version: str
    kernel: str
    cgroup_version: str
    cgroup_driver: str
    cores: int
    memory_bytes: int
    rootless: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFacts:
    """What the probe found: why a feature was refused (None: it works), files, and the free disk of the engine."""

    refusals: Mapping[str, str | None]
    files: Mapping[str, str | None]
    disk_free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenSubnet:
    """Addresses that the machine uses already, and for what (`host route dev tun0`)."""

    network: IPv4Network
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A kernel limit and the least that a large testbed wants."""

    name: str
    path: str
    enough: int

    @property
    def setting(self) -> str:
        """Its name for sysctl(8)."""
        return self.path.removeprefix("/proc/sys/").replace("/", ".")


LIMITS = (
    Limit(name="inotify instances", path="/proc/sys/fs/inotify/max_user_instances", enough=128),
    Limit(name="inotify watches", path="/proc/sys/fs/inotify/max_user_watches", enough=8192),
    Limit(name="open files, machine", path="/proc/sys/fs/file-max", enough=65536),
    Limit(name="open files, process", path="/proc/sys/fs/nr_open", enough=65536),
)
PROBED_FILES = (*(limit.path for limit in LIMITS), CLOCK_SOURCE, CONNTRACK_MAX)


def judge_engine(facts: EngineFacts) -> tuple[Check, ...]:
    api_fits = tuple(int(part) for part in facts.api_version.split(".")) >= OLDEST_API
    enough_cores, enough_memory = facts.cores >= ENOUGH_CORES, facts.memory_bytes >= ENOUGH_MEMORY_BYTES
    measured = facts.cgroup_driver != "none"
    return (
        Check(name="engine", state=State.OK, found=f"{facts.version}, kernel {facts.kernel}", required=True),
        Check(
            name="engine API",
            state=State.OK if api_fits else State.MISSING,
            found=facts.api_version,
            cost="" if api_fits else "1.41 (Docker Engine 20.10) or newer is needed: nothing can run",
            required=True,
        ),
        Check(
            name="engine's user",
            state=State.LIMITED if facts.rootless else State.OK,
            found="rootless" if facts.rootless else "root",
            cost="guard rules stand in the engine's own namespace, not on the machine's interfaces" if facts.rootless else "",
        ),
        Check(
            name="cgroups",
            state=State.OK if measured else State.LIMITED,
            found=f"version {facts.cgroup_version}, {facts.cgroup_driver}",
            cost="" if measured else "CPU and memory of containers are neither limited nor measured",
        ),
        Check(
            name="CPU cores",
            state=State.OK if enough_cores else State.LIMITED,
            found=str(facts.cores),
            cost="" if enough_cores else "load and system under test share one core: lower the rates",
        ),
        Check(
            name="memory",
            state=State.OK if enough_memory else State.LIMITED,
            found=f"{facts.memory_bytes / 2**30:.1f} GiB",
            cost="" if enough_memory else "about 60 MiB a node, 300 MiB for the rest: keep clusters small",
        ),
    )


def judge_steal(samples: str) -> Check:
    """Two `cpu` lines of /proc/stat, one a moment after the other (proc(5): jiffies, `steal` is the eighth)."""
    first, last = ([int(word) for word in line.split()[1:9]] for line in samples.splitlines())
    passed = [now - before for before, now in zip(first, last, strict=True)]
    ratio = passed[7] / max(1, sum(passed))
    return Check(
        name="CPU taken away",
        state=State.OK if ratio <= MUCH_STEAL_RATIO else State.LIMITED,
        found=f"{ratio:.0%} at this moment (steal)",
        cost="" if ratio <= MUCH_STEAL_RATIO else "others on the same host are served first: late senders make runs INVALID",
    )


def judge_kernel(facts: KernelFacts) -> tuple[Check, ...]:
    return (
        *(_judge_feature(feature, facts.refusals[feature.name]) for feature in FEATURES),
        *(_judge_limit(limit, facts.files[limit.path]) for limit in LIMITS),
        _judge_conntrack(facts.files[CONNTRACK_MAX]),
        _judge_clock(facts.files[CLOCK_SOURCE]),
        _judge_disk(facts.disk_free_bytes),
    )


def _judge_feature(feature: Feature, refusal: str | None) -> Check:
    if refusal is None:
        return Check(name=feature.name, state=State.OK, found="tried, works", required=feature.required)
    state = State.MISSING if feature.required else State.LIMITED
    return Check(name=feature.name, state=state, found=refusal, cost=feature.cost, required=feature.required)


def _judge_limit(limit: Limit, text: str | None) -> Check:
    if text is not None and int(text) >= limit.enough:
        return Check(name=limit.name, state=State.OK, found=text)
    cost = f"large testbeds may fail; raise it: sysctl -w {limit.setting}={limit.enough}"
    return Check(name=limit.name, state=State.LIMITED, found=text or "unreadable", cost=cost)


def _judge_conntrack(text: str | None) -> Check:
    """A closed flow stays for two minutes, so that the table bounds the rate of new connections through a node."""
    name = "conntrack table"
    if text is None:
        return Check(name=name, state=State.LIMITED, found="unreadable", cost="the highest rate of new connections is unknown")
    rate = int(text) // TIME_WAIT_S
    found = f"{text} entries, {rate} new connections/s through a node"
    if rate >= 500:
        return Check(name=name, state=State.OK, found=found)
    cost = "above that rate a node drops packets; raise it: sysctl -w net.netfilter.nf_conntrack_max=262144"
    return Check(name=name, state=State.LIMITED, found=found, cost=cost)


def _judge_clock(source: str | None) -> Check:
    slow = source is None or source in SLOW_CLOCK_SOURCES
    cost = "reading the clock takes microseconds: latencies of fast paths are blurred" if slow else ""
    return Check(name="clock source", state=State.LIMITED if slow else State.OK, found=source or "unknown", cost=cost)


def _judge_disk(free_bytes: int) -> Check:
    enough = free_bytes >= ENOUGH_DISK_BYTES
    cost = "" if enough else "images need about 1 GiB, results some MiB a run"
    return Check(
        name="disk of the engine",
        state=State.OK if enough else State.LIMITED,
        found=f"{free_bytes / 2**30:.1f} GiB free",
        cost=cost,
    )


def judge_subnets(taken: Sequence[TakenSubnet], *, client_pool: IPv4Network, node_pool: IPv4Network) -> Check:
    """How many address slots overlap with nothing that the machine uses; a run takes the first free one."""
    slots = min(slots_in(client_pool), slots_in(node_pool), slots_in(MGMT_POOL))
    overlapping = [hits for slot in range(slots) if (hits := tuple(_overlaps(slot, taken, client_pool, node_pool)))]
    free = slots - len(overlapping)
    found = f"{free} of {slots} free in {client_pool}, {node_pool}, {MGMT_POOL}"
    if not overlapping:
        return Check(name="address slots", state=State.OK, found=found, required=True)
    owners = list(dict.fromkeys(f"{subnet.network} ({subnet.owner})" for hits in overlapping for subnet in hits))
    others = f" and {len(owners) - SHOWN_OVERLAPS} more" if len(owners) > SHOWN_OVERLAPS else ""
    found += f"; taken by {', '.join(owners[:SHOWN_OVERLAPS])}{others}"
    cost = "choose other pools: cluster.client_pool, cluster.node_pool" + ("" if free else "; nothing can run before")
    return Check(name="address slots", state=State.LIMITED if free else State.MISSING, found=found, cost=cost, required=True)


def _overlaps(slot: int, taken: Sequence[TakenSubnet], client_pool: IPv4Network, node_pool: IPv4Network) -> Iterator[TakenSubnet]:
    addresses = slot_addresses(slot, client_pool=client_pool, node_pool=node_pool)
    networks = (addresses.clients, addresses.nodes, addresses.mgmt)
    return (subnet for subnet in taken if any(subnet.network.overlaps(network) for network in networks))
