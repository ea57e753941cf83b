"""The process: reads its configuration, serves the API, runs the controllers until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import ssl
import sys
from asyncio.sslproto import SSLProtocol
from ipaddress import IPv4Address
from pathlib import Path

from aiohttp import web

from controlplane.api.server import ApiServer
from controlplane.assembly import assemble
from controlplane.clock import LoopClock
from controlplane.cluster import Cluster
from controlplane.settings import Bind, Settings, SettingsError, decode_settings
from controlplane.store.journal import Journal
from controlplane.store.store import HISTORY_CAPACITY
from testbed_init.events import EventWriter

CONFIG_PATH = Path("/etc/testbed/config.json")
PKI_DIR = Path("/etc/testbed/pki")
STATE_DIR = Path("/var/lib/testbed")
EXIT_CONFIG = 78
"""EX_CONFIG of sysexits(3)."""
BACKLOG = 4096
"""Every client reconnects at once after a restart."""
SHUTDOWN_S = 0.2
TLS_BUFFER_BYTES = 32 * 1024
"""Two TLS records. asyncio's own 256 KiB for each connection would be half the container's memory with a thousand watchers."""


def find_api_ip(settings: Settings) -> IPv4Address:
    """The address that nodes reach: the bound one, or the one on the way to the router. Nothing is sent (connect(2) on UDP)."""
    if settings.bind.host != "0.0.0.0" or settings.advertise_via is None:
        host = settings.bind.host if settings.bind.host != "0.0.0.0" else "127.0.0.1"
        return IPv4Address(host)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((str(settings.advertise_via), 9))
        return IPv4Address(probe.getsockname()[0])


def make_tls(pki: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pki / "server.crt", pki / "server.key")
    return context


async def listen(cluster: Cluster, bind: Bind, *, token: str | None, tls: ssl.SSLContext | None) -> web.ServerRunner:
    """Serve the API at `bind`; without a token everybody is let in."""
    # A watch must end with its client, or it would be kept for half an hour.
    server = web.Server(ApiServer(cluster=cluster, token=token).answer, handler_cancellation=True, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    await web.TCPSite(runner, bind.host, bind.port, ssl_context=tls, backlog=BACKLOG, reuse_address=True).start()
    return runner


async def run(settings: Settings, *, pki: Path, state: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    state.mkdir(parents=True, exist_ok=True)
    journal = Journal(state / "store.db", keep=HISTORY_CAPACITY)
    plane = assemble(
        settings,
        journal=journal,
        clock=LoopClock(),
        events=EventWriter(source=f"{settings.container}/api"),
        api_ip=find_api_ip(settings),
        defer=loop.call_soon,
    )
    SSLProtocol.max_size = TLS_BUFFER_BYTES
    # What was imported and made so far stays: the collector need not look at it again.
    gc.freeze()
    runners = [await listen(plane.cluster, settings.bind, token=settings.token, tls=make_tls(pki))]
    if settings.insecure_bind is not None:
        runners.append(await listen(plane.cluster, settings.insecure_bind, token=None, tls=None))
    sys.stderr.write(f"serving the Kubernetes API at {settings.bind.host}:{settings.bind.port}\n")
    await stop.wait()
    for runner in runners:
        await runner.cleanup()
    journal.close()


def main(config: Path = CONFIG_PATH, pki: Path = PKI_DIR, state: Path = STATE_DIR) -> int:
    """Entry point."""
    try:
        settings = decode_settings(config.read_bytes())
        asyncio.run(run(settings, pki=pki, state=state))
    except (SettingsError, FileNotFoundError) as error:
        sys.stderr.write(f"controlplane: {config}: {error}\n")
        return EXIT_CONFIG
    return 0


if __name__ == "__main__":
    sys.exit(main())
