"""`testbed load`, `watch`, `exec`, `trace`: use and observe a testbed that `up` or `run --keep` left."""

import os
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Console

from orchestrator.cli.by_hand import UpArgument, only_new, open_kept, read_seconds, table_of
from orchestrator.cli.entry import RESULTS, OutputOption, ResultsOption, app, complain, print_json, wants_json
from orchestrator.errors import UsageError


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
    with RunDisplay(console) as display, open_kept(run, results, observer=only_new(display)) as session:
        directory = session.run_load(rate=rate, lasts_s=read_seconds("--for", for_), results=results)
    return assess_and_report(directory, console, as_json=False)


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

    with open_kept(run, results, observer=only_new(show)) as session:
        clock = session.world.clock
        try:
            while True:
                clock.sleep_until_mono_ns(clock.now_mono_ns() + A_DAY_NS)
        except InterruptedRunError:
            return


GAVE_UP = 124
"""As timeout(1) ends when its time is over."""
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
    from orchestrator.errors import DeadlineError

    argv = command[1:] if command[0] == "--" else command
    deadline_s = A_YEAR_S if timeout is None else read_seconds("--timeout", timeout)
    with open_kept(run, results) as session:
        if container not in session.containers:
            raise UsageError(f"no container {container!r}; allowed: {', '.join(session.containers)}")
        try:
            return session.world.run(container, argv, pass_on, deadline_s=deadline_s)
        except DeadlineError as error:
            complain(str(error), None)
            return GAVE_UP


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

    with open_kept(run, results) as session:
        world = session.present()
        names = [item.name for item in world.plan.paths]
        if path not in names:
            raise UsageError(f"no path {path!r}; allowed: {', '.join(names)}")
        hops = trace_path(world, world.plan.path(path))
    if wants_json(output):
        print_json([{"where": hop.where, "what": hop.what, "found": hop.found} for hop in hops])
        return
    table = table_of("where", "what", "found")
    for hop in hops:
        table.add_row(hop.where, hop.what, hop.found)
    Console(highlight=False).print(table)
