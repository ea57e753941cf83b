"""`testbed fault` and `testbed scale`: strikes by hand on a testbed that `up` or `run --keep` left."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
import yaml
from pydantic import JsonValue
from rich.console import Console

from orchestrator.cli.by_hand import UpArgument, open_kept, read_seconds, table_of
from orchestrator.cli.entry import RESULTS, OutputOption, ResultsOption, app, print_json, wants_json
from orchestrator.errors import UsageError

ForOption = Annotated[str | None, typer.Option("--for", help="heal after this and return: 10s; default: leave it in place")]
ExpiresOption = Annotated[str, typer.Option("--expires", help="a fault left in place heals itself after this")]
OptionsArgument = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="target=node-1, ratio=10%")]

TIMELINE_KEYS = {"after", "at", "every", "for", "phase", "times"}

fault = typer.Typer(help="Faults by hand on a testbed that is up.", no_args_is_help=True)
app.add_typer(fault, name="fault")


@fault.command("list")
def list_faults(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="also what is in place there")] = None,
    results: ResultsOption = RESULTS,
    output: OutputOption = "text",
) -> None:
    """The kinds of faults; with a run, the faults that are in place."""
    from orchestrator.registry import ACTIONS

    if run is None:
        kinds = {
            kind: {
                "does": (action.__doc__ or "").strip().partition("\n")[0],
                "options": sorted(action.options.model_fields),
            }
            for kind, action in sorted(ACTIONS.items())
        }
        if wants_json(output):
            print_json(kinds)
            return
        table = table_of("kind", "options", "")
        for kind, entry in kinds.items():
            table.add_row(kind, ", ".join(entry["options"]), str(entry["does"]))
        Console(highlight=False).print(table)
        return
    with open_kept(run, results) as session:
        found = session.in_place()
    if wants_json(output):
        print_json([{"step": step.step, "kind": step.kind, "targets": step.targets, "state": state} for step, state in found])
        return
    table = table_of("step", "kind", "strikes", "state")
    for step, state in found:
        table.add_row(step.step, step.kind, ", ".join(step.targets), state)
    Console(highlight=False).print(table if found else "no fault is in place")


@fault.command()
def inject(
    run: UpArgument,
    kind: Annotated[str, typer.Argument(help="see testbed fault list")],
    options: OptionsArgument = None,
    for_: ForOption = None,
    expires: ExpiresOption = "10m",
    results: ResultsOption = RESULTS,
) -> None:
    """Strike now, and show the evidence. Targets may be chosen as in a timeline: target=any."""
    raw = {"fault": kind, **parse_options(options)}
    for key in TIMELINE_KEYS & raw.keys():
        allowed = "--for" if key == "for" else "in a scenario's timeline"
        raise UsageError(f"{key}: a strike by hand is one, and now; allowed: {allowed}")
    _strike(run, results, raw, for_s=read_seconds("--for", for_) if for_ else None, lasts_s=read_seconds("--expires", expires))


@app.command()
def scale(
    run: UpArgument,
    options: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="nodes=5 pods=12 drain=true")],
    results: ResultsOption = RESULTS,
) -> None:
    """Add or remove nodes and pods now, and wait until every node serves."""
    found = parse_options(options)
    raw: dict[str, JsonValue] = {"scale": {key: found.pop(key) for key in ("nodes", "pods") if key in found}, **found}
    _strike(run, results, raw, for_s=None, lasts_s=600.0)


def _strike(run: str, results: Path, raw: Mapping[str, JsonValue], *, for_s: float | None, lasts_s: float) -> None:
    from orchestrator.errors import InterruptedRunError

    console = Console(highlight=False)
    with open_kept(run, results, observer=lambda event: _tell_step(console, event)) as session:
        steps = session.strike(raw, for_s=for_s, lasts_s=max(lasts_s, (for_s or 0) + 10))
        if for_s is not None:
            try:
                session.world.clock.sleep_until_mono_ns(session.world.clock.now_mono_ns() + round(for_s * 1e9))
            except InterruptedRunError:
                console.print("interrupted: healing now")
            session.heal(steps)


def _tell_step(console: Console, event: object) -> None:
    from orchestrator.model.history import Event

    if isinstance(event, Event) and event.source == "orchestrator" and event.event.startswith("step-"):
        told = event.fields
        what = event.event.removeprefix("step-")
        console.print(f"{told.get('step')}: {what} on {told.get('target') or '-'}  {told.get('evidence') or ''}", markup=False)


@fault.command()
def heal(
    run: UpArgument,
    step: Annotated[str | None, typer.Argument(metavar="[STEP]", help="default: all, the last one first")] = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Heal what was injected by hand."""
    console = Console(highlight=False)
    with open_kept(run, results, observer=lambda event: _tell_step(console, event)) as session:
        steps = tuple(item for item in session.steps() if step in (None, item.step))
        if step is not None and not steps:
            names = ", ".join(item.step for item in session.steps()) or "none"
            raise UsageError(f"no step {step!r} is in place; allowed: {names}")
        session.heal(steps)
    if not steps:
        console.print("no fault is in place")


def parse_options(texts: list[str] | None) -> dict[str, JsonValue]:
    """`key=value` pairs as in a timeline's entry; a value is YAML. Raises UsageError."""
    found: dict[str, JsonValue] = {}
    for text in texts or []:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise UsageError(f"{shlex.quote(text)}: is not KEY=VALUE", hint="for example target=node-1")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"{text}: the value is not YAML: {error}") from None
    return found
