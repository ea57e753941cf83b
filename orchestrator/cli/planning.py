"""`testbed validate`, `plan` and `schema`: what would happen; nothing is started."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from orchestrator.cli.blast_radius import BlastRadius, blast_radii
from orchestrator.cli.entry import (
    OutputOption,
    ScenarioArgument,
    SeedOption,
    SetOption,
    app,
    complain,
    parse_overrides,
    print_json,
    wants_json,
)
from orchestrator.errors import ExitCode, UsageError
from orchestrator.model.plan import Plan, Role, StepPlan


@app.command()
def validate(scenarios: Annotated[list[Path], typer.Argument(help="scenario files")], output: OutputOption = "text") -> int:
    """Check scenario files and their manifests; nothing is started."""
    from orchestrator.experiment import load_request

    as_json = wants_json(output)
    valid: list[str] = []
    status = ExitCode.PASS
    for file in scenarios:
        try:
            valid.append(load_request(file, {}, None).scenario.name)
        except UsageError as error:
            complain(str(error), error.hint)
            status = error.exit_code
        else:
            if not as_json:
                Console().print(f"{file}: valid", highlight=False)
    if as_json:
        print_json({"valid": valid})
    return status


@app.command()
def plan(
    scenario: ScenarioArgument,
    slot: Annotated[int, typer.Option(help="address slot")] = 0,
    trial: Annotated[int, typer.Option(min=1, help="which of its trials: each draws anew")] = 1,
    seed: SeedOption = None,
    sets: SetOption = None,
    output: OutputOption = "text",
) -> None:
    """Print everything that a run would do."""
    from orchestrator.experiment import load_request

    print_plan(load_request(scenario, parse_overrides(sets), seed).plan(slot=slot, trial=trial), as_json=wants_json(output))


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenario files."""
    from orchestrator.planner.json_schema import scenario_json_schema
    from orchestrator.registry import KINDS

    print_json(scenario_json_schema(KINDS))


def print_plan(planned: Plan, *, as_json: bool) -> None:
    if as_json:
        radii = TypeAdapter(tuple[BlastRadius, ...]).dump_python(blast_radii(planned), mode="json")
        print_json({**TypeAdapter(Plan).dump_python(planned, mode="json"), "blast_radius": radii})
        return
    console = Console(highlight=False)
    console.print(f"[bold]{planned.scenario}[/]: {planned.question}")
    console.print(
        f"seed {planned.seed}, trial {planned.trial}, address slot {planned.slot}, timings {planned.timings.profile}, "
        f"{planned.load.duration_s:g} s of load\n"
    )
    if planned.cluster.get("kube_proxy_binary"):
        console.print(f"rules by a kube-proxy of your own ({planned.cluster['kube_proxy_mode']}): {_program(planned)}\n")
    console.print(
        _table(("container", "role", "addresses", "from"), (_container_row(planned, item) for item in planned.containers))
    )
    rows = [(path.name, path.kind, path.url, str(path.expect), ", ".join(path.entry_nodes) or "any") for path in planned.paths]
    console.print(_table(("path", "kind", "url", "must be", "enters by"), rows))
    loads = [(item.path, item.connection_class, f"{item.rate_rps:g}/s", str(item.connections)) for item in planned.load.classes]
    console.print(_table(("path", "class", "rate", "connections"), loads))
    steps = [
        (
            step.step,
            _when(step),
            "-" if step.for_s is None else f"{step.for_s:g} s",
            ", ".join(step.targets),
            _told(step.parameters),
        )
        for step in planned.timeline
    ]
    console.print(_table(("step", "at", "for", "strikes", "with"), steps))
    if planned.timeline:
        headings = ("step", "group", "nodes at once", "whole paths", "paths in part", "needs of the kernel")
        console.print(_table(headings, map(_radius_row, blast_radii(planned))))
    if planned.stops:
        console.print(_table(("ends early with", "failed requests"), ((stop.text, str(stop.failed)) for stop in planned.stops)))
    console.print(_table(("objective", "of", "must be"), ((slo.kind, slo.subject, slo.text) for slo in planned.slos)))


def _program(planned: Plan) -> str:
    program = planned.of_role(Role.NODE)[0].programs[0]
    return f"{program.source}, sha256 {program.sha256}"


def _container_row(planned: Plan, item: Any) -> tuple[str, ...]:
    addresses = ", ".join(f"{attachment.address} ({attachment.network})" for attachment in item.attachments)
    return item.name, str(item.role), addresses, "bring-up" if item.at_bring_up else "a step"


def _when(step: StepPlan) -> str:
    if step.after is None:
        return f"{step.at_s:g} s"
    of = f" of {step.after.of}" if step.after.of else ""
    delay = f" + {step.after.delay_s:g} s" if step.after.delay_s else ""
    return f"{step.after.event}{of}{delay}" + (f", from {step.at_s:g} s on" if step.at_s else "")


def _radius_row(radius: BlastRadius) -> tuple[str, ...]:
    struck = f"{len(radius.nodes)} of {radius.nodes_there}: {', '.join(radius.nodes)}" if radius.nodes else "-"
    whole, part = ", ".join(radius.whole_paths), ", ".join(radius.part_paths)
    return radius.step, radius.group or "-", struck, whole or "-", part or "-", ", ".join(radius.kernel_features) or "-"


def _told(parameters: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in parameters.items() if value not in (None, [], (), False))


def _table(headings: tuple[str, ...], rows: Any) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
