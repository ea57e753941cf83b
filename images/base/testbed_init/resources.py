"""What the container uses: CPU time and memory of its cgroup, entries in its connection tracking table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
CONNTRACK_COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupFiles:
    """Where the numbers of this container stand."""

    cpu: Path
    memory: Path

    def cpu_usage_ns(self) -> int:
        """Cumulative CPU time: `cpuacct.usage` in ns (v1), `usage_usec` of `cpu.stat` (v2)."""
        text = self.cpu.read_text()
        if self.cpu.name == "cpuacct.usage":
            return int(text)
        return int(dict(line.split() for line in text.splitlines())["usage_usec"]) * 1000

    def memory_bytes(self) -> int:
        """Memory charged to the cgroup, page cache included."""
        return int(self.memory.read_text())


def find_cgroup_files(root: Path = CGROUP_ROOT, membership: Path = Path("/proc/self/cgroup")) -> CgroupFiles | None:
    """The files of init's own cgroup, or None where none is mounted.

    Version 2: the mount shows the container's cgroup as its root when the cgroup namespace is private, and the whole
    tree when it is the host's (Source: cgroup_namespaces(7)); /proc/self/cgroup tells the path in either case. Version
    1: Docker mounts each controller at the container's own directory.
    """
    if (root / "cgroup.controllers").exists():
        path = next(line[3:] for line in membership.read_text().splitlines() if line.startswith("0::"))
        own = root / path.lstrip("/")
        here = own if (own / "memory.current").exists() else root
        files = CgroupFiles(cpu=here / "cpu.stat", memory=here / "memory.current")
    else:
        files = CgroupFiles(cpu=root / "cpuacct" / "cpuacct.usage", memory=root / "memory" / "memory.usage_in_bytes")
    return files if files.cpu.exists() and files.memory.exists() else None


def read_conntrack_entries(path: Path = CONNTRACK_COUNT) -> int | None:
    """Entries in the table of this network namespace; None where the kernel does not track connections here."""
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return None
