"""The container's routes as one batch for ip(8); rendering only."""

from __future__ import annotations

from testbed_init.config import InitConfig, Route


def render_routes(config: InitConfig) -> str:
    """The `ip -batch` text that leaves the container with exactly the default route and the static routes of `config`.

    `replace` makes it idempotent; `flush` of the default succeeds where there is none (the engine gives no default
    route on some networks), unlike `del`.
    """
    lines = ["route flush exact 0.0.0.0/0"]
    if config.default_via is not None:
        lines.append(f"route replace default via {config.default_via}")
    lines += [f"route replace {route.to} {_render_next_hops(route)}" for route in config.routes]
    return "".join(f"{line}\n" for line in lines)


def _render_next_hops(route: Route) -> str:
    if len(route.next_hops) == 1:
        return f"via {route.next_hops[0]}"
    return " ".join(f"nexthop via {hop}" for hop in route.next_hops)
