"""`python3 -m nodeagent`: the node's agent, started by init."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from nodeagent.agent import Agent
from nodeagent.settings import SettingsError, read_settings
from testbed_init.events import EventWriter

CONFIG = Path("/etc/testbed/config.json")
CA = Path("/etc/testbed/pki/ca.crt")


def main() -> int:
    try:
        settings = read_settings(CONFIG)
    except (SettingsError, OSError, ValueError) as error:
        sys.stderr.write(f"nodeagent: {error}\n")
        return 64
    events = EventWriter(source=f"{settings.node}/agent")
    asyncio.run(Agent(settings=settings, ca_file=CA, events=events, clock=time.monotonic_ns).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
