"""The armed faults of a container: each is prepared, fires, expires or is healed at its time; time comes from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from testbed_init.events import EventSink
from testbed_init.faults import Effect, Fault, build_fault
from testbed_init.faults.seam import FaultError
from testbed_init.kernel import Kernel

PREPARE_LEAD_NS = 250_000_000
"""Preparation happens this long before the instant: late enough to see the state of the day, early enough to be over."""


class FaultState(StrEnum):
    """Where an armed fault is in its life."""

    ARMED = "armed"
    PREPARED = "prepared"
    EFFECTIVE = "effective"
    HEALED = "healed"
    EXPIRED = "expired"
    FAILED = "failed"


WAITING = {FaultState.ARMED, FaultState.PREPARED}


@dataclass(slots=True, kw_only=True)
class ArmedFault:
    """One fault with its instant and its end."""

    id: str
    name: str
    at_mono_ns: int
    expires_mono_ns: int
    fault: Fault
    state: FaultState = FaultState.ARMED
    holds_restarts: bool = False

    def next_ns(self) -> int | None:
        """When something is to be done for it next."""
        if self.state is FaultState.ARMED:
            return self.at_mono_ns - PREPARE_LEAD_NS
        if self.state is FaultState.PREPARED:
            return self.at_mono_ns
        if self.state in (FaultState.EFFECTIVE, FaultState.FAILED):
            return self.expires_mono_ns
        return None


@dataclass(slots=True, kw_only=True)
class Armoury:
    """Every fault armed in this container since it started, by id."""

    kernel: Kernel
    events: EventSink
    faults: dict[str, ArmedFault] = field(default_factory=dict)

    def arm(self, *, id: str, fault: str, at_mono_ns: int, ttl_s: float, parameters: Mapping[str, object]) -> ArmedFault:
        """Build the fault and wait for its instant; one in the past fires at once, and its events show how late.

        Raises:
            FaultError: the id is taken, or the fault cannot be built here.
        """
        if id in self.faults:
            raise FaultError(f"fault id {id!r} is taken ({self.faults[id].name}, {self.faults[id].state})")
        armed = ArmedFault(
            id=id,
            name=fault,
            at_mono_ns=at_mono_ns,
            expires_mono_ns=max(at_mono_ns, self.kernel.clock()) + round(ttl_s * 1e9),
            fault=build_fault(fault, parameters, self.kernel),
        )
        self.faults[id] = armed
        self._report("fault-armed", armed, f"ttl {ttl_s:g} s")
        return armed

    def next_instant_ns(self) -> int | None:
        """The next instant that must be hit exactly: that of a prepared fault."""
        return min((armed.at_mono_ns for armed in self.faults.values() if armed.state is FaultState.PREPARED), default=None)

    def next_ns(self) -> int | None:
        """When `advance` is wanted next."""
        return min((at for armed in self.faults.values() if (at := armed.next_ns()) is not None), default=None)

    def advance(self, now_ns: int) -> int | None:
        """Do what is due, in order of time; an exit status means that init must exit with it at once."""
        due = sorted(
            (at, armed.id, armed) for armed in self.faults.values() if (at := armed.next_ns()) is not None and at <= now_ns
        )
        for _, _, armed in due:
            if armed.state is FaultState.ARMED:
                self._prepare(armed)
            elif armed.state is FaultState.PREPARED:
                status = self._fire(armed)
                if status is not None:
                    return status
            else:
                self._heal(armed, "fault-expired", FaultState.EXPIRED)
        return None

    def holds_restarts(self) -> bool:
        """Whether a fault in effect forbids to start processes."""
        return any(armed.holds_restarts for armed in self.faults.values())

    def heal(self, id: str) -> str:
        """Heal by id, as often as wanted, and return the state it is in; an id never armed here counts as healed.

        Raises:
            FaultError, OSError: the effect could not be undone; it stays effective until it expires.
        """
        armed = self.faults.get(id)
        if armed is None:
            return "unknown"
        if armed.state in WAITING:
            armed.state = FaultState.HEALED
            self._report("fault-healed", armed, "disarmed before its instant")
        elif armed.state in (FaultState.EFFECTIVE, FaultState.FAILED):
            self._heal(armed, "fault-healed", FaultState.HEALED)
        return armed.state.value

    def heal_all(self) -> None:
        """Heal in reverse order of arming; what cannot be healed is reported and does not keep the others."""
        for id in reversed(tuple(self.faults)):
            try:
                self.heal(id)
            except (FaultError, OSError):
                continue  # reported by _heal

    def _prepare(self, armed: ArmedFault) -> None:
        try:
            armed.fault.prepare()
        except (FaultError, OSError) as error:
            self._fail(armed, "prepare", error)
        else:
            armed.state = FaultState.PREPARED

    def _fire(self, armed: ArmedFault) -> int | None:
        began_ns = self.kernel.clock()
        try:
            effect: Effect = armed.fault.fire()
        except (FaultError, OSError) as error:
            self._fail(armed, "fire", error)
            return None
        armed.state = FaultState.EFFECTIVE
        armed.holds_restarts = effect.holds_restarts
        # It struck after the one and before the other: the instant that is reported is known so well.
        known_within_ms = (effect.t_mono_ns - began_ns) / 1e6
        self._report("fault-effective", armed, effect.evidence, t_mono_ns=effect.t_mono_ns, known_within_ms=known_within_ms)
        return effect.exit_status

    def _heal(self, armed: ArmedFault, event: str, state: FaultState) -> None:
        try:
            evidence = armed.fault.heal()
        except (FaultError, OSError) as error:
            # Tried again in a second: expiry is the last net, and it must not tear at the first mishap.
            armed.expires_mono_ns = max(armed.expires_mono_ns, self.kernel.clock() + 1_000_000_000)
            self._fail(armed, "heal", error)
            if event == "fault-healed":
                raise
            return
        armed.state = state
        armed.holds_restarts = False
        self._report(event, armed, evidence)

    def _fail(self, armed: ArmedFault, stage: str, error: Exception) -> None:
        armed.state = FaultState.FAILED
        self._report("fault-failed", armed, f"{stage}: {error}")

    def _report(self, event: str, armed: ArmedFault, evidence: str, t_mono_ns: int | None = None, **fields: float) -> None:
        about = {"fault": armed.name, "id": armed.id, "at_mono_ns": armed.at_mono_ns, "evidence": evidence, **fields}
        self.events.emit(event, t_mono_ns=t_mono_ns, **about)
