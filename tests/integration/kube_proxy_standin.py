"""Stands in for a kube-proxy binary inside a node: its flags, its conversation with the API, its table, its health.

Appended as a zip archive to a small ELF program that starts Python on itself (`render_executable`), so that it goes every way
that a real binary goes. Its rules are rendered by this project's modules; what it does not have are conntrack and metrics.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import io
import json
import re
import ssl
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

FLAGS = (
    "kubeconfig", "hostname-override", "proxy-mode", "cluster-cidr", "iptables-min-sync-period", "iptables-sync-period",
    "conntrack-max-per-core", "conntrack-min", "conntrack-tcp-timeout-established", "conntrack-tcp-timeout-close-wait",
    "healthz-bind-address", "metrics-bind-address", "kube-api-content-type",
)  # fmt: skip
LOG = Path("/var/log/testbed/kube-proxy-requests.jsonl")
WATCH_TIMEOUT_S = 2
LOADER = bytes.fromhex(
    "488b0424"  # mov rax, [rsp]: the number of arguments
    "488d54c410"  # lea rdx, [rsp + rax*8 + 16]: the environment
    "488d3d1a000000"  # lea rdi, [rip + 26]: the interpreter's path
    "48893c24"  # mov [rsp], rdi: it goes before the arguments
    "4889e6"  # mov rsi, rsp
    "b83b000000"  # mov eax, 59: execve(2)
    "0f05"  # syscall
    "bf7f000000"  # mov edi, 127
    "b83c000000"  # mov eax, 60: exit(2)
    "0f05"  # syscall
)
INTERPRETER = b"/usr/bin/python3\0"
BASE = 0x400000


def render_executable(files):
    """An x86-64 ELF program that runs the zip archive of these files, which follows it: execve(python3, itself, its arguments)."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    code = LOADER + INTERPRETER
    size = 64 + 56 + len(code)
    header = struct.pack(
        "<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 2, 62, 1, BASE + 64 + 56, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )  # fmt: skip
    # Writable, since the first argument's slot on the stack is all that is written.
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 0x1000)
    return header + segment + code + archive.getvalue()


def render_standin():
    """This program and what it needs of its own."""
    here = Path(__file__).parent
    return render_executable(
        {
            "__main__.py": (here / "kube_proxy_standin.py").read_bytes(),
            "kube_proxy_client.py": (here / "kube_proxy_client.py").read_bytes(),
        }
    )


def read_kubeconfig(text):
    """Server, CA and token of the one cluster."""
    server, authority, token = (
        re.search(rf"{key}: (\S+)", text).group(1) for key in ("server", "certificate-authority-data", "token")
    )
    return server, base64.b64decode(authority).decode(), token


def render_iptables(ports):
    """The nat table's chains of these service ports, as kube-proxy names and comments them."""
    chains, rules = ["KUBE-SERVICES", "KUBE-NODEPORTS"], []
    for port in ports:
        digest = base64.b32encode(hashlib.sha256(port.chain.encode()).digest()).decode()[:16]
        name = port.key.rstrip(":")
        if not port.usable.cluster:
            continue
        service = f"KUBE-SVC-{digest}"
        chains.append(service)
        rules.append(
            f"-A KUBE-SERVICES -d {port.cluster_ip}/32 -p {port.protocol} -m {port.protocol} --dport {port.port} "
            f'-m comment --comment "{name} cluster IP" -j {service}'
        )
        for index, endpoint in enumerate(port.usable.cluster):
            chain = f"KUBE-SEP-{digest[:13]}{index:03}"
            chains.append(chain)
            left = len(port.usable.cluster) - index
            chance = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
            rules += [
                f'-A {service} -m comment --comment "{name} -> {endpoint.target}" {chance}-j {chain}',
                f"-A {chain} -p {port.protocol} -m {port.protocol} -j DNAT --to-destination {endpoint.target}",
            ]
    rules.append("-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS")
    return "\n".join(["*nat", *(f":{chain} - [0:0]" for chain in chains), *rules, "COMMIT", ""])


class Writer:
    """The rules in the kernel, in one of the two modes."""

    def __init__(self, options):
        from nodeagent.proxy.nftables import Nftables

        self._options = options
        self._library = Nftables()
        self._applied = None

    def write(self, node_ip, services, slices, cidrs):
        from nodeagent.proxy.local_pods import LocalPods
        from nodeagent.proxy.network import Network
        from nodeagent.proxy.ruleset import render_ruleset
        from nodeagent.proxy.services import read_service_ports
        from nodeagent.proxy.transaction import render_transaction

        ports = read_service_ports(services, slices, self._options.hostname_override)
        if self._options.proxy_mode == "iptables":
            argv = ["iptables-restore", "--noflush", "--wait", "5"]
            subprocess.run(argv, input=render_iptables(ports).encode(), check=True, timeout=10)
            return
        network = Network(
            node_ip=node_ip,
            local_pods=LocalPods(cidr=self._options.cluster_cidr),
            service_cidr=cidrs[0],
            node_port_ips=(node_ip,),
        )
        desired = render_ruleset(ports, network)
        if transaction := render_transaction(self._applied, desired):
            self._library.apply(transaction)
        self._applied = desired


class Standin:
    def __init__(self, options):
        self._options = options
        self._writer = Writer(options)
        self._seen = {}
        self._changed = asyncio.Event()
        self._synced = False
        self._log = LOG.open("a", encoding="utf-8", buffering=1)

    def _asked(self, resource):
        return lambda what: self._log.write(json.dumps({"resource": resource, "request": what}) + "\n")

    async def run(self):
        import aiohttp
        from aiohttp import web

        from kube_proxy_client import RESOURCES, Reflector

        server, authority, token = read_kubeconfig(Path(self._options.kubeconfig).read_text())
        tls = aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=authority), limit=0)
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(server, connector=tls, headers=headers) as session, asyncio.TaskGroup() as tasks:
            node = await self._await_node(session, RESOURCES["nodes"].format(node=self._options.hostname_override))
            tasks.create_task(self._tell_start(session))
            runner = web.ServerRunner(web.Server(self._answer, access_log=None))
            await runner.setup()
            host, _, port = self._options.healthz_bind_address.rpartition(":")
            await web.TCPSite(runner, host, int(port)).start()
            for name, url in RESOURCES.items():
                reflector = Reflector(
                    session,
                    url.format(node=self._options.hostname_override),
                    on_change=lambda objects, name=name: self._note(name, objects),
                    asked=self._asked(name),
                    timeout_s=WATCH_TIMEOUT_S,
                )
                tasks.create_task(reflector.run())
            await self._keep_rules(node)

    async def _await_node(self, session, url):
        import aiohttp

        while True:
            self._asked("nodes")("get")
            items = []
            # Whoever starts first waits for the others.
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(url) as response:
                    items = (await response.json()).get("items") or []
            for item in items:
                for address in item["status"].get("addresses") or ():
                    if address["type"] == "InternalIP":
                        return address["address"]
            await asyncio.sleep(0.1)

    async def _tell_start(self, session):
        from kube_proxy_client import EVENTS

        node = self._options.hostname_override
        event = {
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"name": f"{node}.{id(self):x}", "namespace": "default"},
            "action": "StartKubeProxy", "eventTime": "2026-01-01T00:00:00.000000Z", "reason": "Starting", "type": "Normal",
            "regarding": {"kind": "Node", "name": node, "uid": node},
            "reportingController": "kube-proxy", "reportingInstance": f"kube-proxy-{node}",
        }  # fmt: skip
        self._asked("events")("post")
        async with session.post(EVENTS, json=event) as response:
            assert response.status == 201, await response.text()

    async def _answer(self, request):
        from aiohttp import web

        return web.json_response({"healthy": self._synced}, status=200 if self._synced else 503)

    def _note(self, name, objects):
        self._seen[name] = tuple(objects.values())
        self._changed.set()

    async def _keep_rules(self, node_ip):
        while True:
            await self._changed.wait()
            self._changed.clear()
            if {"services", "endpointslices", "servicecidrs"} <= self._seen.keys():
                cidrs = self._seen["servicecidrs"][0]["spec"]["cidrs"]
                self._writer.write(node_ip, self._seen["services"], self._seen["endpointslices"], cidrs)
                self._synced = True


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for flag in FLAGS:
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--iptables-localhost-nodeports")
    asyncio.run(Standin(parser.parse_args()).run())


if __name__ == "__main__":
    sys.exit(main())
