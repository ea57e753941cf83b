"""`python3 -m testbed_routes`: reports changes of routes, sessions and virtual addresses, started by init."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from testbed_init.events import EventWriter
from testbed_routes.settings import SettingsError, read_settings
from testbed_routes.watcher import Watcher

CONFIG = Path("/etc/testbed/config.json")
EXIT_CONFIG = 78
"""EX_CONFIG of sysexits(3)."""


def main() -> int:
    """Entry point."""
    try:
        container, settings = read_settings(CONFIG)
    except (SettingsError, OSError, ValueError) as error:
        sys.stderr.write(f"testbed_routes: {error}\n")
        return EXIT_CONFIG
    events = EventWriter(source=f"{container}/routes")
    asyncio.run(Watcher(settings=settings, container=container, events=events).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
