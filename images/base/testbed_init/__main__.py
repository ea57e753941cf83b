"""PID 1: reads its configuration, sets the routes, starts the processes and stays until the container's end."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from testbed_init.arming import Armoury
from testbed_init.config import ConfigError, InitConfig, decode_config
from testbed_init.control import Control
from testbed_init.events import EventWriter
from testbed_init.ground import lay_ground
from testbed_init.kernel import LinuxKernel, has_net_admin, run_ip
from testbed_init.loop import Loop
from testbed_init.processes import PosixSpawner, Supervisor
from testbed_init.resources import find_cgroup_files, read_conntrack_entries
from testbed_init.routes import render_routes
from testbed_init.tools import KernelError, run_tool

CONFIG_PATH = Path("/etc/testbed/config.json")
RUN_DIR = Path("/run/testbed")
LOG_DIR = Path("/var/log/testbed")
EXIT_CONFIG = 78
"""EX_CONFIG of sysexits(3)."""
EXIT_KERNEL = 71
"""EX_OSERR of sysexits(3)."""


def run(config: InitConfig) -> int:
    """Bring the container up and serve; returns the exit status."""
    expires_mono_ns = time.monotonic_ns() + round(config.expires_in_s * 1e9)
    events = EventWriter(source=f"{config.container}/init")
    LOG_DIR.mkdir(parents=True, exist_ok=True)
    empty(RUN_DIR)
    supervisor = Supervisor(spawner=PosixSpawner(), clock=time.monotonic_ns, events=events)
    kernel = LinuxKernel(supervisor=supervisor, run_dir=RUN_DIR)
    armoury = Armoury(kernel=kernel, events=events)
    cgroup = find_cgroup_files()

    def report_resources() -> None:
        events.emit(
            "resources",
            cpu_usage_ns=None if cgroup is None else cgroup.cpu_usage_ns(),
            memory_bytes=None if cgroup is None else cgroup.memory_bytes(),
            conntrack_entries=read_conntrack_entries(),
        )

    loop = Loop(
        supervisor=supervisor,
        armoury=armoury,
        control=Control(supervisor=supervisor, armoury=armoury, run_dir=RUN_DIR),
        expires_mono_ns=expires_mono_ns,
        tick=report_resources,
    )
    loop.open(RUN_DIR / "init.sock")
    # The engine redirects DNS inside every container by NAT rules, which turns on connection tracking: a node that has just
    # booted would then track what it forwards before its own rules stand, and those flows would never be translated, nor would
    # later ones from the same port (an unanswered SYN is remembered for 120 s).
    if has_net_admin():
        run_tool(["nft", "flush", "ruleset"])
        run_tool(["conntrack", "-F"])
    for ground in config.fault_ground:
        lay_ground(ground, kernel)
    run_ip(["-batch", "-"], text=render_routes(config).encode())
    events.emit("booted", expires_in_s=config.expires_in_s)
    for process in config.processes:
        supervisor.add(process)
    return loop.run()


def empty(directory: Path) -> None:
    """An empty directory, whatever an earlier life of the container left there: /run does not survive a reboot."""
    directory.mkdir(parents=True, exist_ok=True)
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            empty(entry)
            entry.rmdir()
        else:
            entry.unlink()


def main() -> int:
    """Entry point."""
    try:
        return run(decode_config(CONFIG_PATH.read_bytes()))
    except (ConfigError, FileNotFoundError) as error:
        sys.stderr.write(f"testbed-init: {CONFIG_PATH}: {error}\n")
        return EXIT_CONFIG
    except KernelError as error:
        sys.stderr.write(f"testbed-init: {error}\n")
        return EXIT_KERNEL


if __name__ == "__main__":
    # Out at once: the interpreter's own shutdown would only delay the end of the container, which ends every process.
    os._exit(main())
