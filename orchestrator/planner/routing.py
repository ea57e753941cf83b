"""Who keeps the routes of a run: what its paths need of the gateway and of every node, merged, as files and processes. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from urllib.parse import urlsplit

from orchestrator.contracts import PathParts
from orchestrator.render.bird import common_bfd, render_gateway_bird, render_node_bird
from orchestrator.render.keepalived import render_keepalived

BIRD_CONFIG = "/etc/testbed/bird.conf"
BIRD_LOG = "/dev/shm/bird.log"
"""In memory: tail(1) is told of new lines there, while it polls other file systems of a container once a second."""
KEEPALIVED_CONFIG = "/etc/testbed/keepalived.conf"
HEALTHZ_PORT = 10256
NODE_INTERFACE = "eth0"
"""What the engine calls the first interface of a container; a node has no other."""

BIRD = ("bird", "-f", "-c", BIRD_CONFIG, "-s", "/run/testbed/bird.ctl")
KEEPALIVED = (
    *("keepalived", "--dont-fork", "--log-console", "--vrrp", "--use-file", KEEPALIVED_CONFIG),
    *("--pid", "/run/testbed/keepalived-parent.pid", "--vrrp_pid", "/run/testbed/keepalived-vrrp.pid"),
)
WATCHER = ("python3", "-m", "testbed_routes")
SPEAKER = ("python3", "-m", "nodeagent.speaker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """What a container has besides its role's own."""

    processes: tuple[Mapping[str, object], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)


def plan_gateway_routing(parts: Sequence[PathParts], *, address: IPv4Address, nodes: Mapping[str, IPv4Address]) -> Additions:
    """`nodes`: all of the run, in order."""
    announcements = [item for part in parts for item in part.announcements]
    sysctls = {key: value for part in parts for key, value in part.gateway_sysctls.items()}
    if not announcements:
        return Additions(sysctls=sysctls)
    routing = {"bird_log": BIRD_LOG, "nodes": {str(at): name for name, at in nodes.items()}}
    return Additions(
        processes=(_process("routes", WATCHER), _process("bird", BIRD)),
        files={BIRD_CONFIG: render_gateway_bird(announcements, address=address, nodes=nodes, log=BIRD_LOG)},
        settings={"routing": routing},
        sysctls=sysctls,
    )


def plan_node_routing(
    parts: Sequence[PathParts], *, node: str, nodes: Mapping[str, IPv4Address], gateway: IPv4Address
) -> Additions:
    """`nodes`: all of the run, in the order of their priorities."""
    announcements = [item for part in parts for item in part.announcements]
    addresses = [item for part in parts for item in part.virtual_addresses]
    processes: list[Mapping[str, object]] = []
    files: dict[str, str] = {}
    settings: dict[str, object]
    if not addresses and not announcements:
        return Additions()
    settings = {
        "announcements": [
            {
                "path": part.path.name,
                "service": part.path.service,
                "address": _host(part),
                "by": "bgp" if part.announcements else "vrrp",
            }
            for part in parts
            if part.announcements or part.virtual_addresses
        ]
    }
    if addresses:
        settings["virtual_addresses"] = {str(item.address): item.path for item in addresses}
        files[KEEPALIVED_CONFIG] = render_keepalived(addresses, node=node, nodes=nodes, interface=NODE_INTERFACE)
        processes += [_process("routes", WATCHER), _process("keepalived", _when_ready(nodes[node], KEEPALIVED))]
    if announcements:
        files[BIRD_CONFIG] = render_node_bird(announcements, address=nodes[node], gateway=gateway, log=BIRD_LOG)
        processes.append(_process("bird", _when_ready(nodes[node], BIRD)))
    processes.append(_process("speaker", SPEAKER))
    return Additions(processes=tuple(processes), files=files, settings={"routing": settings})


def check_routing(parts: Sequence[PathParts]) -> None:
    """Raises ValueError when the last path cannot be in one run with the earlier ones."""
    *earlier, last = parts
    for other in earlier:
        _check_destination(other, last)
        for key, value in last.gateway_sysctls.items():
            if other.gateway_sysctls.get(key, value) != value:
                raise ValueError(
                    f"hash: Linux has one {key} for a network namespace, a run has one gateway, "
                    f"and path {other.path.name!r} sets it differently; allowed: the same hash, and another in a run of its own"
                )
    common_bfd([item for part in parts for item in part.announcements])


def _check_destination(other: PathParts, last: PathParts) -> None:
    if not (_is_routed(other) and _is_routed(last)) or _host(other) != _host(last) or _ways(other) == _ways(last):
        return
    raise ValueError(
        f"service: path {other.path.name!r} leads to {_host(last)} by another route, and a gateway has one for each address; "
        "allowed: a Service of its own for each path"
    )


def _is_routed(part: PathParts) -> bool:
    return bool(part.gateway_routes or part.announcements)


def _ways(part: PathParts) -> list[object]:
    """Two announcements of one address are never the same: each has a session of its own."""
    routes: list[object] = [[item.get("via"), item.get("nexthops")] for item in part.gateway_routes]
    return [*routes, *(item.path for item in part.announcements)]


def _host(part: PathParts) -> str | None:
    return urlsplit(part.path.url).hostname


def _when_ready(address: IPv4Address, argv: Sequence[str]) -> tuple[str, ...]:
    url = f"http://{address}:{HEALTHZ_PORT}/healthz"
    return ("python3", "-m", "testbed_routes.when_ready", url, *argv)


def _process(name: str, argv: Sequence[str]) -> dict[str, object]:
    return {"name": name, "argv": list(argv), "restart": True}
