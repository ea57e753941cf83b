"""One readiness probe, and what the kubelet says of it when it fails (pkg/kubelet/prober, pkg/probe)."""

from __future__ import annotations

import asyncio
import os

from nodeagent.kubelet.pod_spec import Readiness


async def probe(address: str, readiness: Readiness) -> str | None:
    """What the Event says; None: HTTP status 200 to 399, or an accepted TCP connection, within the time-out."""
    if readiness.port is None:
        error = f'strconv.Atoi: parsing "{readiness.port_name}": invalid syntax'
        return f"Readiness probe errored and resulted in unknown state: {error}"
    output = await (_open(address, readiness.port, readiness) if readiness.path is None else _get(address, readiness))
    return None if output is None else f"Readiness probe failed: {output}"


async def _open(address: str, port: int, readiness: Readiness) -> str | None:
    target = f"{address}:{port}"
    try:
        async with asyncio.timeout(readiness.timeout_s):
            _, writer = await asyncio.open_connection(address, port)
            writer.close()
    except TimeoutError:
        return f"dial tcp {target}: i/o timeout"
    except OSError as error:
        return f"dial tcp {target}: connect: {_say(error)}"
    return None


async def _get(address: str, readiness: Readiness) -> str | None:
    target = f"{address}:{readiness.port}"
    asked = f'Get "http://{target}{readiness.path}"'
    step = f"dial tcp {target}: connect"
    try:
        async with asyncio.timeout(readiness.timeout_s):
            reader, writer = await asyncio.open_connection(address, readiness.port)
            try:
                own, port = writer.get_extra_info("sockname")[:2]
                step = f"read tcp {own}:{port}->{target}: read"
                # UNKNOWN: the connection speaks for itself, without addresses of somebody else's (PROXY protocol, section 2.1).
                header = "PROXY UNKNOWN\r\n" if readiness.proxy_protocol else ""
                request = f"{header}GET {readiness.path} HTTP/1.0\r\nHost: {address}\r\nUser-Agent: kube-probe/1.36\r\n\r\n"
                writer.write(request.encode())
                line = await reader.readline()
            finally:
                writer.close()
    except TimeoutError:
        return f"{asked}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    except OSError as error:
        return f"{asked}: {step}: {_say(error)}"
    if not line:
        return f"{asked}: EOF"
    status = line.split()[1:2]
    if not status or not status[0].isdigit():
        return f'{asked}: net/http: HTTP/1.x transport connection broken: malformed HTTP response "{_printable(line)}"'
    if 200 <= int(status[0]) < 400:
        return None
    return f"HTTP probe failed with statuscode: {int(status[0])}"


def _say(error: OSError) -> str:
    """As Go spells the errors of the system."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


def _printable(line: bytes) -> str:
    return line.rstrip(b"\r\n").decode("ascii", "backslashreplace")[:80]
