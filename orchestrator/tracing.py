"""Follows one request from the client to its pod, by what the kernels and HAProxy on its way say themselves."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from orchestrator.contracts import World
from orchestrator.errors import CommandError
from orchestrator.model.plan import PathPlan, Role

DEADLINE_S = 10.0
HAPROXY_LOG = "/var/log/testbed/haproxy-connections.jsonl"
_FLOW = re.compile(r"src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One thing found out on the way."""

    where: str
    what: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """An entry of connection tracking: what was asked for, and who answers (conntrack(8))."""

    source: str
    destination: str
    destination_port: int
    source_port: int
    answers: str
    answers_port: int
    left_s: int
    """Until it is forgotten: of flows in one state the newest has most."""


def trace_path(world: World, path: PathPlan) -> tuple[Hop, ...]:
    """One request of the client, then what is left of it on its way. Raises CommandError, DeadlineError."""
    client = world.plan.of_role(Role.CLIENT)[0].name
    url = urlsplit(path.url)
    host, port = path.connect_to or str(url.hostname), url.port or (443 if url.scheme == "https" else 80)
    probe = ["python3", "-m", "loadtests.probe", path.url, *path.probe_options]
    record = json.loads(world.execute(client, probe, deadline_s=DEADLINE_S))
    hops = [Hop(where=client, what="request", found=f"{path.url} from port {record['local_port']}: {record['outcome']}")]
    hops += _route(world, client, host)
    destination, destination_port, source_port = host, port, int(record["local_port"])
    if path.frontend is not None:
        server = _server(world, source_port, path.frontend)
        hops.append(Hop(where=Role.LOADBALANCER, what="server", found=server or "no line of this connection in HAProxy's log"))
        if server is None:
            return tuple(hops)
        destination, destination_port = str(world.plan.container(server).address), _node_port(world, path)
        source_port = 0  # HAProxy's own connection has a port of its own
        hops += _route(world, Role.LOADBALANCER, destination)
    elif host != str(world.plan.of_role(Role.GATEWAY)[0].address):
        hops += _route(world, Role.GATEWAY, host)
    endpoint = _address(world, path, str(record["pod"]))
    for node in _nodes(world):
        hops += _on_node(world, node, destination, destination_port, source_port, endpoint)
    if record["pod"]:
        seen = f"{record['pod']} on {record['node']}, which saw the client as {record['client']}"
        hops.append(Hop(where=str(record["node"]), what="endpoint", found=seen))
    return tuple(hops)


def parse_flows(text: str) -> tuple[Flow, ...]:
    """`conntrack -L`: the original direction, then the reply's."""
    found = []
    for line in text.splitlines():
        directions = _FLOW.findall(line)
        if len(directions) == 2:
            (source, destination, sport, dport), (answers, _, answers_port, _) = directions
            found.append(
                Flow(
                    source=source,
                    destination=destination,
                    destination_port=int(dport),
                    source_port=int(sport),
                    answers=answers,
                    answers_port=int(answers_port),
                    left_s=int(line.split()[2]),
                )
            )
    return tuple(found)


def _on_node(world: World, node: str, destination: str, port: int, source_port: int, endpoint: str | None) -> list[Hop]:
    """The rule that the first packet met on the node, and its flow; nothing where it did not pass."""
    command = f"conntrack -L -p tcp --orig-dst {destination} --orig-port-dst {port} 2>/dev/null || true"
    listed = world.execute(node, ["sh", "-c", command], deadline_s=DEADLINE_S)
    flows = [
        flow
        for flow in parse_flows(listed)
        if source_port in (0, flow.source_port) and endpoint in (None, flow.answers) and flow.answers != destination
    ]
    if not flows:
        return []
    flow = max(flows, key=lambda flow: flow.left_s)
    told = f"{flow.source}:{flow.source_port} to {destination}:{port} is answered by {flow.answers}:{flow.answers_port}"
    return [
        Hop(where=node, what="rule", found=_rule(world, node, destination, port)),
        Hop(where=node, what="connection tracking", found=told),
    ]


def _rule(world: World, node: str, destination: str, port: int) -> str:
    """What the node's rules say to the destination, in kube-proxy's own words."""
    for name, element in (("service-ips", f"{destination} . tcp . {port}"), ("service-nodeports", f"tcp . {port}")):
        try:
            answer = world.execute(
                node, ["nft", "get", "element", "ip", "kube-proxy", name, f"{{ {element} }}"], deadline_s=DEADLINE_S
            )
        except CommandError:
            continue
        found = re.search(r"elements = \{ (.*?) \}", answer, re.DOTALL)
        if found:
            return f"map {name}: {' '.join(found[1].split())}"
    saved = world.execute(node, ["sh", "-c", "iptables-save -t nat 2>/dev/null || true"], deadline_s=DEADLINE_S)
    matching = [
        line
        for line in saved.splitlines()
        if f"--dport {port} " in line and ("KUBE-SERVICES" in line or "KUBE-NODEPORTS" in line)
    ]
    return matching[0] if matching else _host_port_rule(world, node, port, saved)


def _host_port_rule(world: World, node: str, port: int, saved: str) -> str:
    """What the rules of the portmap plugin say, in its own words. `saved`: iptables-save's text."""
    listed = world.execute(node, ["sh", "-c", "nft list table ip cni_hostport 2>/dev/null || true"], deadline_s=DEADLINE_S)
    lines = [line.strip() for line in (*listed.splitlines(), *saved.splitlines())]
    told = [line for line in lines if f"dport {port} " in line and ("dnat to" in line or "-j DNAT" in line)]
    return told[0] if told else "no rule for this destination"


def _route(world: World, container: str, destination: str) -> list[Hop]:
    answer = world.execute(container, ["ip", "route", "get", destination], deadline_s=DEADLINE_S)
    return [Hop(where=container, what="route", found=" ".join(answer.splitlines()[0].split()))]


def _server(world: World, client_port: int, backend: str) -> str | None:
    """The line comes when HAProxy has ended the connection, a moment after the answer."""
    for _ in range(10):
        text = world.execute(
            Role.LOADBALANCER, ["sh", "-c", f"tail -n 2000 {HAPROXY_LOG} 2>/dev/null || true"], deadline_s=DEADLINE_S
        )
        records = [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
        for record in reversed(records):
            if record["client_port"] == client_port and record["backend"] == backend:
                return str(record["server"]) or None
        world.clock.sleep_until_mono_ns(world.clock.now_mono_ns() + 100_000_000)
    return None


def _node_port(world: World, path: PathPlan) -> int:
    namespace, name = path.service.split("/")
    service = world.kube.get("services", name, namespace=namespace)
    spec = service.get("spec") if service is not None else None
    ports = (spec.get("ports") if isinstance(spec, dict) else None) or []
    wanted = _service_port(world, path)
    return next((int(item["nodePort"]) for item in ports if wanted in (item.get("name"), str(item["port"]))), 0)


def _service_port(world: World, path: PathPlan) -> str:
    """The Service's port that HAProxy leads to, by name or number: the frontend's, or behind an Ingress the backend name's."""
    settings = world.plan.of_role(Role.LOADBALANCER)[0].config["settings"]
    frontends = settings["frontends"] if isinstance(settings, dict) else ()
    for frontend in frontends:
        if frontend["name"] == path.frontend:
            return str(frontend["port"])
    return str(path.frontend).rpartition(":")[2]


def _address(world: World, path: PathPlan, pod: str) -> str | None:
    """Of the pod that answered; None where nobody did."""
    found = world.kube.get("pods", pod, namespace=path.service.split("/")[0]) if pod else None
    status = found.get("status") if found is not None else None
    return str(status["podIP"]) if isinstance(status, dict) and "podIP" in status else None


def _nodes(world: World) -> Sequence[str]:
    return [item.name for item in world.plan.of_role(Role.NODE) if world.is_running(item.name)]
