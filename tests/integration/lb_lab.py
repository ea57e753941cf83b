"""Runs inside the load balancer's container: an API server and the node ports of a cluster, both on loopback.

Commands come as one JSON object per connection to 127.0.0.1:9000 and are answered with the instant (CLOCK_MONOTONIC, ns) at
which they were done. `python3 lb_lab.py tell '<json>'` sends one,
`python3 lb_lab.py connect RATE SECONDS [ADDRESS]` opens connections through HAProxy at a steady rate and prints what became of them.
"""

import asyncio
import collections
import json
import socket
import ssl
import sys
import time

CONTROL = ("127.0.0.1", 9000)
FRONTEND = ("127.0.0.1", 80)


class Lab:
    """The objects of the API and the listening node ports."""

    def __init__(self, api):
        self.api = api
        self.ports = {}
        self.hanging = {}

    async def carry_out(self, request):
        """Returns what was asked for, None where something was done."""
        match request.pop("op"):
            case "node":
                self.put_node(**request)
            case "delete-node":
                self.api.delete("/api/v1/nodes", request["name"])
            case "service":
                ports = [{"name": "http", "port": 80, "nodePort": request["node_port"]}]
                self.api.put("/api/v1/services", "service-test", spec={"ports": ports})
            case "balancer":
                self.put_balancer(**request)
            case "delete-service":
                self.api.delete("/api/v1/services", request["name"])
            case "annotations":
                return self.api.objects["/api/v1/services"][request["name"]]["metadata"].get("annotations", {})
            case "put":
                self.api.put(request["path"], request["name"], **request["content"])
            case "delete":
                self.api.delete(request["path"], request["name"])
            case "told":
                ingress = self.api.objects["/apis/networking.k8s.io/v1/ingresses"].get(request["name"], {})
                events = [item for item in self.api.events if item["involvedObject"]["name"] == request["name"]]
                return {"status": ingress.get("status"), "events": sorted(item["reason"] for item in events)}
            case "listen":
                await self.listen(request["address"], request["port"])
            case "close":
                self.close(request["address"], request["port"])
            case "silence":
                self.silence(request["address"], request["port"])
            case "forget-watches":
                self.api.version += 5
                self.api.compact()
                self.api.send(None)
        return None

    def put_node(self, name, address, ready=True, labels=None, taints=None):
        self.api.put(
            "/api/v1/nodes",
            name,
            spec={"taints": taints or []},
            status={
                "addresses": [{"type": "InternalIP", "address": address}],
                "conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}],
            },
        )
        self.api.objects["/api/v1/nodes"][name]["metadata"]["labels"] = labels or {}

    def put_balancer(self, name, external_ip, node_port, **spec):
        """As the control plane leaves it: with an address, and what was told about it before."""
        path = "/api/v1/services"
        before = self.api.objects[path].get(name, {"metadata": {}})["metadata"].get("annotations", {})
        annotations = before | {"ingress-testbed.io/external-ip": external_ip}
        ports = [{"name": "http", "port": 80, "nodePort": node_port, "protocol": "TCP"}]
        self.api.put(path, name, annotations=annotations, spec={"type": "LoadBalancer", "ports": ports, **spec})

    async def listen(self, address, port):
        async def greet(reader, writer):
            writer.write(f"{address}\n".encode())
            while data := await reader.read(1024):
                writer.write(data)
            writer.close()

        self.ports[address, port] = await asyncio.start_server(greet, address, port, backlog=512)

    def close(self, address, port):
        """Refuse from now on; connections that exist go on."""
        self.ports.pop((address, port)).close()

    def silence(self, address, port):
        """Nothing answers from now on, as from a machine without power.

        The accept queue of a new listener is filled, and the kernel drops every SYN beyond it (listen(2)).
        """
        self.close(address, port)
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((address, port))
            fillers.append(filler)
        self.hanging[address, port] = (listener, fillers)


async def serve():
    sys.path.insert(0, "/lab")
    from aiohttp import web
    from lb_fake_api import FakeApi

    lab = Lab(FakeApi())
    application = web.Application()
    application.router.add_get("/api/v1/{resource}", lab.api.answer)
    application.router.add_patch("/api/v1/namespaces/default/{resource}/{name}", lab.api.patch)
    application.router.add_get("/apis/networking.k8s.io/v1/{resource}", lab.api.answer)
    ingresses = "/apis/networking.k8s.io/v1/namespaces/default/ingresses"
    application.router.add_patch(f"{ingresses}/{{name}}/status", lab.api.patch_status)
    application.router.add_post("/api/v1/namespaces/default/events", lab.api.create_event)
    runner = web.AppRunner(application)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/lab/server.crt", "/lab/server.key")
    await web.TCPSite(runner, "127.0.0.1", 6443, ssl_context=context).start()

    async def control(reader, writer):
        try:
            found = await lab.carry_out(json.loads(await reader.readline()))
            writer.write((str(time.monotonic_ns()) if found is None else json.dumps(found)).encode())
        except (KeyError, TypeError, ValueError, OSError) as error:
            writer.write(repr(error).encode())
        writer.close()

    async with await asyncio.start_server(control, *CONTROL) as server:
        await server.serve_forever()


def tell(text):
    with socket.create_connection(CONTROL, timeout=5) as stream:
        stream.sendall(text.encode() + b"\n")
        answer = stream.recv(4096).decode()
    sys.stdout.write(answer)
    return 0 if answer.isdigit() or answer.startswith("{") else 1


async def connect_once(outcomes, host):
    try:
        async with asyncio.timeout(3):
            reader, writer = await asyncio.open_connection(host, FRONTEND[1])
            greeting = (await reader.readline()).decode().strip()
            writer.close()
            outcomes[greeting or "closed"] += 1
    except (OSError, TimeoutError) as error:
        outcomes[type(error).__name__] += 1


async def connect(rate_rps, duration_s, host=FRONTEND[0]):
    outcomes = collections.Counter()
    start_s = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for i in range(int(rate_rps * duration_s)):
            await asyncio.sleep(max(0.0, start_s + i / rate_rps - time.monotonic()))
            tasks.create_task(connect_once(outcomes, host))
    sys.stdout.write(json.dumps(outcomes) + "\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            asyncio.run(serve())
        case ["tell", text]:
            sys.exit(tell(text))
        case ["connect", rate_rps, duration_s, *host]:
            asyncio.run(connect(float(rate_rps), float(duration_s), *host))
