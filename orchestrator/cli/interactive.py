"""`testbed fault`, `scale`, `load`, `watch`, `exec`, `trace`: work by hand on a testbed that `up` or `run --keep` left."""

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from pydantic import JsonValue
from rich.console import Console
from rich.table import Table

from orchestrator.cli.entry import RESULTS, OutputOption, ResultsOption, app, print_json, wants_json
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.experiment import Observer
    from orchestrator.session import Session

UpArgument = Annotated[str, typer.Argument(metavar="RUN", help="run id, run directory, or a scenario's name; see testbed status")]
ForOption = Annotated[str | None, typer.Option("--for", help="heal after this and return: 10s; default: leave it in place")]
ExpiresOption = Annotated[str, typer.Option("--expires", help="a fault left in place heals itself after this")]
OptionsArgument = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="target=node-1, ratio=10%")]

fault = typer.Typer(help="Faults by hand on a testbed that is up.", no_args_is_help=True)
app.add_typer(fault, name="fault")


@contextmanager
def _session(run: str, results: Path, observer: "Observer | None" = None) -> Iterator["Session"]:
    from orchestrator.cli.environment import reach_host
    from orchestrator.session import open_session
    from orchestrator.store import find_run

    directory = find_run(run, results)
    with (
        reach_host(directory.load_images()) as host,
        open_session(host, directory, observer=observer) as session,
    ):
        yield session


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
        table = _table("kind", "options", "")
        for kind, entry in kinds.items():
            table.add_row(kind, ", ".join(entry["options"]), str(entry["does"]))
        Console(highlight=False).print(table)
        return
    with _session(run, results) as session:
        found = session.in_place()
    if wants_json(output):
        print_json([{"step": step.step, "kind": step.kind, "targets": step.targets, "state": state} for step, state in found])
        return
    table = _table("step", "kind", "strikes", "state")
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
    _strike(run, results, raw, for_s=_seconds("--for", for_) if for_ else None, lasts_s=_seconds("--expires", expires))


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
    with _session(run, results, observer=lambda event: _tell_step(console, event)) as session:
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
    with _session(run, results, observer=lambda event: _tell_step(console, event)) as session:
        steps = tuple(item for item in session.steps() if step in (None, item.step))
        if step is not None and not steps:
            names = ", ".join(item.step for item in session.steps()) or "none"
            raise UsageError(f"no step {step!r} is in place; allowed: {names}")
        session.heal(steps)
    if not steps:
        console.print("no fault is in place")


@app.command()
def load(
    run: UpArgument,
    for_: Annotated[str, typer.Option("--for", help="how long")] = "10s",
    rate: Annotated[str | None, typer.Option(help="of every path and class: 100/s; default: the scenario's")] = None,
    results: ResultsOption = RESULTS,
) -> int:
    """Drive the scenario's load now; judged and reported like a run of its own."""
    from orchestrator.cli.assessing import assess_and_report
    from orchestrator.cli.progress import RunDisplay

    console = Console(highlight=False)
    with RunDisplay(console) as display, _session(run, results, observer=_only_new(display)) as session:
        directory = session.run_load(rate=rate, lasts_s=_seconds("--for", for_), results=results)
    return assess_and_report(directory, console, as_json=False)


def _only_new(display: "Observer") -> "Observer":
    """What the engine had kept is read again when a session opens, and is no news."""
    import time

    since_ns = time.monotonic_ns()

    def show(event: object) -> None:
        from orchestrator.model.history import Event

        if isinstance(event, Event) and event.t_mono_ns >= since_ns:
            display(event)

    return show


@app.command()
def watch(
    run: UpArgument,
    everything: Annotated[bool, typer.Option("--all", help="resource reports too")] = False,
    results: ResultsOption = RESULTS,
) -> None:
    """Events of the testbed as they come, until interrupted."""
    from orchestrator.errors import InterruptedRunError
    from orchestrator.model.history import Event

    console = Console(highlight=False)

    def show(event: Event) -> None:
        if everything or event.event != "resources":
            fields = " ".join(f"{key}={value}" for key, value in event.fields.items())
            console.print(
                f"{event.t_mono_ns / 1e9:12.3f}  {event.source:24} {event.event:20} {fields}", markup=False, soft_wrap=True
            )

    with _session(run, results, observer=_only_new(show)) as session:
        clock = session.world.clock
        try:
            while True:
                clock.sleep_until_mono_ns(clock.now_mono_ns() + A_DAY_NS)
        except InterruptedRunError:
            return


A_YEAR_S = 365 * 86_400.0
A_DAY_NS = 86_400_000_000_000
"""Waits for ever are made of pieces that every clock can wait."""


@app.command("exec", context_settings={"allow_interspersed_args": False})
def execute(
    run: UpArgument,
    container: Annotated[str, typer.Argument(help="node-1, gateway, loadbalancer, client, controlplane")],
    command: Annotated[list[str], typer.Argument(help="the command and its arguments")],
    timeout: Annotated[str | None, typer.Option("--timeout", help="give up after this: 30s; default: never")] = None,
    results: ResultsOption = RESULTS,
) -> int:
    """Run a command in a container of the testbed: its output as it comes, and its exit status."""
    argv = command[1:] if command[0] == "--" else command
    deadline_s = A_YEAR_S if timeout is None else _seconds("--timeout", timeout)
    with _session(run, results) as session:
        return session.world.run(container, argv, pass_on, deadline_s=deadline_s)


def pass_on(stream: str, chunk: bytes) -> None:
    """To our own output of that name, byte for byte. Who has stopped reading, as `head` does, wants no more."""
    with suppress(BrokenPipeError):
        os.write(2 if stream == "stderr" else 1, chunk)


@app.command()
def trace(
    run: UpArgument,
    path: Annotated[str, typer.Argument(help="an ingress path of the scenario")],
    results: ResultsOption = RESULTS,
    output: OutputOption = "text",
) -> None:
    """Send one request and follow it: route, load balancer, rule, connection tracking, endpoint."""
    from orchestrator.tracing import trace_path

    with _session(run, results) as session:
        world = session.present()
        names = [item.name for item in world.plan.paths]
        if path not in names:
            raise UsageError(f"no path {path!r}; allowed: {', '.join(names)}")
        hops = trace_path(world, world.plan.path(path))
    if wants_json(output):
        print_json([{"where": hop.where, "what": hop.what, "found": hop.found} for hop in hops])
        return
    table = _table("where", "what", "found")
    for hop in hops:
        table.add_row(hop.where, hop.what, hop.found)
    Console(highlight=False).print(table)


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


def _seconds(option: str, text: str) -> float:
    from orchestrator.scenario.quantities import parse_duration_s

    try:
        return parse_duration_s(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}") from None


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
