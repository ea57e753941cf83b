"""The program of every pod: nginx, answering who it is. The configuration is rendered here, pure."""

from __future__ import annotations

import json
from collections.abc import Iterable

TEMPLATE = """\
daemon on;
master_process on;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  # A kept-alive connection is the client's to end, not ours after 1,000 requests.
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  default_type application/json;
{servers}}}
"""
SERVER = """\
  server {{
    listen 0.0.0.0:{port} backlog=4096{protocol};
    location / {{ return 200 '{body}'; }}
  }}
"""


PROXY_PROTOCOL = """\
  # The client's address is what the PROXY header says, whoever sent it (ngx_http_realip_module).
  set_real_ip_from 0.0.0.0/0;
  real_ip_header proxy_protocol;
"""


def render_nginx(
    *,
    pod: str,
    node: str,
    pod_ip: str,
    ports: Iterable[int],
    directory: str,
    proxy_protocol: bool = False,
) -> str:
    """One server for each port; `$remote_addr` is filled in by nginx.

    `proxy_protocol`: every connection must begin with a PROXY header, version 1 or 2; one that does not is closed.
    """
    servers = PROXY_PROTOCOL if proxy_protocol else ""
    for port in ports:
        fields = {"pod": pod, "node": node, "pod_ip": pod_ip, "client": "$remote_addr", "port": port}
        servers += SERVER.format(port=port, body=json.dumps(fields), protocol=" proxy_protocol" if proxy_protocol else "")
    return TEMPLATE.format(directory=directory, servers=servers)
