"""The agent's composition: HAProxy first, so that its frontends are there at once; the cluster after it."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

from lbagent.agent import Agent
from lbagent.decoding import SettingsError
from lbagent.process import HaproxyError
from lbagent.render import Paths
from lbagent.settings import Settings, decode_settings
from testbed_init.events import EventWriter

CONFIG_PATH = Path("/etc/testbed/config.json")
CA_PATH = Path("/etc/testbed/pki/ca.crt")
RUN_DIR = Path("/run/testbed")
CONNECTION_LOG = Path("/var/log/testbed/haproxy-connections.jsonl")


async def serve(settings: Settings) -> None:
    """Run until SIGTERM; HAProxy stays."""
    agent = Agent(
        settings=settings,
        paths=Paths.under(RUN_DIR),
        connection_log=CONNECTION_LOG,
        ca_file=CA_PATH,
        events=EventWriter(source=f"{settings.container}/lb"),
        clock=time.monotonic_ns,
    )
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(agent.run())
    loop.add_signal_handler(signal.SIGTERM, serving.cancel)
    loop.add_signal_handler(signal.SIGHUP, agent.ask_reload)
    try:
        await serving
    except asyncio.CancelledError:
        return


def main() -> int:
    """Entry point."""
    try:
        asyncio.run(serve(decode_settings(CONFIG_PATH.read_bytes())))
    except (SettingsError, FileNotFoundError) as error:
        sys.stderr.write(f"lbagent: {CONFIG_PATH}: {error}\n")
        return 78
    except HaproxyError as error:
        sys.stderr.write(f"lbagent: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
