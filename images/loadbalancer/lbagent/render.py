"""haproxy.cfg from the settings; rendering only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lbagent.frontends import Frontend
from lbagent.servers import Server
from lbagent.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where HAProxy and the agent meet."""

    config: Path
    admin_socket: Path
    log_socket: Path
    pid_file: Path
    ingress: Path
    """Directory of maps and certificates."""

    @staticmethod
    def under(directory: Path) -> Paths:
        """The usual names in `directory`."""
        return Paths(
            config=directory / "haproxy.cfg",
            admin_socket=directory / "haproxy.sock",
            log_socket=directory / "haproxy-log.sock",
            pid_file=directory / "haproxy.pid",
            ingress=directory / "ingress",
        )


GLOBAL = """\
global
    # level admin: the agent adds, drains and deletes servers; expose-fd: a successor takes over the listening sockets.
    stats socket {admin_socket} mode 600 level admin expose-fd listeners
    # raw: no syslog header to parse; the agent stamps each line itself when it receives it.
    log {log_socket} len 1024 format raw local0
    nbthread {threads}
    maxconn {max_connections}

defaults
    log global

"""


def render_config(
    settings: Settings, paths: Paths, frontends: Sequence[Frontend], servers: Mapping[str, Sequence[Server]]
) -> str:
    """The whole file.

    `servers`, by backend, are those that HAProxy starts with: none in a new cluster, the last known ones after a restart
    or a reload, which dynamic servers do not survive (management manual 2.6, `add server`). Drained ones are left out:
    the file has no word for them, and the agent adds them again.
    """
    start = {name: tuple(server for server in sorted(group) if not server.drain) for name, group in servers.items()}
    head = GLOBAL.format(
        admin_socket=paths.admin_socket,
        log_socket=paths.log_socket,
        threads=settings.threads,
        max_connections=settings.max_connections,
    )
    return head + "\n".join(frontend.render(start) for frontend in frontends)
