"""The control responder: nginx with one static answer, for the load's control probe on a path that no fault touches.

A process of its own, so that the probe measures the machine and not the Python process that serves the API.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from controlplane.settings import Settings, SettingsError, decode_settings

CONFIG_PATH = Path("/etc/testbed/config.json")
RUN_DIR = Path("/run/testbed")
NGINX = "/usr/sbin/nginx"
EXIT_CONFIG = 78
"""EX_CONFIG of sysexits(3)."""


def render_responder(*, port: int, run_dir: Path) -> str:
    """nginx.conf: 200 for every request, nothing logged, no file read."""
    return f"""\
daemon off;
# One process that stays root: the container has no capability to change users, nor to give directories to another one.
master_process off;
user root;
pid {run_dir}/responder.pid;
error_log stderr warn;
events {{
    worker_connections 4096;
}}
http {{
    access_log off;
    client_body_temp_path {run_dir}/responder-body;
    proxy_temp_path {run_dir}/responder-proxy;
    fastcgi_temp_path {run_dir}/responder-fastcgi;
    uwsgi_temp_path {run_dir}/responder-uwsgi;
    scgi_temp_path {run_dir}/responder-scgi;
    # The probe's own connections must never be what ends them.
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    server {{
        listen {port} backlog=4096 reuseport;
        default_type text/plain;
        location / {{
            return 200 "ok\\n";
        }}
    }}
}}
"""


def prepare(settings: Settings, run_dir: Path) -> list[str]:
    """Write the configuration; returns nginx's arguments. Raises SettingsError when the plan wants no responder."""
    if settings.control_responder_port is None:
        raise SettingsError("control_responder_port: is needed by the responder")
    run_dir.mkdir(parents=True, exist_ok=True)
    path = run_dir / "responder.conf"
    path.write_text(render_responder(port=settings.control_responder_port, run_dir=run_dir), encoding="utf-8")
    return [NGINX, "-e", "stderr", "-p", str(run_dir), "-c", str(path)]


def main(config: Path = CONFIG_PATH, run_dir: Path = RUN_DIR) -> int:
    """Become nginx; returns only when that fails."""
    try:
        argv = prepare(decode_settings(config.read_bytes()), run_dir)
        os.execv(argv[0], argv)
    except (SettingsError, FileNotFoundError) as error:
        sys.stderr.write(f"responder: {config}: {error}\n")
        return EXIT_CONFIG


if __name__ == "__main__":
    sys.exit(main())
