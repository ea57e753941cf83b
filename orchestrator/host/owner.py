"""Whose something is on this machine: a process in words that tell it from every other, also from a later one with its number."""

import os
from pathlib import Path

PROC = Path("/proc")


def name_owner(pid: int | None = None, *, proc: Path = PROC) -> str:
    """This process, or another one that lives: boot of its kernel, its namespace of process ids, its number, its start.

    Empty where the kernel tells nothing of the kind.
    """
    number = os.getpid() if pid is None else pid
    try:
        return "/".join((*_world(proc), str(number), _started(number, proc)))
    except OSError:
        return ""


def is_gone(owner: str, *, proc: Path = PROC) -> bool | None:
    """Whether that process has ended; None for one of another machine, of an earlier boot or of another namespace."""
    boot, _, rest = owner.partition("/")
    namespace, _, process = rest.partition("/")
    number, _, started = process.partition("/")
    try:
        if (boot, namespace) != _world(proc) or not number.isdecimal():
            return None
    except OSError:
        return None
    try:
        return _started(int(number), proc) != started
    except OSError:
        return True


def _world(proc: Path) -> tuple[str, str]:
    boot = (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return boot, str((proc / "self/ns/pid").readlink())


def _started(pid: int, proc: Path) -> str:
    """Clock ticks after boot (proc(5), field 22 of `stat`). Raises OSError, also for one that is a zombie."""
    fields = (proc / str(pid) / "stat").read_text(encoding="ascii", errors="replace").rpartition(") ")[2].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(pid)
    return fields[19]
