"""What a fault inside a container is: built when armed, prepared just before its instant, fired, healed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from testbed_init.kernel import Kernel


class FaultError(ValueError):
    """The fault cannot be armed here, or could not be fired or healed; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The instant at which the fault had struck, and what was read from the kernel afterwards."""

    t_mono_ns: int
    evidence: str
    exit_status: int | None = None
    """Init exits with it as soon as the effect is reported."""
    holds_restarts: bool = False
    """While the fault lasts, init starts no process: on a frozen machine nothing comes to life."""


class Fault(Protocol):
    """One armed fault. Nothing is changed before `fire`; `heal` may be called at any time and any number of times."""

    def prepare(self) -> None:
        """Read whatever takes time, a moment before the instant."""

    def fire(self) -> Effect:
        """Strike: the decisive system calls first, then the stamp, then the evidence."""

    def heal(self) -> str:
        """Undo what `fire` did and return evidence of it."""


Build = Callable[[Mapping[str, object], Kernel], Fault]


def refuse_unknown(parameters: Mapping[str, object], allowed: set[str], fault: str) -> None:
    """Raise for a parameter that the fault does not have."""
    unknown = sorted(set(parameters) - allowed)
    if unknown:
        raise FaultError(f"{fault}: unknown parameters {unknown}; allowed: {sorted(allowed) or 'none'}")


def render_states(states: Mapping[str, str]) -> str:
    """`eth0 down, eth1 down`."""
    return ", ".join(f"{name} {state}" for name, state in sorted(states.items())) or "none"


def text_of(parameters: Mapping[str, object], key: str, fault: str) -> str:
    """A parameter that must be a non-empty string."""
    value = parameters.get(key)
    if not isinstance(value, str) or not value:
        raise FaultError(f"{fault}: {key} must be a non-empty string, got {value!r}")
    return value


def number_of(parameters: Mapping[str, object], key: str, fault: str) -> float:
    """A parameter that must be a number."""
    value = parameters.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FaultError(f"{fault}: {key} must be a number, got {value!r}")
    return float(value)


def directions_of(parameters: Mapping[str, object], fault: str) -> tuple[str, ...]:
    """`direction`: both (default), in or out."""
    value = parameters.get("direction", "both")
    if value not in ("both", "in", "out"):
        raise FaultError(f"{fault}: direction must be both, in or out, got {value!r}")
    return ("in", "out") if value == "both" else (str(value),)
