"""HAProxy's log lines: the formats that we give it, and what they say. Pure; one line in, one value out."""

from __future__ import annotations

import re
from dataclasses import dataclass

CONNECTION = b"conn "
LOG_FORMAT_TCP = '"conn %ci %cp %f %b %s %Tw %Tc %Tt %B %ts %rc"'
"""One word a field (configuration manual 2.6, section 8.2.4), told from every other line by its first word."""
LOG_FORMAT_HTTP = '"conn %ci %cp %f %b %s %Tw %Tc %Ta %B %ts %rc"'
"""The same for each request: `%Ta`, from its first byte on, without the time that a kept connection was idle before it."""

TRANSITION = re.compile(
    rb"(?:Backup )?Server (?P<backend>[^/\s]+)/(?P<server>\S+) .*?is (?P<state>UP|DOWN)\b"
    rb"(?: \((?P<left>leaving forced drain)\)\.|[^.]*?, reason: (?P<reason>.*?)(?:, check duration: \d+ms)?\. \d+ active)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A server's health changed."""

    backend: str
    server: str
    up: bool
    reason: str


def parse_transition(line: bytes) -> Transition | None:
    """A health check's verdict, or the state in which a server leaves its drain; None for every other line.

    Other changes that were asked for through the Runtime API carry no `reason:` and are none of the checks' verdicts.
    """
    match = TRANSITION.match(line)
    if match is None:
        return None
    return Transition(
        backend=match["backend"].decode(),
        server=match["server"].decode(),
        up=match["state"] == b"UP",
        reason=(match["reason"] or match["left"]).decode(errors="replace"),
    )


def render_connection(line: bytes, t_mono_ns: int) -> bytes:
    """The JSON line of one connection (docs/contracts.md, section 6) for a log line that begins with `CONNECTION`.

    Plain formatting: hundreds of lines a second pass here, and no field needs escaping, because names are checked when
    the settings are decoded and the rest are numbers and addresses. `%rc` is a count with a leading `+` when the
    connection was redispatched; `%B` has one when it was logged before its end; `<NOSRV>` stands for no server.

    Raises:
        ValueError: not the fields of `LOG_FORMAT_TCP`.
    """
    _, ip, port, frontend, backend, server, queue, connect, total, size, ending, retries = line.split()
    return (
        b'{"t_mono_ns":%d,"client_ip":"%b","client_port":%d,"frontend":"%b","backend":"%b","server":%b,'
        b'"queue_ms":%d,"connect_ms":%d,"total_ms":%d,"bytes_read":%d,"termination":"%b","retries":%d,"redispatched":%b}\n'
    ) % (
        t_mono_ns,
        ip,
        int(port),
        frontend,
        backend,
        b"null" if server == b"<NOSRV>" else b'"%b"' % server,
        int(queue),
        int(connect),
        int(total),
        int(size),
        ending,
        int(retries),
        b"true" if retries.startswith(b"+") else b"false",
    )
