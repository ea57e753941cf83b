"""How a path's route is kept, as its plan says (`settings.routing`): what metrics and the steady state read."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.model.plan import PathPlan

KEY = "routing"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticEcmp:
    """Nobody keeps it."""

    kind = "static-ecmp"
    address: str
    next_hops: tuple[str, ...]

    def to_settings(self) -> dict[str, object]:
        return {"kind": self.kind, "address": self.address, "next_hops": list(self.next_hops)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bgp:
    """Sessions of the nodes with the gateway. `is_shared`: every node's route is used at once."""

    kind = "bgp"
    address: str
    hold_time_s: float
    keepalive_s: float
    bfd_interval_s: float | None
    bfd_multiplier: int
    is_shared: bool

    @property
    def destination(self) -> str:
        return f"{self.address}/32"

    def to_settings(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "address": self.address,
            "hold_time_s": self.hold_time_s,
            "keepalive_s": self.keepalive_s,
            "bfd_interval_s": self.bfd_interval_s,
            "bfd_multiplier": self.bfd_multiplier,
            "is_shared": self.is_shared,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Vrrp:
    """One node has the address. `priorities`: of every node of the run at the start."""

    kind = "vrrp"
    address: str
    advert_interval_s: float
    is_preempting: bool
    priorities: Mapping[str, int]

    def to_settings(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "address": self.address,
            "advert_interval_s": self.advert_interval_s,
            "is_preempting": self.is_preempting,
            "priorities": dict(self.priorities),
        }


Routing = StaticEcmp | Bgp | Vrrp


def routing_of(path: PathPlan) -> Routing | None:
    """None where the path's route is no matter of its own."""
    settings = path.settings.get(KEY)
    if not isinstance(settings, Mapping):
        return None
    values = dict(settings)
    match values.pop("kind", None):
        case StaticEcmp.kind:
            return StaticEcmp(address=values["address"], next_hops=tuple(values["next_hops"]))
        case Bgp.kind:
            return Bgp(**values)
        case Vrrp.kind:
            return Vrrp(**values)
    return None
