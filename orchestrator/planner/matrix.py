"""The runs of a chaos experiment: every fault as often as there are trials, in an order shuffled by the seed. Pure."""

from dataclasses import dataclass

from orchestrator.planner.chance import chance
from orchestrator.scenario.chaos import Chaos
from orchestrator.scenario.entries import Entry, Member
from orchestrator.scenario.quantities import format_duration
from orchestrator.scenario.schema import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run: a fault and the number of its trial."""

    number: int
    """The fault's place in the file, from 1."""
    fault: str
    """The kind with its options, as a reader names it."""
    trial: int
    scenario: Scenario


def plan_matrix(chaos: Chaos, base: Scenario, *, seed: int) -> tuple[Cell, ...]:
    """Every cell once. The scenario of a cell has the fault as its only entry, and no objectives."""
    duration_s = chaos.at + chaos.phase + chaos.for_s + chaos.recovery
    cells = [
        Cell(
            number=number,
            fault=describe(member),
            trial=trial,
            scenario=base.model_copy(
                update={
                    "timeline": (_entry(chaos, member),),
                    "duration": duration_s,
                    "slo": {},
                    "stop_when": (),
                    "seed": seed,
                    "trials": 1,
                }
            ),
        )
        for number, member in enumerate(chaos.faults, 1)
        for trial in range(1, chaos.trials + 1)
    ]
    chance("chaos", seed).shuffle(cells)
    return tuple(cells)


def describe(member: Member) -> str:
    """`node-kill target=any`."""
    return " ".join([member.fault, *(f"{key}={value}" for key, value in member.options.items())])


def _entry(chaos: Chaos, member: Member) -> Entry:
    # `for: null` is a fault that has no end, such as a reboot; without the key the experiment's holds.
    for_s = member.for_s if "for_s" in member.model_fields_set else chaos.for_s
    lasts = {} if for_s is None else {"for": format_duration(for_s)}
    phase = {} if chaos.phase == 0 else {"phase": format_duration(chaos.phase)}
    return Entry.model_validate({"at": format_duration(chaos.at), **lasts, **phase, "fault": member.fault, **member.options})
