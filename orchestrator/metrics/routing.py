"""Routed paths through a fault: which next hops were struck, until when the path led to them, and how long that may take."""

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass

from orchestrator.metrics.limits import Bounds
from orchestrator.model.history import Event, History
from orchestrator.model.plan import PathPlan, StepPlan
from orchestrator.model.routing import Bgp, Routing, StaticEcmp, Vrrp, routing_of

BIRD_JITTER_RATIO = 0.25
_ROUTES = ("route-added", "route-withdrawn")
_ADDRESSES = ("vip-acquired", "vip-released")


@dataclass(frozen=True, slots=True, kw_only=True)
class NextHops:
    """What a fault did to the next hops of one path; instants in seconds from the start of the load."""

    struck: int
    """Of those in use when it struck, how many it struck."""
    total: int
    left_s: float | None
    """When the path led to none of them any more; None: not inside the window."""
    changes_s: tuple[float, ...]
    """Every change of the next hops inside the window: flows move then."""
    without_s: tuple[tuple[float, float], ...] = ()
    """From when until when the path led to nobody at all."""

    @property
    def were_all_struck(self) -> bool:
        return self.struck == self.total


def find_next_hops(path: PathPlan, step: StepPlan, history: History, *, since_s: float, until_s: float) -> NextHops | None:
    """None for a path whose route is no matter of its own."""
    routing = routing_of(path)
    if routing is None:
        return None
    begin_ns = (history.start_mono_ns or 0) + round(since_s * 1e9)
    end_ns = (history.start_mono_ns or 0) + round(until_s * 1e9)
    hops = list(routing.next_hops) if isinstance(routing, StaticEcmp) else list[str]()
    struck = total = 0
    left_s: float | None = None
    changes_s, without_s = [], []
    without_since_s: float | None = None
    events = tuple(_events(routing, history))
    for event in (item for item in events if item.t_mono_ns < begin_ns):
        hops = _fold(hops, event)
    led = _led_to(routing, hops)
    total, struck = len(led), len(led & set(step.targets))
    if not struck:
        left_s = since_s
    for event in (item for item in events if begin_ns <= item.t_mono_ns < end_ns):
        hops = _fold(hops, event)
        changes_s.append(history.seconds(event))
        if not hops and without_since_s is None:
            without_since_s = history.seconds(event)
        elif hops and without_since_s is not None:
            without_s.append((without_since_s, history.seconds(event)))
            without_since_s = None
        if left_s is None and _led_to(routing, hops).isdisjoint(step.targets):
            left_s = history.seconds(event)
    if without_since_s is not None:
        without_s.append((without_since_s, until_s))
    return NextHops(struck=struck, total=total, left_s=left_s, changes_s=tuple(changes_s), without_s=tuple(without_s))


def detection_of(routing: Routing) -> Bounds:
    """How long a dead node stays a next hop.

    - BGP: the gateway holds the session for `hold_time` after the last message, which was up to one `keepalive` old when the node
      died (RFC 4271 sections 4.4, 6.5). BIRD shortens every BGP timer by up to a quarter at random, this one too (bgp_start_timer
      in proto/bgp/bgp.c; RFC 4271 section 10 has that for others).
    - BFD: `multiplier` x `interval` after the last packet, up to one `interval` old (RFC 5880 section 6.8.4).
    - VRRP: the next node waits 3 x `advert_interval` + skew after the last advertisement, up to one `advert_interval` old, with
      skew = (256 - its priority) x `advert_interval` / 256 (RFC 5798 section 6.1).
    - Static: nothing.
    """
    match routing:
        case Bgp(bfd_interval_s=float() as interval_s, bfd_multiplier=multiplier):
            latest_s = multiplier * interval_s
            why = (
                f"{multiplier} BFD packets missed, {interval_s:g} s apart; the last came up to {interval_s:g} s before the fault"
            )
            return Bounds(earliest_s=latest_s - interval_s, latest_s=latest_s, why=why)
        case Bgp(hold_time_s=hold_s, keepalive_s=keepalive_s):
            shortest_s = (1 - BIRD_JITTER_RATIO) * hold_s
            why = f"hold time {shortest_s:g} to {hold_s:g} s from the last message, up to {keepalive_s:g} s before the fault"
            return Bounds(earliest_s=max(0.0, shortest_s - keepalive_s), latest_s=hold_s, why=why)
        case Vrrp(advert_interval_s=interval_s, priorities=priorities):
            longest_s, shortest_s = (_skew_s(pick(priorities.values()), interval_s) for pick in (min, max))
            why = (
                f"3 advertisements missed, {interval_s:g} s apart, and the skew; "
                f"the last came up to {interval_s:g} s before the fault"
            )
            return Bounds(earliest_s=2 * interval_s + shortest_s, latest_s=3 * interval_s + longest_s, why=why)
        case StaticEcmp():
            return Bounds(earliest_s=None, latest_s=None, why="nothing withdraws the route")


def longest_skew_s(routing: Vrrp) -> float:
    """How long the last of the nodes waits once the address was given up (RFC 5798 section 6.1, Skew_Time)."""
    return _skew_s(min(routing.priorities.values()), routing.advert_interval_s)


def _skew_s(priority: int, interval_s: float) -> float:
    """To a millisecond, upwards: as a reader takes it in."""
    return math.ceil((256 - priority) * interval_s * 1000 / 256) / 1000


def _events(routing: Routing, history: History) -> list[Event]:
    match routing:
        case Bgp():
            return list(history.select(*_ROUTES, destination=routing.destination))
        case Vrrp():
            return list(history.select(*_ADDRESSES, address=routing.address))
        case StaticEcmp():
            return []


def _led_to(routing: Routing, hops: Sequence[str]) -> Set[str]:
    """Of the nodes with a virtual address the last that took it; a route leads to all of its next hops."""
    return frozenset(hops[-1:] if isinstance(routing, Vrrp) else hops)


def _fold(hops: Sequence[str], event: Event) -> list[str]:
    """In the order in which they came."""
    node = str(event.fields.get("node"))
    others = [hop for hop in hops if hop != node]
    match event.event:
        case "vip-acquired" | "route-added":
            return [*others, node]
        case "vip-released":
            # Two nodes that start at once may both take it, until one hears of the other. Alone, a node that gives it up is
            # called on by the router until another has it. A dead one may not even tell.
            return others or list(hops)
        case _:
            return others
